#!/bin/sh
# muster check --net and muster bench comm: what they print, what files they refuse, and that a better network never predicts a longer step.
muster=$(pwd)/muster
source=$(cd "${srcdir:-.}" && pwd)
. "$source/tests/mpi/env.sh"
cd "$tmp" || exit 99
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

err_has() { grep -qF -- "$1" err || complain "stderr lacks: $1"; }
out_has() { tr -s ' ' <out | grep -qE -- "$1" || complain "stdout lacks: $1"; }
json() { [ -z "$python" ] || "$python" -c "import json; d = json.load(open('out')); p = d.get('predictions'); assert $1, d" || complain "JSON: $1"; }

awk 'BEGIN { for (i = 0; i < 100; i++) print i % 2 "," i ",1,2,3,4," i }' >train.csv
run 0 data pack train.h5 --csv train.csv --shape 1,2,3
cat >net.yaml <<'END'
model:
  type: ImageClassifier
  data_preprocessor: {type: ImgDataPreprocessor, mean: [8.0], std: [8.0]}
  backbone: {type: MLP, hidden: [32]}
  head: {type: LinearClsHead, num_classes: 2}
train_dataloader:
  batch_size: 4
  dataset: {type: HDF5Dataset, path: train.h5}
  sampler: {type: DefaultSampler, shuffle: true}
optim_wrapper: {optimizer: {type: SGD, lr: 0.1, momentum: 0.9}, clip_grad: {max_norm: 5}}
train_cfg: {by_epoch: true, max_epochs: 1}
END
run 0 check net.yaml # this is a sound config

cat >quick.yaml <<'END'
ranks_per_node: 2
inside: {latency: 0, bandwidth: .inf}
between: {latency: 0, bandwidth: .inf}
noise: 0
END
cat >slow.yaml <<'END'
ranks_per_node: 2
cores_per_node: 64
inside: {latency: 1e-3, bandwidth: 1e6}
between: {latency: 1e-2, bandwidth: 1e5}
file_system: {write_bandwidth: 1e6, read_bandwidth: 1e9, open_latency: 0.5}
noise: 0
copy_bandwidth: 1000
node_mtbf: 1e6
END

# A network without cost: as quick as one rank. Every column is there, and what is not known is left out.
run 0 check net.yaml --ranks 1,2,8 --net quick.yaml --json
json '[x["ranks"] for x in p] == [1, 2, 8] and [x["nodes"] for x in p] == [1, 1, 4]'
json 'all(abs(x["efficiency"] - 1) < 1e-6 and x["exposed"] == 0 for x in p)'
json 'abs(p[0]["step"] - d["measured"]["step"] - d["measured"]["load"]) < 1e-3 * p[0]["step"]'
json 'd["measured"]["steps"] >= 5 and len(d["measured"]["units"]) == 4 and all(u["bytes"] > 0 and 0 < u["ready"] <= d["measured"]["step"] for u in d["measured"]["units"])'
json 'p[0]["checkpoint"] is None and p[0]["memory"] >= sum(d["bytes"].values()) - d["bytes"]["activations"]'
json 'abs(p[2]["epoch"] - 4 * p[2]["step"]) < 1e-6'
run 0 check net.yaml --ranks 1,2,8 --net quick.yaml
out_has '^measured here: [0-9]+ training steps of 1 thread$'
out_has '^ranks 1 2 8$'
out_has '^units of gradients 1 1 1$'
out_has '^efficiency 1\.000 1\.000 1\.000$'
grep -q '^  written in' out && complain 'a checkpoint time is told of an unknown file system'

# A slow one: every step waits; latencies alone take 2 * 0.01 s between 4 nodes.
run 0 check net.yaml --ranks 1,2,8 --net slow.yaml --json
json 'p[0]["efficiency"] > p[1]["efficiency"] > p[2]["efficiency"] and p[2]["small"] > 0.02 and p[2]["exposed"] > 0.02'
json 'p[0]["checkpoint"] > 0.5 and p[2]["checkpoint"] == p[0]["checkpoint"] and p[2]["checkpoint_interval"] < p[0]["checkpoint_interval"]'
json 'abs(p[0]["stall"] - 0.5 - p[0]["checkpoint_bytes"] / 1000) < 1e-6 and abs(p[2]["stall"] - 0.5 - 768 / 1000) < 1e-6'
json 'abs(p[2]["step"] - sum(p[2][k] for k in ("compute", "exposed", "small", "straggling", "data"))) < 1e-9'
run 0 check net.yaml --ranks 8 --net slow.yaml --json --cfg-options default_hooks.checkpoint.type=CheckpointHook default_hooks.checkpoint.async_save=false
json 'p[0]["stall"] == p[0]["checkpoint"]'
# Small pieces, half as many bytes.
run 0 check net.yaml --ranks 8 --net slow.yaml --json --cfg-options model_wrapper_cfg.bucket_cap_mb=0.0005 model_wrapper_cfg.gradient_dtype=bfloat16
json 'p[0]["pieces"] == 2'
run 0 check net.yaml --ranks 8 --net slow.yaml
out_has '^  *written in|^ written in'

# The example of the documents.
run 0 check net.yaml --ranks 64 --net "$source/doc/examples/cluster.yaml" --json
json 'p[0]["nodes"] == 1 and p[0]["communication"] > 0'

# Mistakes: each with its place; those of both files.
printf 'ranks_per_node: 2\ninside: {latency: fast, bandwidth: 1e9}\n' >bad.yaml
run 2 check net.yaml --ranks 8 --net bad.yaml
err_has "bad.yaml:2:19: inside.latency: expected number >= 0, found string 'fast'"
err_has 'muster: 1 mistake in bad.yaml'
run 2 check net.yaml --ranks 2 --net bad.yaml --cfg-options model.backbone.type=MPL
err_has "did you mean 'MLP'"
err_has 'muster: 1 mistake in bad.yaml'
run 2 check net.yaml --ranks 2 --net bad.yaml --json
json 'd["count"] == 1 and d["mistakes"][0]["file"].endswith("bad.yaml") and p is None'
printf 'ranks_per_node: 2\ninside: {latency: 0, bandwidth: 1e9}\n' >bad.yaml
run 2 check net.yaml --ranks 1,3 --net bad.yaml
err_has 'bad.yaml:1:1: between: 3 ranks are more than the 2 of a node, and what joins the nodes is not told'
run 2 check net.yaml --net nowhere.yaml
err_has 'nowhere.yaml'
run 2 check net.yaml --ranks 1,2
err_has "--ranks takes a number from 1, or with --net several with commas, not '1,2'"
run 2 check net.yaml --ranks 1, --net quick.yaml
err_has "or with --net several with commas, not '1,'"
grep -v '^optim_wrapper\|^train' net.yaml | grep -v '  batch\|  dataset\|  sampler' >model.yaml
run 2 check model.yaml --net quick.yaml
err_has 'trains nothing'

# One rank: no link to measure, and a file to read back.
run 0 bench comm --folder . --size 1 --out here.yaml
out_has '^one rank has nobody to talk to'
run 0 check net.yaml --net here.yaml --json
json 'p[0]["ranks"] == 1 and p[0]["checkpoint"] > 0'
[ -z "$(ls | grep muster_bench)" ] || complain 'the file of the measurement is left over'
run 1 bench comm --folder nowhere
err_has "'nowhere/muster_bench_"
err_has 'cannot be opened: No such file or directory'
run 2 bench comm --size 0
err_has '--size takes MiB'
run 0 bench comm --json
json 'd["ranks"] == 1 and "inside" not in d and d["copy_bandwidth"] > 1e8'

[ $mpi = yes ] || { echo 'without mpirun'; exit $failed; }
ranks() {
    wanted=$1
    what="mpirun -n $2 muster"
    n=$2
    shift 2
    what="$what $*"
    timeout -k 5 "$limit" mpirun -n "$n" --oversubscribe "$muster" "$@" >out 2>err
    status=$?
    [ $status -eq "$wanted" ] || complain "status $status instead of $wanted"
}
ranks 0 2 bench comm --out two.yaml --json
json 'd["ranks"] == 2 and d["inside"]["members"] == 2 and d["inside"]["latency"] > 0 and 1e6 < (d["inside"]["bandwidth"] or 1e9)'
json 'all(a["seconds"] > 0 for a in d["inside"]["all_reduce"]) and len(d["inside"]["all_reduce"]) == 11'
ranks 0 2 check net.yaml --ranks 1,2 --net two.yaml --json
json 'd["measured"]["ranks"] == 2 and p[1]["communication"] > 0 and p[1]["efficiency"] <= p[0]["efficiency"]'
ranks 2 2 check net.yaml --ranks 3 --net two.yaml
[ "$(grep -c 'between: 3 ranks are more' err)" -eq 1 ] || complain 'the mistake is not told once'
exit $failed
