# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# OTP's release_handler as a person works it from outside. Source it behind lib.sh.
#
#   up_and_down TOOL APP ROUTE TARBALL     in the unpacked release $T, version 0.1.0 of APP made by TOOL, whose counting
#                                          process counts the requests of ROUTE: release_handler takes in the tarball of
#                                          0.2.0, which has a relup, goes up, down and up again, and down after a restart

# That of relx boots its own version for ever, so each version has one.
launcher() {
    case $TOOL in
    relx) timeout 60 "$T/bin/$NAME-$(cut -d ' ' -f 2 "$T/releases/start_erl.data")" "$@" ;;
    *) timeout 60 "$T/bin/$NAME" "$@" ;;
    esac
}

# What the expression gives in the running node: in Erlang for shop, in Elixir for notes.
evaluate() { # ERLANG ELIXIR
    case $TOOL-$NAME in
    relpack-shop) launcher rpc "io:format(\"~0p\", [$1])." ;;
    relx-shop) launcher eval "$1." ;;
    *) launcher rpc "IO.write(inspect($2))" ;;
    esac
}

handled() { # WANT CALL ARGUMENT: release_handler's answer
    local got

    got=$(evaluate "release_handler:$2(\"$3\")" ":release_handler.$2('$3')") || fail "$2 $3: $got"
    assert_eq "$1" "$(tr -d "\"' \n" <<<"$got" | sed 's/:ok/ok/')" "$2 $3"
}

# The state of the counting process, its pid, the application's version.
look() {
    evaluate '[sys:get_state(shop_counter), whereis(shop_counter), element(2, application:get_key(shop, vsn))]' \
        '[:sys.get_state(Notes.Store), Process.whereis(Notes.Store), Application.spec(:notes, :vsn)]' | tr -d "\"' \n"
}

boot() {
    case $TOOL in
    relx) start_bg "$NAME" "$T/bin/$NAME-$(cut -d ' ' -f 2 "$T/releases/start_erl.data")" foreground ;;
    *) start_bg "$NAME" "$T/bin/$NAME" start ;;
    esac
    wait_until 40 http version
    wait_until 20 evaluate ok :ok
}

halt_node() {
    launcher stop >/dev/null 2>&1 || fail "$NAME does not stop"
    wait_until 20 gone "$BG_PID"
}

permanent() {
    assert_match "^[0-9.]+ $1\$" "$(cat "$T/releases/start_erl.data")" "the permanent release"
}

up_and_down() {
    local pid

    TOOL=$1 NAME=$2
    boot
    for _ in 1 2 3; do
        http "$3" >/dev/null
    done
    assert_match '^\[3,.*,0\.1\.0\]$' "$(look)" "before"
    pid=$(look | cut -d , -f 2)

    cp "$4" "$T/releases/$2-0.2.0.tar.gz"
    handled '{ok,0.2.0}' unpack_release "$2-0.2.0"
    handled '{ok,0.1.0,[]}' check_install_release 0.2.0
    handled '{ok,0.1.0,[]}' install_release 0.2.0
    assert_match "(count|readings)[^,]*3,since[^,]*,$pid,0\\.2\\.0\\]\$" "$(look)" "after the way up"
    handled ok make_permanent 0.2.0
    permanent 0.2.0

    handled '{ok,0.1.0,[]}' install_release 0.1.0
    assert_eq "[3,$pid,0.1.0]" "$(look)" "after the way down"
    handled ok make_permanent 0.1.0
    permanent 0.1.0

    # A restart boots what is permanent, and from there it goes down as well.
    handled '{ok,0.1.0,[]}' install_release 0.2.0
    handled ok make_permanent 0.2.0
    halt_node
    boot
    assert_eq "$NAME 0.2.0" "$(http version)"
    handled '{ok,0.1.0,[]}' install_release 0.1.0
    assert_match '^\[0,.*,0\.1\.0\]$' "$(look)" "down after a restart"
    halt_node
}
