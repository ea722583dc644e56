# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A release around this source's launcher and relctl, made by systools without a build: for tests of the
# launcher alone. Source it behind lib.sh.
#
#   fake_release NAME erlang|elixir DIR

fake_release() {
    local name=$1 kind=$2 dir=$3 vsn=0.1.0 apps='' var=() app erts

    erts=$(erl -noshell -eval 'io:put_chars(erlang:system_info(version)), halt().')
    mkdir -p "$dir/bin" "$dir/lib" "$dir/releases/$vsn" "$dir/erts-$erts"
    cp -a "$(otp_root)/erts-$erts/bin" "$dir/erts-$erts/bin"
    install -m 755 "$RELPACK_SOURCE/templates/erl.sh" "$dir/erts-$erts/bin/erl"
    install -m 755 "$RELPACK_SOURCE/templates/launcher.sh" "$dir/bin/$name"
    install -m 755 "$RELPACK_BIN/relctl" "$dir/bin/relctl"
    cp "$RELPACK_SOURCE"/templates/{vm.args,remote.vm.args,env.sh} "$dir/releases/$vsn/"
    echo '[].' >"$dir/releases/$vsn/sys.config"
    echo "$erts $vsn" >"$dir/releases/start_erl.data"
    for app in "$(otp_root)"/lib/{kernel,stdlib,compiler}-*; do
        ln -s "$app" "$dir/lib/"
    done
    if [ "$kind" = elixir ]; then
        for app in elixir logger iex; do
            ln -s "$(elixir_lib)/$app" "$dir/lib/$app-$(elixir --short-version)"
        done
        apps=elixir,logger,iex
        var=("$(elixir_lib)")
    fi
    make_boot_files "$dir/releases/$vsn" "$name" "$vsn" "$apps" "${var[@]}"
}

otp_root() {
    echo "${OTP_ROOT:=$(erl -noshell -eval 'io:put_chars(code:root_dir()), halt().')}"
}

elixir_lib() {
    dirname "$(elixir -e 'IO.puts(:code.lib_dir(:elixir))')"
}

# start.boot and start_clean.boot; the second loads all and starts kernel and stdlib alone.
make_boot_files() {
    (
        cd "$1"
        # shellcheck disable=SC2016
        erl -noshell -eval '
            [Name, Vsn, Apps | Lib] = init:get_plain_arguments(),
            [code:add_path(filename:join([L, A, "ebin"])) || L <- Lib, A <- string:lexemes(Apps, ",")],
            All = [{A, begin application:load(A), {ok, V} = application:get_key(A, vsn), V end}
                   || A <- [kernel, stdlib, compiler | [list_to_atom(A) || A <- string:lexemes(Apps, ",")]]],
            Rel = fun(As) -> {release, {Name, Vsn}, {erts, erlang:system_info(version)}, As} end,
            Clean = [case A of {K, _} when K =:= kernel; K =:= stdlib -> A; {X, V} -> {X, V, load} end || A <- All],
            Opts = [{path, [filename:join([L, A, "ebin"]) || L <- Lib, A <- string:lexemes(Apps, ",")]},
                    {variables, [{"RELEASE_LIB", L} || L <- Lib]}, no_dot_erlang, silent],
            [begin
                ok = file:write_file(F ++ ".rel", io_lib:format("~p.~n", [Rel(As)])),
                {ok, _, _} = systools:make_script(F, Opts)
             end || {F, As} <- [{"start", All}, {"start_clean", Clean}]],
            halt().' -extra "${@:2}"
    ) || fail "no boot files for $2"
}
