#!/bin/sh
# The same data give the same results, bit by bit, at 1 to 4 ranks; an error on rank 0 ends all of them.
set -u
program=./tests/eval/ranks
[ -x "$program" ] || { echo "$program is missing"; exit 99; }
grep -q '^#define HAVE_MPI 1' config.h || { echo "skipped: built without MPI"; exit 77; }
command -v mpirun >/dev/null 2>&1 || { echo "skipped: there is no mpirun (openmpi-bin)"; exit 77; }

# Shared memory only, patient on few cores; Open MPI itself leaks a little.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_btl=self,vader OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMP_NUM_THREADS=1 ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
unset MUSTER_LAUNCHER
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
export TMPDIR="$tmp"
failed=0

complain() {
    echo "$1"
    cat "$tmp/out" "$tmp/err"
    failed=1
}

# run STATUS RANKS [word]
run() {
    wanted=$1 ranks=$2
    shift 2
    timeout -k 5 240 mpirun -n "$ranks" --oversubscribe "$program" "$@" >"$tmp/out" 2>"$tmp/err"
    status=$?
    [ $status -eq "$wanted" ] || complain "$ranks ranks, $*: status $status instead of $wanted"
}

"$program" >"$tmp/alone" || complain "alone: status $?"
[ "$(wc -l <"$tmp/alone")" -eq 6 ] || complain 'alone: not six results'
for n in 1 2 3 4; do
    run 0 $n
    cmp -s "$tmp/alone" "$tmp/out" || { complain "$n ranks: other results"; diff "$tmp/alone" "$tmp/out"; }
done
run 2 3 fail
grep -q "rank 0/3: two metrics give 'confusion_matrix/result'" "$tmp/err" || complain 'the error of rank 0 is not told'
run 2 2 empty
grep -q 'not one sample was evaluated' "$tmp/err" || complain 'an empty set is not told'
run 0 3 dump "$tmp/three.h5"
"$program" dump "$tmp/one.h5" >"$tmp/alone"
for n in 1 2; do
    for dump in one three; do
        mpirun -n $n --oversubscribe ./muster eval "$tmp/$dump.h5" --metrics Accuracy:topk=[1,2] ConfusionMatrix \
            SingleLabelMetric >"$tmp/$n-$dump" || complain "muster eval: status $?"
        cmp -s "$tmp/1-one" "$tmp/$n-$dump" || { complain "muster eval on $n ranks of $dump.h5"; diff "$tmp/1-one" "$tmp/$n-$dump"; }
    done
done
exit $failed
