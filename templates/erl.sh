#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The `erl` of a release: finds its own folder instead of having it written in, so that the release
# can lie anywhere.
relpack_self=$0
while [ -h "$relpack_self" ]; do
  relpack_link=$(readlink "$relpack_self")
  case $relpack_link in
    /*) relpack_self=$relpack_link ;;
    *) relpack_self=${relpack_self%/*}/$relpack_link ;;
  esac
done
case $relpack_self in
  */*) ;;
  *) relpack_self=$(command -v "$relpack_self") ;;
esac
BINDIR=$(CDPATH='' cd "${relpack_self%/*}" && pwd -P)
ROOTDIR=${ERL_ROOTDIR:-${BINDIR%/*/*}}
EMU=beam
PROGNAME=${0##*/}
export BINDIR ROOTDIR EMU PROGNAME
exec "$BINDIR/erlexec" ${1+"$@"}
