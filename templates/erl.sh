#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The `erl` of a release: finds its own folder instead of having it written in, so that the release
# can lie anywhere.
SELF=$0
while [ -h "$SELF" ]; do
  LINK=$(readlink "$SELF")
  case $LINK in
    /*) SELF=$LINK ;;
    *) SELF=${SELF%/*}/$LINK ;;
  esac
done
case $SELF in
  */*) ;;
  *) SELF=$(command -v "$SELF") ;;
esac
BINDIR=$(CDPATH='' cd "${SELF%/*}" && pwd -P)
ROOTDIR=${ERL_ROOTDIR:-${BINDIR%/*/*}}
EMU=beam
PROGNAME=${0##*/}
export BINDIR ROOTDIR EMU PROGNAME
exec "$BINDIR/erlexec" ${1+"$@"}
