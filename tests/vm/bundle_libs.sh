#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# relpack build --bundle-libs: the release starts in an empty root that has nothing but the C library, also with OpenSSL
# and with a library and a port program of an application's own; without the option it does not.
. "$(dirname "$0")/../support/lib.sh"

command -v bwrap >"$WORK/out" || skip "no bwrap"
bwrap --ro-bind / / --unshare-user true 2>"$WORK/err" || skip "bwrap may not: $(cat "$WORK/err")"

# An application with a NIF that needs a library of its own and one of the system, and a port program.
P=$WORK/p
mkdir -p "$P/lib/bare/ebin" "$P/lib/bare/priv/own"
cd "$P" || exit 1
cat >nif.c <<'C'
#include <erl_nif.h>
#include <zlib.h>
int own(void);
static ERL_NIF_TERM f(ErlNifEnv *env, int n, const ERL_NIF_TERM v[])
{
    (void)n; (void)v;
    return enif_make_int(env, own() + (int)(zlibCompileFlags() != 0));
}
static ErlNifFunc functions[] = {{"f", 0, f, 0}};
ERL_NIF_INIT(bare, functions, NULL, NULL, NULL, NULL)
C
echo 'int own(void) { return 40; }' >own.c
printf '#include <stdio.h>\n#include <zlib.h>\nint main(void) { puts(zlibVersion()); return 0; }\n' >port.c
cat >bare.erl <<'ERL'
-module(bare).
-export([start/2, stop/1, f/0, port/0]).
-on_load(init/0).
init() -> erlang:load_nif(filename:join(code:priv_dir(bare), "nif"), 0).
start(_, _) -> {ok, spawn_link(fun() -> receive stop -> ok end end)}.
stop(_) -> ok.
f() -> erlang:nif_error(not_loaded).
port() ->
    P = open_port({spawn_executable, filename:join(code:priv_dir(bare), "port")}, [exit_status, stream]),
    receive {P, {data, D}} -> D after 5000 -> none end.
ERL
cat >lib/bare/ebin/bare.app <<'ERL'
{application, bare, [{description, "bare"}, {vsn, "1"}, {modules, [bare]}, {registered, []}, {mod, {bare, []}},
    {applications, [kernel, stdlib, crypto]}]}.
ERL
usr=$(erl -noshell -boot no_dot_erlang -eval 'io:put_chars(filename:join([code:root_dir(), "usr", "include"])), halt().')
cc -shared -fPIC -Wl,-soname,libown.so.1 -o lib/bare/priv/own/libown.so.1.0 own.c
ln -s libown.so.1.0 lib/bare/priv/own/libown.so.1
ln -s libown.so.1 lib/bare/priv/own/libown.so
# shellcheck disable=SC2016
cc -shared -fPIC -I"$usr" -o lib/bare/priv/nif.so nif.c -Llib/bare/priv/own -lown -lz -Wl,-rpath,'$ORIGIN/own:/nowhere'
cc -o lib/bare/priv/port port.c -lz
erlc -o lib/bare/ebin bare.erl
echo '{"name": "bare", "version": "1", "lib_dirs": ["lib"]}' >relpack.json

assert_exit 0 relpack build . --bundle-libs --tar
cp out/bare-1.tar.gz first.tar.gz
assert_exit 0 relpack build . --bundle-libs --tar
cmp first.tar.gz out/bare-1.tar.gz || fail "two builds differ"
assert_exit 0 relpack build . --output plain
assert_exit 0 relpack inspect first.tar.gz --json
python3 - "$WORK/out" <<'PYTHON'
import json, sys
needs = json.load(open(sys.argv[1]))["libraries"]
assert needs and all(n.startswith(("libc.", "libm.", "ld-")) for n in needs), needs
PYTHON
mkdir bundled && tar -C bundled -xzf first.tar.gz

[ ! -e "$(echo bundled/erts-*/lib/libown.so.1)" ] || fail "a library that is in the release was packed twice"

# The root: what ldconfig knows as the C library, and its loader.
root=$WORK/root
mkdir -p "$root/app" "$root/dev" "$root/proc" "$root/tmp"
for name in libc.so.6 libm.so.6; do
    file=$(/sbin/ldconfig -p | sed -n "s/^\t$name (.*) => //p" | head -n 1)
    mkdir -p "$root$(dirname "$file")"
    cp "$file" "$root$file"
done
loader=$(readelf -l bundled/erts-*/bin/beam.smp | sed -n 's/.*interpreter: \(.*\)]/\1/p')
mkdir -p "$root$(dirname "$loader")"
cp "$loader" "$root$loader"

inside() { # TREE COMMAND...
    local tree=$1

    shift
    timeout 60 bwrap --ro-bind "$root" / --dev /dev --proc /proc --tmpfs /tmp --ro-bind "$P/$tree" /app \
        --ro-bind "$WORK/session" /session --unshare-user --unshare-pid --die-with-parent --clearenv \
        --setenv RELEASE_TMP /tmp --chdir /app "$@"
}
touch "$WORK/session" "$root/session"

# No shell at all: the VM is started as the launcher would.
start() { # TREE
    local erts

    erts=$(basename "$P/$1"/erts-*)
    inside "$1" --setenv BINDIR "/app/$erts/bin" --setenv ROOTDIR /app --setenv EMU beam --setenv PROGNAME erl \
        "/app/$erts/bin/erlexec" -noshell -boot /app/releases/1/start -mode embedded -config /app/releases/1/sys \
        -eval 'io:format("~p ~s~p~n", [bare:f(), bare:port(), byte_size(crypto:hash(sha256, <<>>))]), halt().'
}
assert_exit 0 start bundled
assert_match '^41 1\.[0-9.]+' "$(cat "$WORK/out")" "NIF and port program"
assert_eq 32 "$(tail -n 1 "$WORK/out")" "size of a SHA-256"
assert_exit 127 start plain/bare
assert_match 'error while loading shared libraries' "$(cat "$WORK/err")"

# With a shell, by the launcher: start, rpc and stop need no other program.
mkdir -p "$root/bin"
cp /bin/dash "$root/bin/sh"
cat >"$WORK/session" <<'SH'
bin/bare start &
i=0
until bin/bare ping >/tmp/out 2>/tmp/err; do
    i=$((i + 1))
    [ $i -lt 3000 ] || exit 9
done
bin/bare rpc 'bare:f().' --print && bin/bare rpc 'crypto:hash(md4, <<>>), ok.' --print && bin/bare stop && wait
SH
assert_exit 0 inside bundled /bin/sh /session
assert_match '41' "$(cat "$WORK/out")"
assert_match 'ok' "$(cat "$WORK/out")" "an algorithm of OpenSSL's legacy provider"

# What cannot travel along is told with who needs it, and no copy is left behind.
mkdir "$WORK/tmpdir" "$WORK/other"
refused() { # PATTERN
    TMPDIR=$WORK/tmpdir assert_exit 2 relpack build . --bundle-libs --tar
    assert_match "$1" "$(cat "$WORK/err")"
    rm lib/bare/priv/lost*.so
}
cc -shared -fPIC -o libgone.so own.c
cc -shared -fPIC -o lib/bare/priv/lost.so own.c -L. -Wl,--no-as-needed -lgone
rm libgone.so
refused 'priv/lost.so needs libgone.so'
cc -shared -fPIC -o nameless.so own.c
cc -shared -fPIC -o lib/bare/priv/lost.so own.c -Wl,--no-as-needed ./nameless.so
refused 'priv/lost.so needs ./nameless.so by its path'
for i in 1 2; do
    mkdir "$WORK/other/$i"
    cc -shared -fPIC -Wl,-soname,libtwo.so -o "$WORK/other/$i/libtwo.so" own.c
    cc -shared -fPIC -o "lib/bare/priv/lost$i.so" own.c -L"$WORK/other/$i" -Wl,--no-as-needed,-rpath,"$WORK/other/$i" -ltwo
done
refused "lost2.so needs $WORK/other/2/libtwo.so, but"
mkdir "$WORK/bin"
for name in erl ldconfig; do
    ln -s "$(PATH=$PATH:/sbin command -v "$name")" "$WORK/bin/$name"
done
relpack=$(command -v relpack)
(PATH=$WORK/bin TMPDIR=$WORK/tmpdir assert_exit 2 "$relpack" build . --bundle-libs --tar)
assert_match 'patchelf is needed' "$(cat "$WORK/err")"

# A program for another machine is not run here: its libraries are its own affair.
cp lib/bare/priv/port lib/bare/priv/foreign
printf '\363' | dd of=lib/bare/priv/foreign bs=1 seek=18 conv=notrunc status=none # EM_RISCV
TMPDIR=$WORK/tmpdir assert_exit 2 relpack build . --bundle-libs --tar
assert_match 'priv/foreign is for riscv' "$(cat "$WORK/err")"
TMPDIR=$WORK/tmpdir assert_exit 0 relpack build . --bundle-libs --tar --allow machine
assert_eq "" "$(ls -A "$WORK/tmpdir")" "copies that were left behind"
