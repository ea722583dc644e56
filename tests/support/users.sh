# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Two more users of this host, for tests of what one local user can do to another. Source it behind lib.sh.
#
#   need_users         goes on in a mount namespace of its own, where the accounts relowner and relother exist, each
#                      with a group of its own name; the host's /etc is left alone. Skips where that takes more rights
#                      than there are. Call it first: the script starts anew.
#                      $OWNER $OTHER            their names          $OWNER_UID $OTHER_UID   their numbers (uid = gid)
#                      $OWNER_DIR $OTHER_DIR    a folder of each, mode 0700, inside $WORK (which all may pass through)
#   as_owner COMMAND...    as_other COMMAND...    as that user, without any other group or capability, in its folder
#   private_tmp        /tmp is empty and of this test alone; $WORK stays where it was
#   attack TEXT COMMAND...      relother tries it: it must fail. Prints "refused: TEXT (why)" and counts in $REFUSED;
#                      one that works is printed, kept in $BROKEN, and fails the test in attacks_end
#   attacks_end        prints the counts and fails when one attack worked
OWNER=relowner OTHER=relother
OWNER_UID=61843 OTHER_UID=61844
# What root has first in its own may be out of reach.
USERS_PATH=$RELPACK_BIN:$RELPACK_BUILD/support:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
REFUSED=0 BROKEN=()

need_users() {
    if [ "${RELPACK_IN_USERS:-}" = 1 ]; then
        add_accounts
        chmod 711 "$WORK"
        OWNER_DIR=$WORK/$OWNER OTHER_DIR=$WORK/$OTHER
        install -d -m 700 -o $OWNER_UID -g $OWNER_UID "$OWNER_DIR"
        install -d -m 700 -o $OTHER_UID -g $OTHER_UID "$OTHER_DIR"
        as_other test -x "$RELPACK_BIN/relsup" || skip "$RELPACK_BIN is out of reach of other users"
        return 0
    fi
    [ "$(id -u)" = 0 ] || skip "only root can act as other users"
    command -v setpriv unshare >/dev/null || skip "setpriv or unshare is not installed"
    unshare --mount true 2>/dev/null || skip "no right to make a mount namespace"
    setpriv --reuid $OTHER_UID --regid $OTHER_UID --clear-groups true 2>/dev/null || skip "no right to change the user"
    end_processes
    rm -rf "$WORK"
    RELPACK_IN_USERS=1 exec unshare --mount bash "$0" "$@"
}

# Nobody else sees these files, and they are gone with the namespace.
add_accounts() {
    local file

    for file in passwd group; do
        grep -q "^$OWNER:" /etc/$file && continue
        cp /etc/$file "$WORK/$file"
        if [ $file = passwd ]; then
            printf '%s:x:%s:%s::%s:/bin/sh\n' $OWNER $OWNER_UID $OWNER_UID "$WORK/$OWNER" \
                $OTHER $OTHER_UID $OTHER_UID "$WORK/$OTHER" >>"$WORK/$file"
        else
            printf '%s:x:%s:\n' $OWNER $OWNER_UID $OTHER $OTHER_UID >>"$WORK/$file"
        fi
        mount --bind "$WORK/$file" /etc/$file || skip "no right to mount"
    done
}

private_tmp() {
    mount --bind "$WORK" /mnt
    mount -t tmpfs -o mode=1777 none /tmp
    install -d -m 711 "$WORK"
    mount --bind /mnt "$WORK"
    umount /mnt
    trap 'STATUS=$?; set +e; umount -l "$WORK" /tmp; (exit $STATUS); on_exit' EXIT
}

as_user() { # UID FOLDER COMMAND...
    local uid=$1 dir=$2

    shift 2
    (cd "$dir" && exec setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all \
        env PATH="$USERS_PATH" HOME="$dir" USER="$(id -un "$uid")" TMPDIR="$dir" XDG_RUNTIME_DIR="$dir" "$@")
}

as_owner() {
    as_user $OWNER_UID "$OWNER_DIR" "$@"
}

as_other() {
    as_user $OTHER_UID "$OTHER_DIR" "$@"
}

attack() {
    local text=$1 said

    shift
    if said=$(as_other "$@" 2>&1 </dev/null); then
        BROKEN+=("$text")
        echo "WORKED: $text (${said:0:120})"
    else
        REFUSED=$((REFUSED + 1))
        said=${said##*$'\n'}
        echo "refused: $text (${said:0:120})"
    fi
}

attacks_end() {
    echo "attacks: $REFUSED refused, ${#BROKEN[@]} worked"
    [ ${#BROKEN[@]} = 0 ] || fail "an attack worked: ${BROKEN[*]}"
}
