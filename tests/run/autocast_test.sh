#!/bin/sh
# AmpOptimWrapper: products in bf16, while parameters and checkpoints stay f32, so that a run without it can take them up.
. "${srcdir:-.}/tests/run/common.sh"
pack
epochs=train_cfg.max_epochs=3
expect 0 1 train "$configs/lenet.yaml" --work-dir plain --cfg-options $epochs
expect 0 1 train "$configs/lenet.yaml" --work-dir amp --cfg-options $epochs optim_wrapper.type=AmpOptimWrapper optim_wrapper.dtype=bfloat16

# The same parameters of the same types, but not the same numbers.
for run in plain amp; do
    "$muster" ckpt info $run/epoch_3.h5 >out 2>err || complain "$run: no checkpoint"
    sed -n '/^  parameters/,$p' out | sort >$run.parameters
done
cmp -s plain.parameters amp.parameters || complain 'the checkpoints hold other parameters'
[ "$(grep -c ' f32\[' amp.parameters)" -eq 8 ] || complain 'not all 8 parameters are f32'
"$muster" ckpt diff plain/epoch_3.h5 amp/epoch_3.h5 >out 2>err && complain 'autocast changes nothing'

# Losses of about 2.3: within 2 * 4 layers * 2^-8 of each other as long as outputs stay below 1, and they fall.
for run in plain amp; do
    scalars $run | grep '^loss ' | sort -k 2n >$run.loss
done
paste plain.loss amp.loss | awk '
    { d = $3 - $6; if (d < 0) d = -d; if (d > worst) worst = d; first = NR == 1 ? $6 : first; last = $6 }
    END { print "worst difference of " NR " losses: " worst ", from " first " to " last
          exit !(NR == 75 && worst > 0 && worst <= 8 / 256 && last < first - 0.1) }' >out || complain 'other losses in bf16'
cat out

# Validation without autocast: the accuracy that the run itself saw, but for one sample of 360 or two.
accuracy() {
    sed -n 's/.*accuracy\/top1: \([0-9.]*\).*/\1/p' | tail -n 1
}
saw=$(cat "$(log_dir amp)"*.log | accuracy)
expect 0 1 val "$configs/lenet.yaml" amp/epoch_3.h5 --work-dir val
now=$(cat out err | accuracy)
echo "accuracy with autocast $saw, without $now"
awk -v a="$saw" -v b="$now" 'BEGIN { d = a - b; exit !(a > 0 && b > 0 && d * d <= (200 / 360) ^ 2 + 1e-6) }' || complain 'another accuracy without autocast'

# And training goes on without it.
expect 0 1 train "$configs/lenet.yaml" --work-dir amp --resume --cfg-options train_cfg.max_epochs=4
[ -f amp/epoch_4.h5 ] || complain 'no epoch_4.h5 after a resume without autocast'
exit $failed
