#!/bin/sh
# The optimizer's step on two devices: norms of gradients that lie in pieces, added up between the devices and clipped by, and a loss scale that all ranks
# move alike. As on the processor.
. "${srcdir:-.}/tests/run/common.sh"
grep -q '^#define HAVE_CUDA_EMULATED 1' "$build/config.h" || { echo "skipped: built without an emulated device"; exit 77; }
unset CUDA_VISIBLE_DEVICES MUSTER_DEVICE
export MUSTER_EMULATE_DEVICES=2 MU_FALLBACK=error
pack
options="train_cfg.max_epochs=1 optim_wrapper.clip_grad.max_norm=0.05 optim_wrapper.optimizer._delete_=True optim_wrapper.optimizer.type=AdamW
    optim_wrapper.optimizer.lr=0.001"
f16="optim_wrapper.type=AmpOptimWrapper optim_wrapper.dtype=float16 optim_wrapper.loss_scale.init_scale=1e9"

norms() {
    scalars "$1" | grep '^grad_norm ' | sort -k 2n >"$1.norms"
}

scale() {
    "$muster" ckpt info "$1/epoch_1.h5" | sed -n 's/.*optimizer .*AdamW, \([0-9]* steps\).*loss scale \(.*\) skipped$/\1, \2/p'
}

for wrapper in MMDistributedDataParallel MMFullyShardedDataParallel; do
    expect 0 2 train "$configs/lenet.yaml" --work-dir cpu --cfg-options $options device=cpu model_wrapper_cfg.type=$wrapper
    expect 0 2 train "$configs/lenet.yaml" --work-dir cuda --cfg-options $options device=cuda model_wrapper_cfg.type=$wrapper
    close cpu cuda 13
    norms cpu
    norms cuda
    paste cpu.norms cuda.norms | awk -v n=13 '
        { d = ($3 - $6) / $3; if (d < 0) d = -d; if (d > worst) worst = d; above += $3 > 0.05 }
        END { print "norms within " worst + 0 ", " above " of " NR " clipped"; exit !(NR == n && above > 6 && worst <= 1e-5) }' >out ||
        complain "$wrapper: other norms"
    cat out
    expect 0 2 train "$configs/lenet.yaml" --work-dir f16 --cfg-options $options $f16 device=cuda model_wrapper_cfg.type=$wrapper
    echo "$wrapper in f16: $(scale f16) skipped"
    [ "$(scale f16)" = '3 steps, 976562, 10' ] || complain "$wrapper: 1e9 is to be halved ten times: $(scale f16)"
    rm -rf cpu cuda f16
done
exit $failed
