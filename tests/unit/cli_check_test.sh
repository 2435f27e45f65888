#!/bin/sh
# muster check beyond the keys: shapes, FLOPs, memory, data; what only building finds out. The packed recipes are accepted.
set -u
here=$(pwd)
muster=$here/muster
source=$(cd "${srcdir:-.}" && pwd)
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 99
unset MUSTER_LAUNCHER MU_LOG MU_LOG_RANKS
export OMP_NUM_THREADS=1 MUSTER_CACHE_DIR="$tmp/cache" TMPDIR="$tmp"
failed=0
python=$(command -v python3) || echo 'no python3: JSON is not checked'

complain() {
    printf '%s: %s\n' "$what" "$1"
    sed 's/^/  out: /' out
    sed 's/^/  err: /' err
    failed=1
}

run() {
    wanted=$1
    shift
    what="muster $*"
    "$muster" "$@" >out 2>err
    status=$?
    [ $status -eq "$wanted" ] || complain "status $status instead of $wanted"
}

err() { printf '%s\n' "$1" | cmp -s - err || complain "stderr is not: $1"; }
# Blanks count once.
out_has() { tr -s ' ' <out | grep -qxF -- "$1" || complain "stdout lacks the line: $1"; }
err_has() { grep -qF -- "$1" err || complain "stderr lacks: $1"; }
json() { [ -z "$python" ] || "$python" -c "import json; d = json.load(open('out')); assert $1, d" || complain "JSON: $1"; }

# 10 images u8 [1,2,3], 4 to validate on.
awk 'BEGIN { for (i = 0; i < 10; i++) print i % 2 "," i ",1,2,3,4," i }' >train.csv
head -n 4 train.csv >val.csv
run 0 data pack train.h5 --csv train.csv --shape 1,2,3
run 0 data pack val.h5 --csv val.csv --shape 1,2,3
cat >net.yaml <<'END'
model:
  type: ImageClassifier
  data_preprocessor: {type: ImgDataPreprocessor, mean: [8.0], std: [8.0]}
  backbone: {type: ResNet_CIFAR, depth: 18, in_channels: 1, stem_channels: 4, base_channels: 4}
  neck: {type: GlobalAveragePooling}
  head: {type: LinearClsHead, num_classes: 2}
train_dataloader:
  batch_size: 4
  dataset:
    type: HDF5Dataset
    path: train.h5
  sampler: {type: DefaultSampler, shuffle: true}
val_dataloader:
  batch_size: 4
  dataset: {type: HDF5Dataset, path: val.h5}
  sampler: {type: DefaultSampler, shuffle: false}
optim_wrapper:
  optimizer: {type: SGD, lr: 0.1, momentum: 0.9}
train_cfg: {by_epoch: true, max_epochs: 1, val_interval: 1}
val_cfg: {}
val_evaluator: {type: Accuracy}
END

# By hand: 4 maps of 1 * 3 * 3 weights over 6 pixels, a multiply-add counts 2; the linear layer 32 * 2 multiply-adds.
run 0 check net.yaml --depth 2
out_has 'backbone.conv1 Conv2d f32[4,4,2,3] 36 432'
out_has 'head.fc Linear f32[4,2] 66 128'
out_has 'train 10 samples, 1 rank of batch 4: global batch 4, 3 batches an epoch'
out_has 'val 4 samples, 1 rank of batch 4: global batch 4, 1 batch an epoch'
grep -q '^backbone\.layer1\.0 ' out && complain 'depth 3 is shown at --depth 2'
run 0 check net.yaml --depth 0
grep -q '^backbone' out && complain 'depth 1 is shown at --depth 0'
run 0 check net.yaml --depth 9
grep -q '^backbone\.layer1\.0\.conv1 ' out || complain 'depth 4 is not shown at --depth 9'
run 0 check net.yaml --ranks 4
out_has 'train 10 samples, 4 ranks of batch 4: global batch 16, 1 batch an epoch; 2 samples come twice in it'
run 0 check --json net.yaml --ranks 2
json 'd["count"] == 0 and d["data"][0] == {"phase": "train", "samples": 10, "batch": 4, "global_batch": 8, "batches": 2, "repeated": 0, "missing": None}'
json '[m["flops_per_sample"] for m in d["modules"] if m["path"] in ("backbone.conv1", "head.fc")] == [432, 128]'
json '[m["output"] for m in d["modules"] if m["path"] == "head.fc"] == [[4, 2]]'
json 'd["parameters"] == sum(m["parameters"] for m in d["modules"] if m["path"] in ("backbone", "head")) == d["trained"]'
json 'd["bytes"]["gradients"] == d["bytes"]["optimizer"] >= 4 * d["trained"] > 0 and d["bytes"]["activations"] > 0'
{ cat net.yaml; echo 'custom_hooks: [{type: EMAHook}]'; } >average.yaml
run 0 check --json average.yaml
json '2 * d["bytes"]["gradients"] == d["bytes"]["optimizer"]'
run 2 check net.yaml --input-shape 3,224
err_has '--input-shape takes channels, height and width'
run 2 check net.yaml --ranks 0
err_has '--ranks takes a number from 1'

# ResNet-18 at 224 has 1.82 G multiply-adds and 11,689,512 parameters, whether or not the data are here.
cat >resnet18.yaml <<'END'
model:
  type: ImageClassifier
  data_preprocessor: {type: ImgDataPreprocessor}
  backbone: {type: ResNet, depth: 18}
  neck: {type: GlobalAveragePooling}
  head: {type: LinearClsHead, num_classes: 1000}
train_dataloader:
  batch_size: 1
  dataset: {type: HDF5Dataset, path: absent.h5}
  sampler: {type: DefaultSampler, shuffle: true}
optim_wrapper: {optimizer: {type: AdamW, lr: 0.1}}
train_cfg: {by_epoch: true, max_epochs: 1}
END
run 0 check --json resnet18.yaml --input-shape 3,224,224
json 'd["parameters"] == 11689512 and abs(d["modules"][0]["flops_per_sample"] / 3.64e9 - 1) < 0.01'
json 'd["bytes"]["optimizer"] == 2 * d["bytes"]["gradients"]'
json 'd["data"][0]["samples"] == 0 and d["data"][0]["missing"].startswith("the dataset '"'absent.h5'"' cannot be opened")'
run 0 check resnet18.yaml --input-shape 3,224,224
grep -q "^train *not here: the dataset 'absent.h5' cannot be opened" out || complain 'missing data is not told'

# What is not there, or cut off, or does not fit: each with its place, which is said once.
run 2 check resnet18.yaml
err "resnet18.yaml:9:38: train_dataloader.dataset.path: the dataset 'absent.h5' cannot be opened: No such file or directory; make it with: muster data pack
muster: 1 mistake in resnet18.yaml"
head -c 2000 train.h5 >cut.h5
run 2 check net.yaml --cfg-options train_dataloader.dataset.path=cut.h5
err_has "train_dataloader.dataset.path: 'cut.h5'"
err_has 'muster: 1 mistake in net.yaml'
printf '_base_: net.yaml\nload_from:\n  nowhere.h5\n' >from.yaml
run 2 check from.yaml
err "from.yaml:3:3: load_from: the checkpoint file 'nowhere.h5' cannot be opened: No such file or directory; see that the path is right, from here and on every node
muster: 1 mistake in from.yaml"
printf '_base_: net.yaml\nload_from: train.h5\n' >from.yaml
run 2 check from.yaml
err_has 'from.yaml:2:12: load_from: '
run 2 check net.yaml --cfg-options model.backbone.in_channels=3
err_has 'net.yaml:2:3: model: '
err_has 'in_channels is 3, but the input has 1'
run 2 check net.yaml --ranks 5
err_has 'net.yaml:14:3: val_dataloader'
err_has '4 samples for 5 ranks'

# What only building finds, all of it at once.
cat >mistakes.yaml <<'END'
_base_: net.yaml
optim_wrapper:
  clip_grad: {type: foo, max_norm: 5}
param_scheduler:
  - {type: LinearLR, begin: 3, end: 2}
  - {type: LinearLR, by_epoch: false, convert_to_iter_based: true, end: 20}
default_hooks:
  checkpoint: {type: CheckpointHook, save_best: accuracy/top7}
  logger: {type: LoggerHook, priority: LOWW}
custom_hooks:
  - {type: EarlyStoppingHook, monitor: accuracy/top3, strict: true}
val_cfg: {type: TestLoop}
END
run 2 check mistakes.yaml
err "mistakes.yaml:3:21: optim_wrapper: clip_grad.type: expected one of norm, value, found string 'foo'
mistakes.yaml:5:5: param_scheduler.0: end must lie after begin, got begin 3 and end 2
mistakes.yaml:6:5: param_scheduler.1: convert_to_iter_based converts epochs, but by_epoch is false; leave convert_to_iter_based out, or count in epochs
mistakes.yaml:8:49: default_hooks.checkpoint: save_best: val_evaluator has no metric 'accuracy/top7'; its metrics are: accuracy/top1
mistakes.yaml:9:40: default_hooks.logger: priority of LoggerHook: expected a level (HIGHEST, VERY_HIGH, HIGH, ABOVE_NORMAL, NORMAL, BELOW_NORMAL, LOW, VERY_LOW, LOWEST) or a number from 0 to 100, found string 'LOWW'; did you mean 'LOW'?
mistakes.yaml:11:5: custom_hooks.0: monitor: val_evaluator has no metric 'accuracy/top3'; its metrics are: accuracy/top1
mistakes.yaml:12:17: val_cfg.type: TestLoop is a loop for test
muster: 7 mistakes in mistakes.yaml"
run 2 check --json mistakes.yaml
printf '' | cmp -s - err || complain 'stderr is not empty'
json 'd["count"] == 7 and d["mistakes"][0]["expected"] is None and d["mistakes"][6]["path"] == "val_cfg.type"'
cat >mistakes.yaml <<'END'
_base_: net.yaml
optim_wrapper:
  paramwise_cfg:
    custom_keys:
      backbone: {lr_mul: 0.1}
      head: {decay: 1}
val_evaluator: [{type: Accuracy}, {type: Accuracy}]
END
run 2 check mistakes.yaml
err_has 'mistakes.yaml:5:18: optim_wrapper: paramwise_cfg.custom_keys.backbone.lr_mul: '
err_has "did you mean 'lr_mult'?"
err_has 'mistakes.yaml:6:14: optim_wrapper: paramwise_cfg.custom_keys.head.decay: '
err_has "mistakes.yaml:7:16: val_evaluator: two metrics give 'accuracy/top1'"
err_has 'muster: 3 mistakes in mistakes.yaml'
run 2 check net.yaml --cfg-options optim_wrapper.type=AmpOptimWrapper optim_wrapper.dtype=float16
err_has 'optim_wrapper: dtype: float16 is not trained in on CPUs'

# The recipe of ResNet-50, for 64 ranks, on folders of JPEGs.
if ! grep -q '^#define HAVE_JPEG 1' "$here/config.h"; then
    echo 'no JPEG in this build: the recipe is not checked'
    exit $failed
fi
"$here/tests/unit/make_images" images 2 32 40 30 || exit 99
run 0 data pack imagenet.h5 --folder images
run 0 check "$source/configs/resnet/resnet50_imagenet.yaml" --ranks 64 --cfg-options \
    train_dataloader.dataset.path=imagenet.h5 val_dataloader.dataset.path=imagenet.h5 train_dataloader.batch_size=1
out_has 'train 64 samples, 64 ranks of batch 1: global batch 64, 1 batch an epoch'
out_has 'head.fc Linear f32[1,1000] 2.05 M 4.10 M'
run 2 check "$source/configs/resnet/resnet50_imagenet.yaml" --ranks 65 --cfg-options \
    train_dataloader.dataset.path=imagenet.h5 val_dataloader.dataset.path=imagenet.h5
err_has '64 samples for 65 ranks'
exit $failed
