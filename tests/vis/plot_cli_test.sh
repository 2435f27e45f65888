#!/bin/sh
# muster plot: the numbers of a run and of a dump as CSV, exactly; PNG files that are ones; what is wrong is told.
set -u
here=$(pwd)
muster=$here/muster
unset MUSTER_LAUNCHER MU_LOG MU_LOG_RANKS
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
"$here/tests/eval/ranks" dump "$tmp/dump.h5" >"$tmp/said" || { echo 'no dump'; exit 1; }
cd "$tmp" || exit 99
failed=0

complain() {
    echo "$what: $1"
    cat err
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

err_has() { grep -qF -- "$1" err || complain "stderr lacks: $1"; }
same() { cmp -s "$1" wanted || { complain "$1 is another"; diff "$1" wanted; }; }

mkdir -p run/20260101_000000/vis_data
cat >run/20260101_000000/vis_data/scalars.jsonl <<'END'
{"lr": 0.1, "loss": 2, "time": 0.5, "epoch": 1, "iter": 2, "step": 2}
{"lr": 0.1, "loss": 1, "time": 0.5, "epoch": 1, "iter": 4, "step": 4}
{"accuracy/top1": 90.5, "time": 0.25, "step": 1}
{"lr": 0.01, "loss": null, "time": 0.5, "epoch": 2, "iter": 6, "step": 6}
{"lr": 0.01, "loss": 0.1, "time": 0.5, "epoch": 2, "iter": 8, "step": 8}
{"accuracy/top1": 97, "time": 0.25, "step": 2}
END
printf '{"lr": 0.01, "lo' >>run/20260101_000000/vis_data/scalars.jsonl
run 0 plot scalars run --out all.csv
cat >wanted <<'END'
run,tag,step,value
run,loss,2,2
run,loss,4,1
run,loss,6,
run,loss,8,0.1
run,accuracy/top1,4,90.5
run,accuracy/top1,8,97
run,lr,2,0.1
run,lr,4,0.1
run,lr,6,0.01
run,lr,8,0.01
END
same all.csv
run 0 plot scalars run --x epoch --tags accuracy/top1,loss --smooth 2 --out some.csv
cat >wanted <<'END'
run,tag,epoch,value
run,accuracy/top1,1,90.5
run,accuracy/top1,2,93.75
run,loss,0.5,2
run,loss,1,1.5
run,loss,1.5,
run,loss,2,0.55
END
same some.csv
run 0 plot confusion dump.h5 --out matrix.csv
grep '^confusion_matrix' said >numbers
[ "$(wc -l <matrix.csv)" -eq 6 ] && grep -qx 'true,a,b,c,d,e' matrix.csv && grep -qx 'a,0,4,7,6,4' matrix.csv || complain 'another matrix'

cat >config.yaml <<'END'
model: {type: ImageClassifier, backbone: {type: LeNet}, head: {type: LinearClsHead, num_classes: 2}}
train_dataloader: {batch_size: 4, dataset: {type: HDF5Dataset, path: train.h5}, sampler: {type: DefaultSampler, shuffle: true}}
optim_wrapper: {optimizer: {type: SGD, lr: 0.5, momentum: 0.75}}
param_scheduler: {type: MultiStepLR, milestones: [1, 2], gamma: 0.5}
train_cfg: {by_epoch: true, max_epochs: 3}
END
run 0 plot schedule config.yaml --epoch-length 2 --out schedule.csv
cat >wanted <<'END'
iter,lr,momentum
0,0.5,0.75
1,0.5,0.75
2,0.25,0.75
3,0.25,0.75
4,0.125,0.75
5,0.125,0.75
END
same schedule.csv
run 1 plot schedule config.yaml --out schedule.csv
err_has 'say --epoch-length N'
err_has "the dataset 'train.h5' cannot be opened"
printf '0,1,2\n1,3,4\n0,5,6\n1,7,8\n0,9,9\n' >data.csv # 5 samples in batches of 4
run 0 data pack train.h5 --csv data.csv
run 0 plot schedule config.yaml --out real.csv
same real.csv
cat >warmup.yaml <<'END'
_base_: config.yaml
param_scheduler: [{type: LinearLR, start_factor: 0.5, end: 3, convert_to_iter_based: true}]
END
run 0 plot schedule warmup.yaml --out warmup.csv
cat >wanted <<'END'
iter,lr,momentum
0,0.25,0.75
1,0.3,0.75
2,0.35,0.75
3,0.4,0.75
4,0.45,0.75
5,0.5,0.75
END
awk -F, 'NR == 1 || $2 = sprintf("%.12g", $2)' OFS=, warmup.csv >rounded.csv
same rounded.csv
# As train: plug-ins are loaded, and every mistake is told with its place.
cat >plugin.yaml <<'END'
_base_: config.yaml
custom_imports: {imports: [demo_plugin]}
default_scope: demo
model: {_delete_: true, type: DemoClassifier, backbone: {type: DemoNet, width: 3}}
END
MUSTER_PLUGIN_PATH=$here/tests/unit/.libs
export MUSTER_PLUGIN_PATH
run 0 plot schedule plugin.yaml --out real.csv
run 2 plot schedule plugin.yaml --out real.csv --cfg-options param_scheduler.milestone=3 default_scope=muster
err_has 'muster: 2 mistakes in plugin.yaml'
err_has "param_scheduler.milestone: expected one of the keys"
err_has "plugin.yaml:4:"
run 2 plot schedule config.yaml --epoch-length 0 --out schedule.csv
err_has '--epoch-length is a number of iterations'
run 2 plot scalars run --tags los --out x.csv
err_has "there is no tag 'los': there are lr, loss, time, accuracy/top1"
run 2 plot scalars run --x time --out x.csv
err_has 'the points have no times'
run 2 plot scalars run --x days --out x.csv
err_has '--x is one of step, epoch, time'
run 2 plot scalars run --smooth 0 --out x.csv
err_has '--smooth is a number of points'
run 2 plot scalars run
err_has 'an option is missing: --out'
run 2 plot scalars run --out x.pdf
err_has "'x.pdf' must end in .png or .csv"
run 1 plot scalars nothing --out x.csv
err_has 'nothing'
run 1 plot scalars run --out nowhere/x.csv
err_has "'nowhere/x.csv' cannot be written"
run 1 plot confusion run/20260101_000000/vis_data/scalars.jsonl --out x.csv
run 2 plot curves run
err_has "unknown command 'curves'"

if grep -q '^#define HAVE_CAIRO 1' "$here/config.h"; then
    for command in 'scalars run --log-y' 'scalars run run --x epoch' 'confusion dump.h5' 'schedule config.yaml --epoch-length 5'; do
        rm -f x.png
        # shellcheck disable=SC2086
        run 0 plot $command --out x.png
        [ "$(head -c 4 x.png | tail -c 3)" = PNG ] || complain 'this is no PNG file'
    done
else
    run 1 plot scalars run --out x.png
    err_has 'configure --with-cairo'
fi
exit $failed
