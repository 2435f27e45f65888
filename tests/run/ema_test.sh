#!/bin/sh
# An average of the weights: taken up again it goes on bit by bit, ranks and pieces do not matter to it, and what is validated, tested and saved is the average.
. "${srcdir:-.}/tests/run/common.sh"
pack

# ema BASE OPTIONS: writes ema.yaml.
ema() {
    cat >ema.yaml <<END
_base_: $configs/$1
train_cfg: {max_epochs: 2}
custom_hooks: [{type: EMAHook, $2}]
END
}

# accuracies DIR: of the validations.
accuracies() {
    scalars "$1" | grep '^accuracy' >"$1.accuracies"
    [ -s "$1.accuracies" ] || complain "$1: no accuracies"
}

# ---- stopped in the middle of an epoch, with running statistics in the average or beside it ----
for buffers in false true; do
    for n in 1 2; do
        what=buffers-$buffers-$n
        ema adamw_bn.yaml "ema_type: MomentumAnnealingEMA, gamma: 5, momentum: 0.1, interval: 2, begin_iter: 3, update_buffers: $buffers"
        expect 0 $n train ema.yaml --work-dir $what --cfg-options train_dataloader.batch_size=$((48 / n)) || continue
        sed 's/custom_hooks: \[/&{type: FaultHook, point: before_train_iter, iter: 8, rank: 0, action: term}, /' ema.yaml >stop.yaml
        echo 'custom_imports: {imports: [fault_hook]}' >>stop.yaml
        expect 75 $n train stop.yaml --work-dir $what-term --cfg-options train_dataloader.batch_size=$((48 / n)) || continue
        expect 0 $n train ema.yaml --work-dir $what-term --resume --cfg-options train_dataloader.batch_size=$((48 / n)) || continue
        same $what/epoch_2.h5 $what-term/epoch_2.h5
        same_scalars $what $what-term 12
    done
done

# ---- ranks and pieces ----
for n in 1 2; do
    ema lenet.yaml 'momentum: 0.05, begin_epoch: 2'
    expect 0 $n train ema.yaml --work-dir whole$n --cfg-options train_dataloader.batch_size=$((48 / n)) model_wrapper_cfg.type=MMDistributedDataParallel \
        model_wrapper_cfg.fixed_order=true
    accuracies whole$n
done
"$muster" ckpt diff whole1/epoch_2.h5 whole2/epoch_2.h5 --tolerance 1e-5 >out 2>err || complain 'two ranks: other averages'
cmp -s whole1.accuracies whole2.accuracies || complain 'two ranks: other accuracies'
for stage in SHARD_OPTIMIZER SHARD_GRAD_OP FULL_SHARD; do
    cat >>ema.yaml <<END
model_wrapper_cfg: {type: MMFullyShardedDataParallel, sharding_strategy: $stage, fsdp_auto_wrap_policy: {min_num_params: 2000}, fixed_order: true}
END
    expect 0 2 train ema.yaml --work-dir $stage --cfg-options train_dataloader.batch_size=24 || continue
    same whole2/epoch_2.h5 $stage/epoch_2.h5
    accuracies $stage
    cmp -s whole2.accuracies $stage.accuracies || complain "$stage: other accuracies"
    sed 's/custom_hooks: \[/&{type: FaultHook, point: before_train_iter, iter: 31, rank: 1, action: term}, /' ema.yaml >stop.yaml
    echo 'custom_imports: {imports: [fault_hook]}' >>stop.yaml
    expect 75 2 train stop.yaml --work-dir $stage-term --cfg-options train_dataloader.batch_size=24
    expect 0 2 train ema.yaml --work-dir $stage-term --resume --cfg-options train_dataloader.batch_size=24
    same whole2/epoch_2.h5 $stage-term/epoch_2.h5
    sed -i '/^model_wrapper_cfg/d' ema.yaml
done

# ---- what is tested: the average, as in the last validation; the model itself, as validated without the hook ----
ema lenet.yaml 'momentum: 0.01, evaluate_on_origin: true'
expect 0 1 train ema.yaml --work-dir both
ema lenet.yaml 'momentum: 0.01, evaluate_on_ema: false'
grep -q 'switched on' err && complain 'it warns of nothing'
expect 0 1 train ema.yaml --work-dir origin
grep -q 'evaluate_on_origin is switched on' err || complain 'it does not say that it validates the model itself'
scalars both | sed -n 's/^\(accuracy[^ ]*\)_origin/\1/p' >one
scalars origin | grep '^accuracy' >two
[ -s one ] && cmp -s one two || complain 'the model itself has other accuracies'
scalars both | grep '^accuracy' | grep -v _origin >average
cmp -s average one && complain 'the average has the accuracies of the model'
same both/epoch_2.h5 origin/epoch_2.h5
last=$(sed -n 's|^accuracy/top1 2 ||p' average)
expect 0 1 test "$configs/lenet.yaml" both/epoch_2.h5 --work-dir tested
grep -q "accuracy/top1: $(printf %.4f "$last")" out err || complain "without the hook: not the average's $last"
ema lenet.yaml 'momentum: 0.01, evaluate_on_origin: true'
expect 0 2 test ema.yaml both/epoch_2.h5 --work-dir tested
own=$(sed -n 's|^accuracy/top1 2 ||p' one)
grep -q "accuracy/top1: $(printf %.4f "$last")" out err || complain "with the hook: not the average's $last"
grep -q "accuracy/top1_origin: $(printf %.4f "$own")" out err || complain "with the hook: not the model's own $own"

# ---- files with an average and without one ----
expect 0 1 train "$configs/lenet.yaml" --work-dir plain --cfg-options train_cfg.max_epochs=1
cp -r plain begun
ema lenet.yaml 'momentum: 0.01'
expect 0 1 train ema.yaml --work-dir begun --resume
grep -q "there is no ema_state_dict in 'begun/epoch_1.h5'" err || complain 'a file without an average: no warning'
cp -r both left
expect 0 1 train "$configs/lenet.yaml" --work-dir left --resume --cfg-options train_cfg.max_epochs=3
grep -q "the weights of 'left/epoch_2.h5' are an average" err || complain 'an average without a hook: no warning'

# ---- told before anything runs ----
refused() {
    ema lenet.yaml "$1"
    "$muster" check ema.yaml >out 2>err
    [ $? -eq 2 ] && grep -q "$2" out err || complain "$1 is not refused"
}
refused 'begin_epoch: 3' 'begin_epoch is 3, but training ends with epoch 2'
refused 'begin_epoch: 1, begin_iter: 1' 'cannot both be set'
refused 'gamma: 3' gamma
refused 'ema_type: ExponentialMovingAverag' "ExponentialMovingAverage"
exit $failed
