#!/bin/bash
# Every recipe in configs/ is accepted by `muster check`, without its data.
set -u
root=$(cd "${srcdir:-.}" && pwd)
failed=0
n=0
for config in "$root"/configs/*/*.yaml; do
    case $config in */_base_/*) continue ;; esac
    n=$((n + 1))
    case $config in
    */digits/*) shape=1,8,8 ;;
    *cifar*) shape=3,32,32 ;;
    *) shape=3,224,224 ;;
    esac
    ./muster check "$config" --input-shape $shape || failed=1
done
[ "$n" -ge 3 ] || { echo "only $n recipes in $root/configs"; exit 1; }
exit $failed
