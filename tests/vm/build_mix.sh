#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A mix project: the same release as `mix release` makes, started, asked, stopped; runtime.exs is read at boot; mix is
# not asked again as long as nothing has changed.
. "$(dirname "$0")/../support/lib.sh"

app_copy notes 0.1.0 "$WORK/notes"
cd "$WORK/notes" || exit
assert_exit 0 relpack build --tar
T=$WORK/notes/_build/relpack/notes-0.1.0.tar.gz
assert_eq "$T" "$(tail -n 1 "$WORK/out")"
mv "$T" "$WORK/first.tar.gz"

# --no-compile starts no VM now.
mkdir "$WORK/bin"
printf '#!/bin/sh\necho "%s was called" >&2\nexit 9\n' elixir | tee "$WORK/bin/elixir" >"$WORK/bin/mix"
chmod +x "$WORK"/bin/*
assert_exit 0 env PATH="$WORK/bin:$PATH" relpack build --tar --no-compile
cmp "$WORK/first.tar.gz" "$T" || fail "the second tarball differs"
assert_exit 1 env PATH="$WORK/bin:$PATH" relpack build --tar
for file in config/runtime.exs mix.exs rel/env.sh.eex; do
    cp "$file" "$WORK/kept"
    echo '# changed' >>"$file"
    assert_exit 1 env PATH="$WORK/bin:$PATH" relpack build --tar --no-compile
    assert_match 'elixir was called' "$(cat "$WORK/err")"
    assert_match 'elixir failed with exit status 9' "$(tail -n 1 "$WORK/err")"
    cp "$WORK/kept" "$file"
done
assert_exit 0 relpack build --tar --no-compile
cmp "$WORK/first.tar.gz" "$T" || fail "asking mix again gives another tarball"

R=$WORK/r
mkdir "$R"
tar -C "$R" -xzf "$T"
MIX_ENV=prod mix release --quiet --path "$WORK/by_mix" >/dev/null
erl -noshell -eval '
    Same = fun(File) -> {ok, X} = file:consult("'"$WORK/by_mix"'/" ++ File), {ok, Y} = file:consult("'"$R"'/" ++ File),
        X =:= Y orelse begin io:format("~s differs~n", [File]), halt(1) end end,
    [Same("releases/0.1.0/" ++ File) || File <- ["start.script", "start_clean.script", "sys.config", "notes.rel"]],
    halt().' || fail "mix makes something else"
diff <(cd "$WORK/by_mix" && find lib -type f | sort) <(cd "$R" && find lib -type f | sort)
cmp config/runtime.exs "$R/releases/0.1.0/runtime.exs"
cmp rel/overlays/share/notice.txt "$R/share/notice.txt"

PORT=$(free_port)
export PORT DATABASE_PATH=$WORK/notes.db
timeout 30 "$R/bin/notes" eval 'Notes.Release.migrate()' >"$WORK/out"
assert_match 'schema is at version 1' "$(cat "$WORK/out")"
start_bg notes "$R/bin/notes" start
wait_until 20 http version
assert_eq "notes 0.1.0" "$(http version)"
assert_eq "built in prod" "$(http greeting)"
assert_eq "notes 0.1.0" "$(http motd)"
assert_match first "$(http notes)"
assert_eq 1 "$(http readings)"
assert_eq "$PORT" "$(timeout 20 "$R/bin/notes" rpc 'IO.puts(Application.fetch_env!(:notes, :port))')"
assert_eq true "$(timeout 20 "$R/bin/notes" rpc 'IO.puts(Protocol.consolidated?(Notes.Render))')"
timeout 20 "$R/bin/notes" stop
wait_until 1 gone "$BG_PID"

# runtime.exs was not touched by the build, and is needed at boot.
assert_exit 1 env -u DATABASE_PATH timeout 30 "$R/bin/notes" eval 'IO.puts(1)'
assert_match DATABASE_PATH "$(cat "$WORK/err" "$WORK/out")"

# relpack.json beside mix.exs; what does not compile.
echo '{"version": "0.1.0-rc.1", "overlay": [{"mkdir": "mine"}]}' >relpack.json
assert_exit 0 relpack build --no-compile
assert_eq "notes 0.1.0-rc.1" "$(_build/relpack/notes/bin/notes version)"
[[ -d _build/relpack/notes/mine && -f _build/relpack/notes/share/notice.txt ]] || fail "not both overlays are there"
assert_match '0.1.0-rc.1/runtime.exs' "$(erl -noshell -eval '{ok, [C]} = file:consult(
    "_build/relpack/notes/releases/0.1.0-rc.1/sys.config"), io:format("~p", [C]), halt().')"
echo 'def broken' >>lib/notes/web.ex
assert_exit 1 relpack build
assert_match 'web.ex' "$(cat "$WORK/err")"
assert_match 'relpack: mix in .*: elixir failed with exit status' "$(tail -n 1 "$WORK/err")"
