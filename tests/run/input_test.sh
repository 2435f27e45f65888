#!/bin/sh
# What a run cannot be done with: one message that says what, where, expected, found and what to do; every rank ends.
. "${srcdir:-.}/tests/run/failing.sh"
pack
small_config
expect 0 2 train small.yaml --work-dir good
echo 'not a file of numbers, but a text that is long enough to be looked at' >text.h5
"$bad_file" plain plain.h5 && "$bad_file" float float.h5 || { echo 'no files to test with'; exit 99; }
head -c 40000 train.h5 >cut.h5
head -c 20000 good/epoch_2.h5 >cut_ckpt.h5

# with TEXT...: training on the dataset $data is refused.
data=
with() {
    refused 2 train small.yaml --work-dir w --cfg-options train_dataloader.dataset.path=$data train_dataloader.dataset.indices=60
    says "'$data'" "$@"
}

# ---- datasets ----
data=gone.h5 && with 'train_dataloader.dataset "HDF5Dataset"' 'lenet.yaml:' 'No such file or directory' 'hint: ' 'muster data pack'
data=cut.h5 && with 'truncated' 'hint: the file is damaged or was cut'
data=text.h5 && with 'is not a Muster dataset: it is not an HDF5 file' 'hint: '
data=plain.h5 && with 'is not a Muster dataset' 'hint: '
data=good/epoch_2.h5 && with "its muster_format is 'checkpoint'" 'hint: '

"$muster" data pack flat.h5 --csv "$source/data/digits/digits.csv.gz" --shape 4,4,4 >out 2>err || complain 'flat.h5 is not packed'
refused 2 train small.yaml --work-dir w --cfg-options train_dataloader.dataset.path=flat.h5 train_dataloader.dataset.pipeline=[]
says 'in_channels is 1, but the input has 4' 'hint: set in_channels: 4, or use a dataset whose images have 1'
refused 2 train small.yaml --work-dir w --cfg-options train_dataloader.dataset.path=float.h5 train_dataloader.dataset.indices=60
says 'CrossEntropyLoss: the labels are f32[20], expected class indices: i64[N]' 'hint: '

# ---- labels ----
"$muster" data pack labels.h5 --csv "$source/data/digits/digits.csv.gz" --shape 1,8,8 --select 0:60 >out 2>err &&
    "$bad_file" label labels.h5 7 10 || complain 'labels.h5 is not made'
refused 2 train small.yaml --work-dir w --cfg-options train_dataloader.dataset.path=labels.h5 train_dataloader.dataset.indices=60
says 'labels.h5: sample 7 has label 10, outside of its 10 classes' 'hint: labels count from 0 to 9'
refused 2 train small.yaml --work-dir w --cfg-options model.head.num_classes=8
says 'training, epoch 1, iteration 1: gt_label of row ' 'labels of 8 classes are 0 to 7' 'hint: model.head.num_classes, or the labels of the dataset'

# ---- numbers ----
awk 'BEGIN { for (i = 0; i < 60; i++) { printf "%d", i % 10; for (j = 0; j < 64; j++) printf ",%s", i == 37 && j == 5 ? "nan" : j % 7; print "" } }' >nan.csv
"$muster" data pack nan.h5 --csv nan.csv --dtype f32 --shape 1,8,8 >out 2>err || complain 'nan.h5 is not packed'
for device in cpu cpu:simd cpu:ref; do
    refused 2 train small.yaml --work-dir w --cfg-options train_dataloader.dataset.path=nan.h5 train_dataloader.dataset.indices=60 device=$device
    says 'rank 1/2: training, epoch 1, iteration ' ': step 0: the loss is ' 'normalize "data_preprocessor"' '"img" f32[20,1,8,8]' '1 NaN or infinite'
done
cat >wild.yaml <<END
_base_: small.yaml
optim_wrapper: {clip_grad: null, optimizer: {lr: 1.0e20}}
param_scheduler: null
END
refused 3 train wild.yaml --work-dir wild
says 'rank' 'iteration 2: step 1: the loss is ' ' gives NaN or infinity' 'hint: ' 'its operands'

# ---- checkpoints ----
for how in --load-from --resume; do
    refused 2 train small.yaml --work-dir w $how gone.h5
    says "the checkpoint file 'gone.h5' cannot be opened: No such file or directory" 'hint: '
    refused 2 train small.yaml --work-dir w $how train.h5
    says "'train.h5' is a dataset file, not a checkpoint file" 'hint: '
    refused 2 train small.yaml --work-dir w $how text.h5
    says "'text.h5' is not a checkpoint file: it is not an HDF5 file" 'hint: '
    refused 2 train small.yaml --work-dir w $how plain.h5
    says "'plain.h5' is not a checkpoint file: it lacks the attribute muster_format" 'hint: '
    refused 2 train small.yaml --work-dir w $how cut_ckpt.h5
    says "'cut_ckpt.h5' is cut off at byte 20000 of " 'hint: the file is damaged'
done
refused 2 test small.yaml gone.h5
says "the checkpoint file 'gone.h5' cannot be opened" 'hint: '
refused 2 train small.yaml --work-dir w --resume good/epoch_1.h5 --cfg-options model.backbone.width=4
says "the weights of 'good/epoch_1.h5' do not fit the model" 'misshaped: backbone.conv1.weight is f32[8,1,3,3] in the file, f32[4,1,3,3] in the model' 'hint: '
refused 2 test small.yaml good/epoch_1.h5 --cfg-options model.backbone.width=4
says "the weights of 'good/epoch_1.h5' do not fit the model: 0 missing, 5 misshaped" 'hint: name a checkpoint of this'

# ---- a phase that the config does not have ----
cat >none.yaml <<END
_base_: small.yaml
param_scheduler: null
END
for phase in train:optim_wrapper val:val_evaluator test:test_evaluator; do
    name=${phase%%:*}
    printf '%s: null\n' "${name}_dataloader" "${name}_cfg" "${phase#*:}" >>none.yaml
    case $name in train) set -- train none.yaml --work-dir w ;; *) set -- "$name" none.yaml good/epoch_1.h5 ;; esac
    refused 2 "$@"
    says "the config has no ${name}_cfg" "hint: add ${name}_dataloader, ${name}_cfg and ${phase#*:}"
done

# ---- another schedule ----
change='optim_wrapper.optimizer.lr=0.01'
refused 2 train small.yaml --work-dir good --resume good/epoch_1.h5 --cfg-options $change
says "'good/epoch_1.h5' was trained with another schedule" 'then: ' '"lr": 0.1' 'now: ' '"lr": 0.01' '--changed-schedule'
expect 0 2 train small.yaml --work-dir changed --resume good/epoch_1.h5 --changed-schedule --cfg-options $change

# ---- a damaged last_checkpoint ----
expect 0 2 train small.yaml --work-dir damaged
cp damaged/epoch_2.h5 sound.h5
"$bad_file" byte damaged/epoch_2.h5 "$(grep -abo '"experiment_name"' damaged/epoch_2.h5 | sed -n '1s/:.*//p')"
expect 0 2 train small.yaml --work-dir damaged --resume
grep -qF "the last checkpoint cannot be used: 'damaged/epoch_2.h5'" err || complain 'the damaged checkpoint is not told of'
grep -qF 'going on with damaged/epoch_1.h5 instead' err || complain 'the good one is not told of'
same damaged/epoch_2.h5 sound.h5

# ---- sizes ----
refused 3 train small.yaml --work-dir w --cfg-options val_dataloader.dataset.indices=0
says 'val_dataloader' 'the dataset is empty' 'hint: '
refused 3 train small.yaml --work-dir w --cfg-options train_dataloader.dataset.indices=2
says 'train_dataloader' 'the dataset has 2 samples for 3 ranks' 'hint: start at most 2 ranks'
refused 3 train small.yaml --work-dir w --cfg-options val_dataloader.dataset.indices=2
says 'val_dataloader' 'the dataset has 2 samples for 3 ranks' 'hint: start at most 2 ranks'
expect 0 2 train small.yaml --work-dir large --cfg-options train_dataloader.batch_size=200 val_dataloader.batch_size=400
refused 2 train small.yaml --work-dir w --cfg-options train_dataloader.batch_size=200 train_dataloader.drop_last=true
says 'drop_last leaves nothing: batch_size is 200, a rank has 60 of 120 samples' 'hint: set batch_size to at most 60, or drop_last: false'

# ---- configs ----
cat >plugin.yaml <<END
_base_: small.yaml
custom_imports: {imports: [fault_hook]}
custom_hooks: [{type: FaultHook, point: before_run, iter: 1000, action: error}]
END
sed 's/fault_hook/gone_hook/' plugin.yaml >gone.yaml
refused 2 train gone.yaml --work-dir w
says 'gone.yaml:2:' 'custom_imports' 'gone_hook'
sed '/imports/d' plugin.yaml >unknown.yaml
refused 2 train unknown.yaml --work-dir w
says 'unknown.yaml:2:' 'custom_hooks' 'FaultHook'

# apart ENVIRONMENT ARGUMENTS...: rank 0 runs small.yaml or $config as it is, rank 1 with other surroundings.
apart() {
    environment=$1
    shift
    what="two ranks apart, $environment $*"
    timeout -k 5 "$limit" mpirun --oversubscribe -n 1 "$muster" train "$config" --work-dir w : \
        -n 1 env "$environment" "$muster" train "$config" --work-dir w "$@" >out 2>err
    status=$?
    message
    [ "$status" -eq 1 ] || [ "$status" -eq 2 ] || complain "$what: status $status"
    [ "$(grep -c '^muster' message)" -eq 1 ] || complain "$what: not one message"
}
config=small.yaml
apart NOTHING=1 --seed 7
says 'rank 1/2: the config: not the same as on rank 0' 'hint: start all ranks with the same config file, options and environment'
for option in --resume=good/epoch_1.h5 --load-from=good/epoch_1.h5; do
    apart NOTHING=1 $option
    says 'rank 1/2: the command line: not the same as on rank 0' 'hint: start all ranks with the same config file, options and environment'
done
config=plugin.yaml
apart MUSTER_PLUGIN_PATH=/nowhere
says 'rank 1/2' 'fault_hook' 'hint: not all ranks see this mistake'

# ---- a corrupt image in a packed folder ----
if "$muster" data pack --help | grep -q png; then
    mkdir -p tree/cat tree/dog
    echo iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAGElEQVR4nGNkYPqvwfBfg+E/SwXDXwgLAEBYBxjoyZ6UAAAAAElFTkSuQmCC | base64 -d >tree/cat/1.png
    for i in 2 3 4 5 6; do cp tree/cat/1.png tree/cat/$i.png && cp tree/cat/1.png tree/dog/$i.png; done
    if "$muster" data pack images.h5 --folder tree >out 2>err; then
        at=$(grep -abo IDAT images.h5 | sed -n 4p | cut -d: -f1)
        "$bad_file" byte images.h5 $((at + 9))
        cat >images.yaml <<END
_base_: small.yaml
model:
  data_preprocessor: {_delete_: true, type: ImgDataPreprocessor, mean: [128, 128, 128], std: [64, 64, 64]}
  backbone: {in_channels: 3}
  head: {num_classes: 2}
train_dataloader:
  batch_size: 2
  dataset: {_delete_: true, type: HDF5Dataset, path: images.h5, pipeline: [{type: Resize, scale: [8, 8]}]}
val_cfg: null
val_dataloader: null
val_evaluator: null
default_hooks: {checkpoint: {save_best: null}}
END
        refused 2 train images.yaml --work-dir images
        says 'rank ' 'training, epoch 1' 'sample 3' 'images.h5' 'hint: on_corrupt: skip takes the next sample instead'
        expect 0 2 train images.yaml --work-dir images --cfg-options train_dataloader.dataset.on_corrupt=skip
        grep -q 'WARNING.*skipped: .*sample 3' err || complain 'the skipped image is not named'
        grep -q 'WARNING.*left out 1 corrupt sample' err || complain 'the skipped images are not counted'
    else
        complain 'the folder is not packed'
    fi
fi
exit $failed
