#!/bin/sh
# model_wrapper_cfg in whole runs: whatever way the gradients go, two ranks learn what one does; what goes wrong is told once, by all.
. "${srcdir:-.}/tests/run/failing.sh"
pack

# The last stage of the network has no influence on the loss.
cat >net.yaml <<'EOF'
model:
  type: ImageClassifier
  data_preprocessor: {type: ImgDataPreprocessor, mean: [8.0], std: [8.0]}
  backbone: {type: ResNet_CIFAR, depth: 18, in_channels: 1, stem_channels: 8, base_channels: 8, out_indices: [2], norm_eval: true}
  neck: {type: GlobalAveragePooling}
  head: {type: LinearClsHead, num_classes: 10, loss: {type: CrossEntropyLoss}}
train_dataloader:
  batch_size: 16
  dataset: {type: HDF5Dataset, path: train.h5, indices: 128}
  sampler: {type: DefaultSampler, shuffle: true}
optim_wrapper: {optimizer: {type: SGD, lr: 0.05, momentum: 0.9}}
train_cfg: {by_epoch: true, max_epochs: 3}
default_hooks: {logger: {type: LoggerHook, interval: 1, ignore_last: false}, checkpoint: {type: CheckpointHook, interval: 3}}
randomness: {seed: 7}
EOF
wrapper=model_wrapper_cfg

expect 0 1 train net.yaml --work-dir one --cfg-options train_dataloader.batch_size=32
expect 0 1 train net.yaml --work-dir wide --cfg-options train_dataloader.batch_size=32 optim_wrapper.accumulative_counts=2

# as_one DIR ONE TOLERANCE OPTIONS...: two ranks with these options go the way of one.
as_one() {
    dir=$1 one=$2 tolerance=$3
    shift 3
    expect 0 2 train net.yaml --work-dir "$dir" --cfg-options "$@" || return
    "$muster" ckpt diff $one/epoch_3.h5 "$dir/epoch_3.h5" --tolerance "$tolerance" >out 2>err || complain "$dir: other weights than those of one rank"
}
as_one large one 1e-5 $wrapper.bucket_cap_mb=64
as_one small one 1e-5 $wrapper.bucket_cap_mb=0.02
as_one chosen one 1e-5 $wrapper.hierarchical=true $wrapper.find_unused_parameters=true
as_one apart one 1e-5 $wrapper.broadcast_buffers=false $wrapper.bucket_cap_mb=0.02
as_one summed wide 1e-5 $wrapper.bucket_cap_mb=0.02 optim_wrapper.accumulative_counts=2
as_one narrow one 5e-3 $wrapper.gradient_dtype=bfloat16 $wrapper.bucket_cap_mb=0.02
"$muster" ckpt diff one/epoch_3.h5 narrow/epoch_3.h5 --tolerance 1e-5 >out 2>err && complain 'bfloat16 on the wire rounds nothing'
grep -q 'gradients: [0-9]* messages of' "$(log_dir small)"/*.log || complain 'the log does not tell how gradients travelled'
messages() { sed -n 's/.*gradients: \([0-9]*\) messages.*/\1/p' "$(log_dir "$1")"/*.log; }
[ "$(messages large)" -lt "$(messages small)" ] || complain "$(messages large) messages are not fewer than $(messages small)"
[ "$(messages summed)" -eq $(($(messages small) / 2)) ] || complain "$(messages summed) messages: gradients travel before they are used"

# A fixed order gives the same bits whatever the buckets, and on a slow network.
as_one fixed one 1e-5 $wrapper.fixed_order=true $wrapper.bucket_cap_mb=0.02
expect 0 2 train net.yaml --work-dir fixed_large --cfg-options $wrapper.fixed_order=true $wrapper.bucket_cap_mb=64
same fixed/epoch_3.h5 fixed_large/epoch_3.h5
MUSTER_COMM_DELAY=200,1000 expect 0 2 train net.yaml --work-dir fixed_slow --cfg-options $wrapper.fixed_order=true $wrapper.bucket_cap_mb=0.02
same fixed/epoch_3.h5 fixed_slow/epoch_3.h5

# What has no influence on the loss is an error where that is wanted.
refused 2 train net.yaml --work-dir refused --cfg-options $wrapper.detect_anomalous_params=true
says '15 parameters have no influence on the loss: ' 'backbone.layer4.0.conv1.weight' 'hint: model_wrapper_cfg: {detect_anomalous_params: false}'

# A loss that is not finite, while gradients travel: all leave, and the first operation is named.
refused 3 train net.yaml --work-dir nan --cfg-options optim_wrapper.optimizer.lr=1e30 $wrapper.bucket_cap_mb=0.02
says 'training, epoch 1, iteration ' 'gives NaN or infinity' 'hint: '

# Wrong options.
refused 2 train net.yaml --work-dir wrong --cfg-options $wrapper.bucket_cap_mb=-1
says 'model_wrapper_cfg.bucket_cap_mb' 'number > 0'
refused 1 train net.yaml --work-dir wrong --cfg-options $wrapper.gradient_dtype=float8
says 'model_wrapper_cfg.gradient_dtype' 'float32, bfloat16'
refused 1 train net.yaml --work-dir wrong --cfg-options $wrapper.type=MMDistributedDataParalel
says "did you mean 'MMDistributedDataParallel'"
exit $failed
