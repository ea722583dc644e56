#!/bin/sh
# Read by the launcher before every command; RELEASE_COMMAND says which one it is.
#
# What can be set here:
#
# export RELEASE_TMP=/var/lib/app        # a folder that can be written, for cookie, logs and pipes
# export RELEASE_MODE=interactive        # load code on demand instead of at boot
# export RELEASE_NODE=app                # the name of the node
# export RELEASE_DISTRIBUTION=sname      # sname, name: an ordinary node that others on the network
#                                        # reach, by epmd; none: no distribution, and no rpc.
#                                        # Without it the node listens on 127.0.0.1 alone.
# export RELEASE_COOKIE=...              # else one is made, for this host alone
#
# # Restart a daemon whose VM has died
# case $RELEASE_COMMAND in
#   daemon*)
#     HEART_COMMAND="$RELEASE_ROOT/bin/$RELEASE_NAME $RELEASE_COMMAND"
#     export HEART_COMMAND
#     export ELIXIR_ERL_OPTIONS="-heart"
#     ;;
# esac
