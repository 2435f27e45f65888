#!/bin/sh
# muster eval: the numbers of the test that made the dump, in text, JSON and a file; what is wrong is told.
set -u
here=$(pwd)
muster=$here/muster
case ${srcdir:=.} in /*) ;; *) srcdir=$here/$srcdir ;; esac
jobs=$srcdir/jobs
python=$(command -v python3 || true)
unset MUSTER_LAUNCHER MU_LOG MU_LOG_RANKS
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 99
failed=0

complain() {
    echo "$what: $1"
    cat out err
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

out_has() { grep -qF -- "$1" out || complain "stdout lacks: $1"; }
err_has() { grep -qF -- "$1" err || complain "stderr lacks: $1"; }

"$here/tests/eval/ranks" dump dump.h5 >said || { echo 'no dump'; exit 1; }
run 0 eval dump.h5 --metrics 'Accuracy:topk=[1,2]' ConfusionMatrix SingleLabelMetric --json --out got.json
cmp -s out got.json || complain 'the file differs from what is printed'
if [ -n "$python" ]; then
    "$python" - <<'END' || complain 'other numbers than those of the test'
import json
got = json.load(open("got.json"))["metrics"]
said = {}
for line in open("said"):
    name, ndim, *values = line.split()
    said[name] = [float.fromhex(v) for v in values]
flat = {k: [float(x) for row in v for x in row] if isinstance(v, list) else [float(v)] for k, v in got.items()}
assert flat == said, (flat, said)
END
fi
run 0 eval dump.h5
out_has 'accuracy/top1           '
out_has 'single-label/precision  '
out_has 'confusion_matrix/result  table 5 x 5'
[ "$(grep -c '^   *[0-9]' out)" -eq 5 ] || complain 'the table is not shown'
printf 'test_evaluator:\n  - {type: Accuracy, prefix: mine}\n  - {type: DumpResults, out_file_path: dump.h5}\n' >config.yaml
cp dump.h5 before.h5
run 0 eval dump.h5 --metrics config.yaml
out_has 'mine/top1'
cmp -s dump.h5 before.h5 || complain 'the dump was written over'
printf 'val_evaluator: {type: Accuracy, topk: [1, 3]}\n' >config.yaml
run 0 eval dump.h5 --metrics config.yaml
out_has 'accuracy/top3'
printf 'model: {type: A}\n' >config.yaml
run 2 eval dump.h5 --metrics config.yaml
err_has "'config.yaml' has no test_evaluator and no val_evaluator"
run 2 eval dump.h5 --metrics Acuracy
err_has "did you mean 'Accuracy'"
run 2 eval dump.h5 --metrics Accuracy:topk=9
err_has 'topk has 9, but there are 5 classes only'
run 2 eval dump.h5 --metrics Accuracy Accuracy
err_has "two metrics give 'accuracy/top1'"
run 0 eval dump.h5 --metrics Accuracy 'Accuracy:topk=[1,2],prefix="a,b"'
out_has 'a,b/top2'
run 2 eval dump.h5 --metrics Accuracy:topk=[1
err_has 'muster: --metrics: '
run 1 eval nothing.h5
err_has 'nothing.h5'
run 2 eval
err_has 'an argument is missing: DUMP.h5'
run 1 eval dump.h5 --out nowhere/x.json
err_has "'nowhere/x.json' cannot be written"
head -c 3000 dump.h5 >cut.h5
run 1 eval cut.h5
err_has 'cut.h5'

# jobs/eval.sbatch, with stand-ins for srun and muster: a config whose path has a blank is one word, METRICS may be several.
mkdir bin
printf '#!/bin/sh\nwhile [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n' >bin/srun
printf '#!/bin/sh\n[ "$1" = test ] || { printf "<%%s>" "$@"; echo; }\n' >bin/say
chmod +x bin/srun bin/say
what='eval.sbatch'
PATH=$tmp/bin:$PATH MUSTER=$tmp/bin/say sh "$jobs/eval.sbatch" 'a b.yaml' c.h5 d.h5 --device cpu >out 2>err || complain "status $?"
out_has '<eval><d.h5><--metrics><a b.yaml><--out><d.json>'
PATH=$tmp/bin:$PATH MUSTER=$tmp/bin/say METRICS='Accuracy:topk=[1,2] *' sh "$jobs/eval.sbatch" 'a b.yaml' c.h5 d.h5 >out 2>err || complain "status $?"
out_has '<eval><d.h5><--metrics><Accuracy:topk=[1,2]><*><--out><d.json>'
exit $failed
