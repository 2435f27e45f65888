#!/bin/sh
# nvcc.sh NVCC ARGUMENT...: runs nvcc; passes on to its host compiler what libtool adds for one. (libtool takes "-Xcompiler" for itself.)
set -eu
nvcc=$1
shift
n=$#
while [ "$n" -gt 0 ]; do
    argument=$1
    shift
    case $argument in
    -fPIC | -fpic | -fPIE | -fpie | -pthread | -fsanitize=* | -fno-omit-frame-pointer) set -- "$@" --compiler-options "$argument" ;;
    *) set -- "$@" "$argument" ;;
    esac
    n=$((n - 1))
done
exec "$nvcc" "$@"
