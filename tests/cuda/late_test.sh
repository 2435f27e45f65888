#!/bin/sh
# Training on a device never waits for all that it was given: losses are those of a run that waits in every iteration, an iteration is a few calls, and
# numbers that are not finite are told with their iteration and the operation that gave them (more of it in explain_test.sh).
. "${srcdir:-.}/tests/run/common.sh"
grep -q '^#define HAVE_CUDA_EMULATED 1' "$build/config.h" || { echo "skipped: the device is not emulated"; exit 77; }
export MU_FALLBACK=error MUSTER_EMULATE_COUNT="$PWD/count.txt"
pack
run="device=cuda:0 default_hooks.checkpoint=null val_cfg=null val_dataloader=null val_evaluator=null"

# count NAME of the newest run
count() {
    tail -n 1 count.txt | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"
}

few="default_hooks.logger.interval=10"
expect 0 1 train "$configs/lenet.yaml" --work-dir short --cfg-options $run $few train_cfg.max_epochs=1
waits=$(count waits) calls=$(count calls)
expect 0 1 train "$configs/lenet.yaml" --work-dir longer --cfg-options $run $few train_cfg.max_epochs=3
waits=$(($(count waits) - waits)) calls=$(($(count calls) - calls))
[ $failed -eq 0 ] || exit 1
# 50 iterations more, with 4 lines of the log, and the ends of 2 epochs. Lines and slots for inputs wait for an event behind them, nothing for a stream.
echo "50 iterations: $waits times waited for a stream, $calls calls"
[ "$waits" -eq 0 ] || complain "a stream was waited for $waits times in 50 iterations"
[ "$calls" -le $((50 * 13)) ] || complain "$calls calls in 50 iterations"

expect 0 1 train "$configs/lenet.yaml" --work-dir late --cfg-options $run train_cfg.max_epochs=1
export MU_LATE=0
expect 0 1 train "$configs/lenet.yaml" --work-dir now --cfg-options $run train_cfg.max_epochs=1
unset MU_LATE
[ $failed -eq 0 ] || exit 1
same_scalars late now 25
# The same order by order: nothing comes from its being recorded.
export MU_RECORD=0
expect 0 1 train "$configs/lenet.yaml" --work-dir single --cfg-options $run train_cfg.max_epochs=1
unset MU_RECORD
same_scalars late single 25

# A learning rate that leads to infinity, in the same iteration whenever one looks.
bad="optim_wrapper.optimizer.lr=1e30 param_scheduler=null optim_wrapper.clip_grad=null train_cfg.max_epochs=1"
expect 1 1 train "$configs/lenet.yaml" --work-dir bad --cfg-options $run $bad
cat err
grep -A 1 '^muster: ' err >late.message
grep -q 'training, epoch [0-9]*, iteration [0-9]*: .* gives NaN or infinity' late.message || complain 'no operation is named'
grep -q 'MU_LATE' late.message && complain 'there is nothing more to find out'
grep -q Hook late.message && complain 'a hook is blamed'
export MU_LATE=0
expect 1 1 train "$configs/lenet.yaml" --work-dir bad_now --cfg-options $run $bad
grep -A 1 '^muster: ' err >now.message
cmp late.message now.message || complain "at once: $(cat now.message)"
exit $failed
