#!/bin/sh
# Types the commands of muster and compares what they print, where, and how they end.
set -u
here=$(pwd)
muster=$here/muster
case ${srcdir:=.} in /*) ;; *) srcdir=$here/$srcdir ;; esac
cd "$srcdir/tests/unit/cli" || exit 99
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
MUSTER_PLUGIN_PATH=$here/tests/unit/.libs
export MUSTER_PLUGIN_PATH
unset MU_LOG MU_LOG_RANKS GOMP_SPINCOUNT OMP_WAIT_POLICY
failed=0
python=$(command -v python3) || echo 'no python3: JSON is not checked'

# run STATUS ARGUMENTS...: runs muster; its output lies in $tmp/out and $tmp/err.
run() {
    wanted=$1
    shift
    what="muster $*"
    "$muster" "$@" >"$tmp/out" 2>"$tmp/err"
    status=$?
    [ $status -eq "$wanted" ] || complain "status $status instead of $wanted"
}

complain() {
    printf '%s: %s\n' "$what" "$1"
    sed 's/^/  out: /' "$tmp/out"
    sed 's/^/  err: /' "$tmp/err"
    failed=1
}

# out TEXT, err TEXT: the stream is exactly this. out_has, err_has: a line of it has this fixed string.
out() { printf '%s' "$1" | cmp -s - "$tmp/out" || complain "stdout is not: $1"; }
err() { printf '%s' "$1" | cmp -s - "$tmp/err" || complain "stderr is not: $1"; }
out_has() { grep -qF -- "$1" "$tmp/out" || complain "stdout lacks: $1"; }
err_has() { grep -qF -- "$1" "$tmp/err" || complain "stderr lacks: $1"; }
json() { [ -z "$python" ] || "$python" -c "import json, sys; d = json.load(open('$tmp/out')); assert $1, d" || complain "JSON: $1"; }

# The program
run 0 --version
case $(cat "$tmp/out") in "muster "[0-9]*) ;; *) complain "no version" ;; esac
run 0 --help
out_has 'usage: muster COMMAND'
err ''
run 2
err_has 'usage: muster COMMAND'
out ''
run 2 chek
err "muster: unknown command 'chek'; did you mean 'check'?
  hint: muster --help
"
run 2 --verison
err_has "muster: unknown option '--verison'"
for command in check config describe env eval list; do
    run 0 $command --help
    out_has "usage: muster $command"
    err ''
    run 2 $command --jsn
    err_has "muster $command: unknown option '--jsn'"
done
err_has "did you mean '--json'?"
MU_LOG=loud
export MU_LOG
run 2 list
err_has 'muster: MU_LOG: "loud" is not a level'
unset MU_LOG

# check
run 2 check mistakes.yaml
out ''
cmp -s mistakes.err "$tmp/err" || { complain 'other mistakes'; diff mistakes.err "$tmp/err"; }
run 2 check --json mistakes.yaml
err ''
json 'd["count"] == 6 and [m["line"] for m in d["mistakes"]] == [9, 4, 5, 7, 10, 16]'
json 'd["mistakes"][1] == {"file": "mistakes.yaml", "line": 4, "column": 5, "path": "model.backbone.widht", "nearest": "width", "found": "unknown key '"'widht'"'", "expected": "one of the keys in_channels, width, dropout, act, strides"}'
run 0 check sound.yaml
out 'sound.yaml: no mistakes
'
err ''
run 2 check sound.yaml --cfg-options model.head.num_classes=1 model.backbone.width=0
err_has 'model.backbone.width: expected integer >= 1, found integer 0'
err_has 'model.head.num_classes: expected integer >= 2, found integer 1'
run 0 check --cfg-options model.backbone.width=8 -- sound.yaml
run 2 check
err "muster check: an argument is missing: CONFIG
  hint: muster check --help
"
run 2 check a b
err_has "muster check: unexpected argument 'b'"
run 2 check sound.yaml --cfg-options
err_has "muster check: option '--cfg-options' needs a value: KEY=VALUE"
run 2 check nothing.yaml
err_has 'muster: '
err_has 'nothing.yaml'
printf 'model: {type: A}\nmodel: {type: B}\n' >"$tmp/twice.yaml"
run 2 check "$tmp/twice.yaml"
err_has "$tmp/twice.yaml:2:1: "
for plugin in version nosymbol undefined failing silent; do
    printf 'custom_imports: {imports: [%s_plugin]}\nmodel: {type: A}\n' $plugin >"$tmp/$plugin.yaml"
    run 2 check "$tmp/$plugin.yaml"
    err_has "$plugin.yaml:1:28: custom_imports.imports.0: expected a plug-in that can be loaded (plug-in "
done

# config
run 0 config dump sound.yaml
cp "$tmp/out" "$tmp/dumped.yaml"
out_has 'num_classes: 10'
run 0 config dump "$tmp/dumped.yaml"
out "$(cat "$tmp/dumped.yaml")
"
run 0 config dump sound.yaml --format json --cfg-options work_dir=b
json 'd["work_dir"] == "b" and d["model"]["backbone"]["strides"] == [1, 2]'
run 0 config diff sound.yaml "$tmp/dumped.yaml"
out ''
run 1 config diff sound.yaml sound.yaml --cfg-options model.backbone.dropout=0.2
out_has '-    dropout: 0.1'
out_has '+    dropout: 0.2'
run 2 config dump sound.yaml --format toml
err_has "muster config: 'toml' is not a format: expected yaml or json"
run 2 config show sound.yaml
err_has "muster config: expected 'dump CONFIG' or 'diff CONFIG CONFIG'"

# list
run 0 list
out_has 'model_wrapper                 3  lets a model train'
out_has 'operation'
run 0 list --plugin demo_plugin --tree
out_has '  backbone: DemoNet'
out_has '  demo (1 component)'
run 0 list backbone --plugin demo_plugin
out_has 'DemoNet                  A backbone that only has options.'
out_has 'demo.DemoNet             Another DemoNet.'
run 0 list --json --plugin demo_plugin
json 'd["scope"] == "muster" and d["total"] == d["count"] + 1 and "DemoClassifier" in d["modules"]["model"]'
json 'd["children"][0]["modules"] == {"backbone": ["DemoNet"]}'
run 0 list backbone --json --plugin demo_plugin
json '[(b["scope"], b["name"]) for b in d if b["name"] == "DemoNet"] == [("muster", "DemoNet"), ("demo", "DemoNet")]'
run 0 list backend
out_has 'ref                      Plain C'
run 0 list backend --json
json 'all(b["doc"] or b["not_built"] for b in d) and "ref" in [b["name"] for b in d]'
run 0 list operation
out_has 'conv2d'
run 0 list inferencer
out ''
err 'muster: this build and its plug-ins have no inferencer
'
run 2 list modle
err_has "muster list: there is no kind 'modle'; did you mean 'model'?"
run 1 list --plugin nothing
err_has 'muster: plug-in "nothing" was not found in '
err_has '  hint: put nothing.so into one of them'

# describe
run 0 describe DemoNet --plugin demo_plugin
out_has 'DemoNet (backbone)'
out_has 'act          one of relu, gelu, silu  relu      activation'
run 0 describe demo.DemoNet --plugin demo_plugin
out_has 'Another DemoNet.'
run 0 describe DemoNet --plugin demo_plugin --json
json 'd[0]["options"][0] == {"key": "in_channels", "expects": "integer >= 1", "required": True, "default": None, "unit": None, "help": "input channels"}'
run 0 describe conv2d
out_has 'conv2d (operation)'
out_has 'stride'
run 0 describe conv2d --json
json 'd[0]["kind"] == "operation" and d[0]["differentiable"] and "groups" in [a["name"] for a in d[0]["attributes"]]'
run 0 describe ref
out_has 'ref (backend)'
run 0 describe config
out_has 'train_dataloader.batch_size'
run 2 describe DemoNte --plugin demo_plugin
err_has "there is no component, backend or operation 'DemoNte'; did you mean 'DemoNet'?"

# env
run 0 env
out_has 'processor'
for library in JPEG=libjpeg-turbo PNG=libpng CAIRO=cairo HWLOC=hwloc ONEDNN=oneDNN MPI=MPI; do
    says='no; install'
    ! grep -q "^#define HAVE_${library%%=*} 1" "$here/config.h" || says='[^n ]'
    grep -q "^${library#*=}  *$says" "$tmp/out" || complain "${library#*=} is not followed by: $says"
done
run 0 env --json
json '"ref" in d["backends"] and d["muster"]'

# Threads that wait for each other soon sleep, unless the user wants something else (OpenMP by gcc, more than one core).
if [ "$(nproc)" -gt 1 ] && env OMP_DISPLAY_ENV=verbose "$muster" list 2>&1 | grep -q GOMP_SPINCOUNT; then
    for spins in 1000 77; do
        what="GOMP_SPINCOUNT=$spins"
        [ $spins -eq 77 ] && export GOMP_SPINCOUNT=77
        OMP_DISPLAY_ENV=verbose run 0 train --help
        tail -n 20 "$tmp/err" | grep -q "GOMP_SPINCOUNT = '$spins'" || complain "not in force"
    done
    unset GOMP_SPINCOUNT
fi

# An argument behind the values of an option is one of them.
run 2 check --cfg-options a=1 sound.yaml
err "muster check: an argument is missing: CONFIG; '--cfg-options' takes all that follow it, and took 'sound.yaml'
  hint: muster check --help
"
run 2 check
err_has 'muster check: an argument is missing: CONFIG'
runs=$(seq 17)
# shellcheck disable=SC2086
run 2 plot scalars $runs --out x.csv
err_has "muster plot scalars: unexpected argument '17': 16 are the most"

# Words for a standard output or error that is closed go nowhere, least of all into a file that is written.
run 0 data pack "$tmp/train.h5" --csv ../../../data/digits/digits.csv.gz --shape 1,8,8 --select 0:8
cat >"$tmp/train.yaml" <<END
model:
  type: ImageClassifier
  data_preprocessor: {type: ImgDataPreprocessor, mean: [8.0], std: [8.0]}
  backbone: {type: LeNet, in_channels: 1, width: 2, kernel: 3}
  head: {type: LinearClsHead, num_classes: 10}
train_dataloader: {batch_size: 8, dataset: {type: HDF5Dataset, path: $tmp/train.h5}}
optim_wrapper: {optimizer: {type: SGD, lr: 0.1}}
train_cfg: {max_epochs: 1}
END
what='muster train, all closed'
"$muster" train "$tmp/train.yaml" --work-dir "$tmp/run" <&- >&- 2>&- || complain "status $?"
grep -q 'Checkpoints will be saved' "$tmp"/run/*/*.log || complain 'no log'
! grep -v '^20' "$tmp"/run/*/*.log >"$tmp/err" || complain 'the console in the log'
run 0 train "$tmp/train.yaml" --work-dir "$tmp/run" --quiet --device check:cpu
MUSTER_DEVICE=nothing run 1 train "$tmp/train.yaml" --work-dir "$tmp/run" --quiet
err_has 'muster: MUSTER_DEVICE: there is no device "nothing"'
MUSTER_DEVICE=nothing run 2 check "$tmp/train.yaml"
err_has 'train.yaml:1:1: device: MUSTER_DEVICE: there is no device "nothing"'
MUSTER_DEVICE=nothing run 2 check "$tmp/train.yaml" --cfg-options device=auto
err_has 'device: expected a device (MUSTER_DEVICE: there is no device "nothing"'
MU_SIMD_ISA=avx2 run 0 train "$tmp/train.yaml" --work-dir "$tmp/run" --quiet
err_has 'MU_SIMD_ISA: "avx2" is none of baseline, x86-64-v3 and x86-64-v4'
MU_SIMD_ISA=baseline run 0 train "$tmp/train.yaml" --work-dir "$tmp/run" --quiet
err ''

# Metrics that do not suit the model are found before training.
cat >"$tmp/metrics.yaml" <<END
_base_: train.yaml
val_dataloader: {batch_size: 8, dataset: {type: HDF5Dataset, path: $tmp/train.h5}}
val_cfg: {}
val_evaluator: {type: Accuracy, topk: [1, 11]}
END
run 2 check "$tmp/metrics.yaml"
err_has 'metrics.yaml:4:16: val_evaluator: Accuracy: topk has 11, but there are 10 classes only; take it out of topk'
run 2 train "$tmp/metrics.yaml" --work-dir "$tmp/metrics" --quiet
err_has 'Accuracy: topk has 11, but there are 10 classes only'
[ ! -e "$tmp/metrics/epoch_1.h5" ] || complain 'an epoch was trained'
sed 's/^val_evaluator.*/val_evaluator: [{type: ConfusionMatrix}, {type: ConfusionMatrix, num_classes: 5}]/' "$tmp/metrics.yaml" >"$tmp/twice.yaml"
run 2 check "$tmp/twice.yaml"
err_has "two metrics give 'confusion_matrix/result', the second is ConfusionMatrix"
run 0 check "$tmp/metrics.yaml" --cfg-options val_evaluator.topk=10
sed 's/^val_evaluator.*/val_evaluator: {type: ConfusionMatrix, num_classes: 5}/' "$tmp/metrics.yaml" >"$tmp/five.yaml"
run 2 check "$tmp/five.yaml"
err_has 'val_evaluator: ConfusionMatrix: num_classes is 5, but there are 10 classes'
"$muster" list <&- >&- 2>"$tmp/err"
status=$?
what='muster list >&-'
[ $status -eq 1 ] || complain "status $status instead of 1"
err_has 'muster: standard output could not be written'

if [ -w /dev/full ]; then
    "$muster" list >/dev/full 2>"$tmp/err"
    status=$?
    what='muster list >/dev/full'
    [ $status -eq 1 ] || complain "status $status instead of 1"
    err_has 'muster: standard output could not be written'
fi
exit $failed
