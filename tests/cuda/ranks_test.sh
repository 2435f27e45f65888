#!/bin/sh
# Ranks that train on devices, each on its own: they learn what one rank learns, whatever way the gradients go, and what they write is taken up by other
# ranks and on processors.
. "${srcdir:-.}/tests/run/failing.sh"
grep -q '^#define HAVE_NCCL 1' "$build/config.h" || { echo "skipped: built without NCCL"; exit 77; }
export MUSTER_EMULATE_DEVICES=4 MU_FALLBACK=error
"$muster" env >env.txt 2>err || complain 'muster env fails'
grep -q '^cuda:1 ' env.txt || { echo "skipped: there are no two CUDA devices"; exit 77; }
most=2
grep -q '^cuda:3 ' env.txt && most=4
pack

# learn RANKS DIR CONFIG OPTIONS...: on as many devices, with a global batch of 48.
learn() {
    n=$1 dir=$2 config=$3
    shift 3
    expect 0 "$n" train "$config" --work-dir "$dir" --cfg-options device=cuda train_dataloader.batch_size=$((48 / n)) "$@"
}

# ---- the whole model on every device: one rank's losses ----
short='train_dataloader.dataset.indices=480 val_dataloader.dataset.indices=100 param_scheduler=null'
learn 1 one "$configs/lenet.yaml" $short
for n in 2 $most; do
    learn "$n" "ranks$n" "$configs/lenet.yaml" $short && close one "ranks$n" 40
done
wrapper=model_wrapper_cfg
# An iteration with all its messages is one recording; the same order by order leads to the same bits.
export MU_LOG=debug:device
learn 2 small "$configs/lenet.yaml" $short $wrapper.bucket_cap_mb=0.005 $wrapper.broadcast_buffers=false && close one small 40
unset MU_LOG
[ "$(grep -c 'orders are recorded' err)" -eq 2 ] || complain 'an iteration, or a validation, is not one recording'
grep -q 'cannot be recorded' err && complain 'something is not recorded'
export MU_RECORD=0
learn 2 again "$configs/lenet.yaml" $short $wrapper.bucket_cap_mb=0.005 $wrapper.broadcast_buffers=false && same small/epoch_4.h5 again/epoch_4.h5
unset MU_RECORD
sums=optim_wrapper.accumulative_counts=2
learn 1 wide "$configs/lenet.yaml" $short $sums && learn 2 summed "$configs/lenet.yaml" $short $sums && close wide summed 40
learn 2 narrow "$configs/lenet.yaml" $short $wrapper.gradient_dtype=bfloat16
"$muster" ckpt diff one/epoch_4.h5 narrow/epoch_4.h5 --tolerance 5e-2 >out 2>err || complain 'bfloat16 on the wire leads elsewhere'
"$muster" ckpt diff one/epoch_4.h5 narrow/epoch_4.h5 --tolerance 1e-5 >out 2>err && complain 'bfloat16 on the wire rounds nothing'

# ---- pieces of it ----
cat >sharded.yaml <<END
_base_: $configs/lenet.yaml
model_wrapper_cfg: {type: MMFullyShardedDataParallel, fsdp_auto_wrap_policy: {min_num_params: 2000}}
END
for stage in SHARD_OPTIMIZER SHARD_GRAD_OP FULL_SHARD; do
    learn 2 $stage sharded.yaml $short $wrapper.sharding_strategy=$stage && close one $stage 40
done
export MU_RECORD=0
learn 2 unrecorded sharded.yaml $short $wrapper.sharding_strategy=FULL_SHARD && same FULL_SHARD/epoch_4.h5 unrecorded/epoch_4.h5
unset MU_RECORD
learn "$most" pieces sharded.yaml $short $sums && close wide pieces 40
learn 2 thin sharded.yaml $short $wrapper.mixed_precision.param_dtype=bfloat16 $wrapper.mixed_precision.reduce_dtype=bfloat16
"$muster" ckpt diff one/epoch_4.h5 thin/epoch_4.h5 --tolerance 5e-2 >out 2>err || complain 'bfloat16 between pieces leads elsewhere'
"$muster" ckpt diff one/epoch_4.h5 thin/epoch_4.h5 --tolerance 1e-5 >out 2>err && complain 'bfloat16 between pieces rounds nothing'

# ---- an average of the weights, whole and in pieces: validated and saved on devices as on processors ----
cat >average.yaml <<END
_base_: $configs/adamw_bn.yaml
custom_hooks: [{type: EMAHook, ema_type: MomentumAnnealingEMA, gamma: 10, momentum: 0.05, interval: 2, update_buffers: true}]
train_cfg: {max_epochs: 2}
END
learn 2 average average.yaml
expect 0 2 train average.yaml --work-dir processors --cfg-options device=cpu train_dataloader.batch_size=24
"$muster" ckpt diff processors/epoch_2.h5 average/epoch_2.h5 --tolerance 1e-3 >out 2>err || complain 'another average than on processors'
for stage in SHARD_OPTIMIZER SHARD_GRAD_OP FULL_SHARD; do
    learn 2 average-$stage average.yaml $wrapper.type=MMFullyShardedDataParallel $wrapper.fsdp_auto_wrap_policy.min_num_params=2000 \
        $wrapper.sharding_strategy=$stage
    "$muster" ckpt diff average/epoch_2.h5 average-$stage/epoch_2.h5 --tolerance 1e-4 >out 2>err || complain "$stage: another average"
    for dir in average average-$stage; do
        scalars $dir | grep '^accuracy' >$dir.accuracies
    done
    [ -s average.accuracies ] && cmp -s average.accuracies average-$stage.accuracies || complain "$stage: the average has other accuracies"
done

# ---- parts, each with an optimizer of its own ----
gan=$source/doc/examples/gan.yaml
MUSTER_PLUGIN_PATH=$build/doc/examples/.libs:$MUSTER_PLUGIN_PATH
few='train_dataloader.dataset.indices=192 train_cfg.max_epochs=2'
learn 1 parts1 "$gan" $few && learn 2 parts2 "$gan" $few && close parts1 parts2 8

# ---- norms over all ranks ----
few='train_dataloader.dataset.indices=192 train_cfg.max_epochs=1 val_dataloader.dataset.indices=100'
learn 1 norms1 "$configs/resnet_sync.yaml" $few
export MU_LOG=debug:device
learn 2 norms2 "$configs/resnet_sync.yaml" $few && close norms1 norms2 4
unset MU_LOG
grep -q 'orders are recorded' err && ! grep -q 'is another one' err || complain 'an iteration with its norms is not one recording'

# ---- checkpoints of two devices, taken up by one, by more, and by processors; validated by all ranks ----
learn 2 half "$configs/lenet.yaml" $short train_cfg.max_epochs=2
for way in '1 cuda' "$most cuda" '2 cpu'; do
    set -- $way
    rm -rf taken && cp -r half taken
    expect 0 "$1" train "$configs/lenet.yaml" --work-dir taken --resume half/epoch_2.h5 --cfg-options device=$2 train_dataloader.batch_size=$((48 / $1)) $short
    "$muster" ckpt diff one/epoch_4.h5 taken/epoch_4.h5 --tolerance 1e-4 >out 2>err || complain "taken up on $1 $2: other weights"
done
expect 0 2 val "$configs/lenet.yaml" one/epoch_4.h5 --work-dir val --cfg-options device=cuda
sed -n 's/.*accuracy\/top1: \([0-9.]*\).*/\1/p' err | tail -n 1 >two
expect 0 1 val "$configs/lenet.yaml" one/epoch_4.h5 --work-dir val --cfg-options device=cpu
sed -n 's/.*accuracy\/top1: \([0-9.]*\).*/\1/p' err | tail -n 1 | cmp -s - two && [ -s two ] || complain 'two devices validate otherwise than a processor'

# ---- what goes wrong: nobody is left waiting ----
refused 2 train "$configs/lenet.yaml" --work-dir nan --cfg-options device=cuda train_dataloader.batch_size=24 optim_wrapper.optimizer.lr=1e30 $short
says 'the loss is NaN' 'gives NaN or infinity'
cat >strike.yaml <<END
_base_: $configs/lenet.yaml
custom_imports: {imports: [fault_hook]}
custom_hooks: [{type: FaultHook, point: before_train_iter, action: error, rank: 1, iter: 3}]
END
refused 2 train strike.yaml --work-dir struck --cfg-options device=cuda train_dataloader.batch_size=24 $short
says 'rank 1/2: ' 'struck by a test'
sed 's/action: error/action: lose/' strike.yaml >lose.yaml
if grep -q '^#define HAVE_CUDA_EMULATED 1' "$build/config.h"; then
    refused 2 train lose.yaml --work-dir lost --cfg-options device=cuda train_dataloader.batch_size=24 $short
    says 'rank 1/2: ' 'the device is lost to this process'
fi
exit $failed
