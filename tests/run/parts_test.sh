#!/bin/sh
# A model with two optimizers (doc/examples/gan.yaml): the number of ranks does not matter, a resumed run is the same, and what does not fit is named.
. "${srcdir:-.}/tests/run/common.sh"
MUSTER_PLUGIN_PATH=$build/doc/examples/.libs:$MUSTER_PLUGIN_PATH
pack
gan=$source/doc/examples/gan.yaml

for n in 1 2 3; do
    expect 0 $n train "$gan" --work-dir ranks$n --cfg-options train_dataloader.batch_size=$((48 / n)) || continue
    for tag in loss loss_generator loss_real loss_fake grad_norm generator.lr discriminator.lr; do
        [ "$(scalars ranks$n | grep -c "^$tag ")" -eq 100 ] || complain "$n ranks: not 100 of $tag"
    done
    [ $n -eq 1 ] && continue
    close ranks1 ranks$n 100
    "$muster" ckpt diff ranks1/epoch_4.h5 ranks$n/epoch_4.h5 --tolerance 1e-4 >out 2>err || complain "$n ranks: other weights"
done
scalars ranks1 | grep '^generator.lr 1 0.0001' >/dev/null || complain 'the schedule of the generator'
scalars ranks1 | grep '^discriminator.lr 100 0.005' >/dev/null || complain 'the schedule of the discriminator'

# Bit by bit, from the middle of an epoch, with both optimizers and schedules; then at another number of ranks.
for n in 1 2; do
    batch="train_dataloader.batch_size=$((48 / n))"
    expect 0 $n train "$gan" --work-dir half$n --cfg-options $batch default_hooks.checkpoint.interval=37 default_hooks.checkpoint.by_epoch=false
    expect 0 $n train "$gan" --work-dir half$n --resume half$n/iter_37.h5 --cfg-options $batch
    same ranks$n/epoch_4.h5 half$n/epoch_4.h5
done
"$muster" ckpt info half1/epoch_4.h5 >out 2>err || complain 'ckpt info'
grep -q 'optimizer    generator: Adam, 100 steps, lr 0.001$' out || complain 'ckpt info: the optimizer of the generator'
grep -q 'optimizer    discriminator: SGD, 100 steps, lr 0.005$' out || complain 'ckpt info: the optimizer of the discriminator'
"$muster" ckpt info --json half1/epoch_4.h5 | tr -d '\n' >out
grep -q '"optimizer": {"generator": {"type": "Adam", "steps": 100, "lr": \[[0-9.e-]*\]}, "discriminator": {"type": "SGD"' out || complain 'ckpt info --json'
expect 0 2 train "$gan" --work-dir half1 --resume half1/iter_37.h5 --cfg-options train_dataloader.batch_size=24
"$muster" ckpt diff ranks1/epoch_4.h5 half1/epoch_4.h5 --tolerance 1e-4 >out 2>err || complain 'resumed at 2 ranks: other weights'

# One schedule for both; no wrapper named; both parts' figures in the check.
cat >shared.yaml <<END
_base_: $gan
model_wrapper_cfg: null
optim_wrapper: {constructor: GANConstructor}
param_scheduler: {_delete_: true, type: ConstantLR, factor: 0.5, by_epoch: false, end: 10}
END
expect 0 2 train shared.yaml --work-dir shared --cfg-options train_cfg.max_epochs=1
for wanted in 'generator.lr 1 0.0005' 'generator.lr 13 0.001' 'discriminator.lr 1 0.025' 'discriminator.lr 13 0.05'; do
    scalars shared | grep -q "^$wanted" || complain "one schedule for both: no $wanted"
done
"$muster" check "$gan" --cfg-options train_dataloader.dataset.path=train.h5 >out 2>err || complain 'muster check'

# What does not fit.
wrong() {
    said=$1
    shift
    mpi 2 train "$gan" --work-dir wrong --cfg-options "$@"
    [ "$status" -ne 0 ] && [ "$status" -ne 124 ] || complain "$*: status $status"
    grep -q -e "$said" err || complain "$*: nobody says '$said'"
}
wrong 'MMDistributedDataParallel is for models that are trained as a whole, this one is trained in parts' model_wrapper_cfg.type=MMDistributedDataParallel
wrong 'there is none for part "discriminator"' optim_wrapper.discriminator=null
wrong 'optim_wrapper.generator.accumulative_counts: parts are updated by every batch' optim_wrapper.generator.accumulative_counts=2
wrong 'optim_wrapper.generator.optimizer.lrr' optim_wrapper.generator.optimizer.lrr=1
wrong 'param_scheduler.generator.factr' param_scheduler.generator.factr=1
mpi 1 train "$configs/lenet.yaml" --work-dir wrong --cfg-options model_wrapper_cfg.type=MMSeparateDistributedDataParallel
grep -q 'MMSeparateDistributedDataParallel is for models that are trained in parts' err || complain 'a whole model takes the separate wrapper'
exit $failed
