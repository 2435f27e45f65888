#!/bin/sh
# Numbers that are not finite: whatever later iteration a device's losses are looked at in, a run names the iteration, the ranks and the operation that one
# names that waits in every iteration (MU_LATE=0), and nothing is saved afterwards.
. "${srcdir:-.}/tests/run/failing.sh"
grep -q '^#define HAVE_CUDA_EMULATED 1' "$build/config.h" || { echo "skipped: the device is not emulated"; exit 77; }
unset CUDA_VISIBLE_DEVICES MUSTER_DEVICE
export MUSTER_EMULATE_DEVICES=2 MU_FALLBACK=error
MUSTER_PLUGIN_PATH=$build/tests/cuda/.libs:$build/doc/examples/.libs:$MUSTER_PLUGIN_PATH
pack

# 240 images: pixel 5 of image 137 is WHAT, or (zeros) all of its pixels are 0. Which rank has it in which batch is the order's.
images() {
    awk -v what="$1" 'BEGIN { for (i = 0; i < 240; i++) { printf "%d", i % 10
        for (j = 0; j < 64; j++) printf ",%s", i != 137 ? 1 + j % 7 : what == "zeros" ? 0 : j == 5 ? what : 1; print "" } }' >"$1.csv"
    "$muster" data pack "$1.h5" --csv "$1.csv" --dtype f32 --shape 1,8,8 >out 2>err || { complain "$1.h5 is not packed"; exit 1; }
}
images nan
images zeros

# Nothing but a device is waited for: no line of the log, no validation.
few='train_cfg: {max_epochs: 2}
val_cfg: null
val_dataloader: null
val_evaluator: null
param_scheduler: null
default_hooks: {logger: {type: LoggerHook, interval: 1000}}'
data='train_dataloader: {batch_size: 10, dataset: {path: nan.h5, indices: 240, pipeline: null}}'
cat >nan.yaml <<END
_base_: $configs/lenet.yaml
$data
$few
END
cat >sync.yaml <<END
_base_: $configs/resnet_sync.yaml
$data
$few
END
cat >norms.yaml <<END
_base_: $configs/adamw_bn.yaml
$data
$few
END
cat >gan.yaml <<END
_base_: $source/doc/examples/gan.yaml
$data
train_cfg: {max_epochs: 2}
default_hooks: {logger: {type: LoggerHook, interval: 1000}}
END
cat >root.yaml <<END
_base_: nan.yaml
custom_imports: {imports: [root_model]}
model: {_delete_: true, type: RootModel}
optim_wrapper: {clip_grad: null, optimizer: {lr: 0.0001}}
train_dataloader: {dataset: {path: zeros.h5}}
END

cat >endless.yaml <<END
_base_: nan.yaml
train_dataloader: {sampler: {_delete_: true, type: InfiniteSampler}}
train_cfg: {_delete_: true, by_epoch: false, max_iters: 60}
log_processor: {by_epoch: false}
END

# ends_alike RANKS CONFIG OPTIONS...: late and at once, with one message, which names an operation.
ends_alike() {
    n=$1 config=$2
    shift 2
    MU_LATE=0 refused "$n" train "$config" --work-dir now --cfg-options device=cuda "$@"
    mv message now.message
    refused "$n" train "$config" --work-dir late --cfg-options device=cuda "$@"
    sed 's/ looked at after [0-9]* more updates\{0,1\}://' message | cmp -s - now.message ||
        { diff now.message message; complain "$what: another message than at once"; }
    says 'training, epoch ' ' gives NaN or infinity' 'hint: its operands'
    grep -q 'MU_LATE' message && complain "$what: there is nothing more to find out"
    head -n 1 message
}

wrapper=model_wrapper_cfg
shards="$wrapper.type=MMFullyShardedDataParallel $wrapper.sharding_strategy"
wild='train_dataloader.dataset.path=train.h5 optim_wrapper.optimizer.lr=1e30 optim_wrapper.clip_grad=null'
sums=optim_wrapper.accumulative_counts

# ---- a learning rate that leads to infinity, and bad data ----
ends_alike 2 nan.yaml $wild
says 'all 2 ranks: training, epoch 1, iteration 2: step 1: ' 'conv2d '
for config in nan endless; do
    ends_alike 2 $config.yaml
    says 'rank 0/2: training, ' 'normalize "data_preprocessor"' ' in [1, 7] with 1 NaN or infinite'
done

# ---- running statistics that bad data have spoilt since, on all ranks, are not to blame ----
for config in norms sync; do
    ends_alike 2 $config.yaml
    says 'normalize "data_preprocessor"'
    [ "$(grep -c ' gives NaN or infinity' message)" -eq 1 ] || complain "$what: more than one rank is blamed"
done

for n in 1 2; do
    # ---- batches of several sizes; one of several whose gradients are added up, and of a loss that is finite ----
    for options in train_dataloader.batch_size=28 $sums=3; do
        ends_alike $n nan.yaml $options
        says 'normalize "data_preprocessor"' ' in [1, 7] with 1 NaN or infinite'
    done
    ends_alike $n root.yaml $sums=4
    says 'but its gradients are not finite: ' '(backward)'

    # ---- parts ----
    ends_alike $n gan.yaml
    says 'part "discriminator": training, epoch 1, iteration '

    # ---- a loss scale, under which updates go on ----
    ends_alike $n nan.yaml optim_wrapper.type=AmpOptimWrapper optim_wrapper.dtype=float16 optim_wrapper.loss_scale.init_scale=1024
    says 'normalize "data_preprocessor"'
done
ends_alike 2 gan.yaml train_dataloader.dataset.path=train.h5 optim_wrapper.generator.optimizer.lr=1e38
says 'part "' 'linear "generator.fc1"'

# ---- processors are alike ----
for config in norms sync; do
    refused 2 train $config.yaml --work-dir cpu --cfg-options device=cpu
    says 'rank 0/2: training, epoch 1, iteration 7: step 6: ' ': normalize "data_preprocessor"'
    [ "$(grep -c ' gives NaN or infinity' message)" -eq 1 ] || complain "$what: more than one rank is blamed"
done

# ---- pieces: of parameters, no rank can look alone ----
for stage in SHARD_OPTIMIZER SHARD_GRAD_OP; do
    ends_alike 2 nan.yaml $shards=$stage
    ends_alike 2 root.yaml $shards=$stage $sums=3
done
refused 2 train nan.yaml --work-dir pieces --cfg-options device=cuda $shards=FULL_SHARD
says 'all 2 ranks: training, epoch 1, iteration ' ': the loss is NaN: which operation is to blame cannot be told: the parameters are in pieces' \
    'sharding_strategy: SHARD_GRAD_OP'

# ---- a sample that is gone when it is wanted again does not hide what was found ----
cat >gone.yaml <<END
_base_: nan.yaml
custom_imports: {imports: [root_model]}
train_dataloader: {dataset: {pipeline: [{type: ReadOnce, index: 137}]}}
END
for n in 1 2; do
    refused $n train gone.yaml --work-dir gone --cfg-options device=cuda
    says 'training, epoch 1, iteration ' ': the loss is NaN' 'hint: ' 'MU_LATE=0 names the operation'
    grep -q 'WARNING - which operation is to blame cannot be told: .* sample 137 is gone' err || complain 'nobody tells why the operation is not named'
done

# ---- what was saved is from before, and another number of ranks takes it up there ----
saves="default_hooks.checkpoint.by_epoch=false default_hooks.checkpoint.interval"
refused 1 train nan.yaml --work-dir each --cfg-options device=cuda $saves=1
says ' gives NaN or infinity'
bad=$(sed -n 's/.*, iteration \([0-9]*\): step.*/\1/p' message)
whole each
[ -f "each/iter_$((bad - 1)).h5" ] && [ ! -e "each/iter_$bad.h5" ] || complain "iteration $bad is bad, and there are $(ls each)"
refused 1 train nan.yaml --work-dir some --cfg-options device=cuda $saves=5
same "some/iter_$((bad - bad % 5)).h5" "each/iter_$((bad - bad % 5)).h5"
refused 2 train nan.yaml --work-dir taken --resume each/iter_5.h5 --cfg-options device=cuda train_dataloader.batch_size=5
says 'rank ' '/2: training, epoch 1, iteration '"$bad"': ' 'normalize "data_preprocessor"'
exit $failed
