#!/bin/sh
# A LeNet on the digits learns on the device what it learns on the processor: the same losses, with nothing of the network on the host.
. "${srcdir:-.}/tests/run/common.sh"
grep -q '^#define HAVE_CUDA 1' "$build/config.h" || { echo "skipped: built without CUDA"; exit 77; }
"$muster" env >env.txt 2>err || complain 'muster env fails'
grep -q '^cuda:0 ' env.txt || { echo "skipped: $(sed -n 's/.*cuda (\(no CUDA device[^)]*\).*/\1/p' env.txt)"; exit 77; }
grep '^cuda:0 ' env.txt
pack
run=train_cfg.max_epochs=2
expect 0 1 train "$configs/lenet.yaml" --work-dir cpu --cfg-options $run device=cpu
export MU_FALLBACK=error
expect 0 1 train "$configs/lenet.yaml" --work-dir cuda --cfg-options $run device=cuda:0
[ $failed -eq 0 ] || exit 1
close cpu cuda 50

# A run that is taken up again goes on as if it had not ended.
expect 0 1 train "$configs/lenet.yaml" --work-dir again --cfg-options train_cfg.max_epochs=1 device=cuda:0
expect 0 1 train "$configs/lenet.yaml" --work-dir again --resume --cfg-options $run device=cuda:0
close cuda again 50

# An average of the weights, too.
cat >ema.yaml <<END
_base_: $configs/lenet.yaml
custom_hooks: [{type: EMAHook, ema_type: MomentumAnnealingEMA, gamma: 10, momentum: 0.05}]
END
expect 0 1 train ema.yaml --work-dir ema-cpu --cfg-options $run device=cpu
expect 0 1 train ema.yaml --work-dir ema --cfg-options $run device=cuda:0
expect 0 1 train ema.yaml --work-dir ema-again --cfg-options train_cfg.max_epochs=1 device=cuda:0
expect 0 1 train ema.yaml --work-dir ema-again --resume --cfg-options $run device=cuda:0
"$muster" ckpt diff ema-cpu/epoch_2.h5 ema/epoch_2.h5 --tolerance 1e-4 >out 2>err || complain 'another average'
"$muster" ckpt diff ema/epoch_2.h5 ema-again/epoch_2.h5 --tolerance 1e-4 >out 2>err || complain 'another average, taken up again'

# Products in bf16: within 2 * 4 layers * 2^-8 of each other as long as outputs stay below 1.
expect 0 1 train "$configs/lenet.yaml" --work-dir amp --cfg-options train_cfg.max_epochs=1 optim_wrapper.type=AmpOptimWrapper \
    optim_wrapper.dtype=bfloat16 device=cuda:0
scalars amp | grep '^loss ' | sort -k 2n >amp.loss
head -n 25 cuda.loss | paste - amp.loss | awk '
    { d = $3 - $6; if (d < 0) d = -d; if (d > worst) worst = d }
    END { print "bf16: " NR " losses differ by " worst + 0; exit !(NR == 25 && worst > 0 && worst <= 8 / 256) }' >out || complain 'other losses in bf16'
cat out

# In f16 as close as that is to f32: 2 * 4 layers * 2^-11. A scale that is far too large is halved until the gradients fit; steps are skipped until then.
# A run that is taken up again keeps it.
f16="optim_wrapper.type=AmpOptimWrapper optim_wrapper.dtype=float16 device=cuda:0"
expect 0 1 train "$configs/lenet.yaml" --work-dir f16 --cfg-options train_cfg.max_epochs=1 $f16
scalars f16 | grep '^loss ' | sort -k 2n >f16.loss
head -n 25 cuda.loss | paste - f16.loss | awk '
    { d = $3 - $6; if (d < 0) d = -d; if (d > worst) worst = d }
    END { print "f16: " NR " losses differ by " worst + 0; exit !(NR == 25 && worst > 0 && worst <= 8 / 2048) }' >out || complain 'other losses in f16'
cat out
# left DIR EPOCH: steps, loss scale and skipped steps of a checkpoint.
left() {
    "$muster" ckpt info "$1/epoch_$2.h5" | sed -n 's/.*optimizer .*SGD, \([0-9]* steps\).*loss scale \(.*\) skipped$/\1, \2/p'
}
[ "$(left f16 1)" = '25 steps, 65536, 0' ] || complain "the loss scale is left as: $(left f16 1)"
f16="$f16 optim_wrapper.loss_scale.init_scale=1e9 optim_wrapper.loss_scale.growth_interval=8"
expect 0 1 train "$configs/lenet.yaml" --work-dir over --cfg-options $run $f16
expect 0 1 train "$configs/lenet.yaml" --work-dir part --cfg-options train_cfg.max_epochs=1 $f16
expect 0 1 train "$configs/lenet.yaml" --work-dir part --resume --cfg-options $run $f16
close over part 50
echo "f16 from a scale of 1e9: $(left over 1) skipped, $(left over 2) skipped after a second epoch"
[ "$(left over 2)" = "$(left part 2)" ] || complain "taken up again: $(left part 2) skipped"
case $(left over 1) in
'25 steps'* | *', 0' | '') complain 'nothing overflowed' ;;
esac

# The checkpoint does not tell where it was made: the processor sees the same accuracy.
accuracy() {
    sed -n 's/.*accuracy\/top1: \([0-9.]*\).*/\1/p' | tail -n 1
}
saw=$(cat "$(log_dir cuda)"*.log | accuracy)
expect 0 1 val "$configs/lenet.yaml" cuda/epoch_2.h5 --work-dir val --cfg-options device=cpu
now=$(cat out err | accuracy)
echo "accuracy on the device $saw, on the processor $now"
awk -v a="$saw" -v b="$now" 'BEGIN { d = a - b; exit !(a > 0 && b > 0 && d * d <= (100 / 360) ^ 2 + 1e-6) }' || complain 'another accuracy'

exit $failed
