#!/bin/sh
# nvcc.sh NVCC ARGUMENT...: runs nvcc with what libtool adds for its host compiler passed on by -Xcompiler.
set -eu
nvcc=$1
shift
n=$#
while [ "$n" -gt 0 ]; do
    argument=$1
    shift
    case $argument in
    -fPIC | -fpic | -fPIE | -fpie | -pthread | -fsanitize=* | -fno-omit-frame-pointer) set -- "$@" -Xcompiler "$argument" ;;
    *) set -- "$@" "$argument" ;;
    esac
    n=$((n - 1))
done
exec "$nvcc" "$@"
