#!/bin/sh
# Every shipped recipe is planned for a device with nothing of it on the host, in f32, bf16 and f16.
. "${srcdir:-.}/tests/run/common.sh"
grep -q '^#define HAVE_CUDA 1' "$build/config.h" || { echo "skipped: built without CUDA"; exit 77; }
"$muster" env >env.txt 2>err || complain 'muster env fails'
grep -q '^cuda:0 ' env.txt || { echo "skipped: $(sed -n 's/.*cuda (\(no CUDA device[^)]*\).*/\1/p' env.txt)"; exit 77; }
export MU_FALLBACK=error
found=0
for config in "$source"/configs/*/*.yaml; do
    case $config in */_base_/*) continue ;; esac
    shape=3,32,32
    case $config in */digits/*) shape=1,8,8 ;; esac
    found=$((found + 1))
    for how in "type=OptimWrapper" "type=AmpOptimWrapper" "type=AmpOptimWrapper optim_wrapper.dtype=float16"; do
        # shellcheck disable=SC2086
        "$muster" check "$config" --input-shape $shape --cfg-options device=cuda:0 train_dataloader.batch_size=2 optim_wrapper.$how >out 2>err ||
            complain "$config, $how"
        grep -q 'on cuda:0: .* parameters' out || complain "$config, $how: not planned for the device"
    done
done
echo "$found recipes"
[ $found -ge 3 ] || complain 'where are the recipes?'
exit $failed
