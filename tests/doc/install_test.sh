#!/bin/sh
# What is installed suffices: every header compiles alone, and doc/examples with what pkg-config says.
set -u
for tool in gcc make pkg-config; do
    command -v $tool >/dev/null 2>&1 || { echo "no $tool"; exit 77; }
done
case ${srcdir:=.} in /*) ;; *) srcdir=$(pwd)/$srcdir ;; esac
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL
make -s install-data "prefix=$tmp" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
flags=$(PKG_CONFIG_PATH=$tmp/lib/pkgconfig pkg-config --define-variable="includedir=$tmp/include" --cflags muster) || exit 1
top=${flags#-I}
[ -f "${top% }/muster.h" ] || { echo "muster.h is not where pkg-config says: $flags"; exit 1; }

failed=0
# shellcheck disable=SC2086
compile() {
    gcc -std=gnu17 -Wall -Wextra -Werror -fsyntax-only $flags "$@" || failed=1
}
for program in "$srcdir"/doc/examples/*.c; do
    compile "$program"
done
cd "${top% }" || exit 99
for header in $(find . -name '*.h' | sort); do
    printf '#include "%s"\nint alone;\n' "${header#./}" >"$tmp/alone.c"
    compile "$tmp/alone.c"
done
for page in man1/muster.1 man1/muster-train.1 man3/libmuster.3 man5/muster-config.5; do
    [ -f "$tmp/share/man/$page" ] || { echo "$page is not installed"; failed=1; }
done
for job in train eval sweep; do
    [ -f "$tmp/share/muster/jobs/$job.sbatch" ] || { echo "$job.sbatch is not installed"; failed=1; }
done
[ -f "$tmp/share/bash-completion/completions/muster" ] || { echo 'the completion is not installed'; failed=1; }
exit $failed
