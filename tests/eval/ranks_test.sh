#!/bin/sh
# The same data give the same results, bit by bit, at 1 to 4 ranks; an error on rank 0 ends all of them.
program=./tests/eval/ranks
. "${srcdir:-.}/tests/mpi/env.sh"
[ -x "$program" ] || { echo "$program is missing"; exit 99; }
need_mpi

complain() {
    echo "$1"
    cat "$tmp/out" "$tmp/err"
    failed=1
}

# run STATUS RANKS [word]
run() {
    wanted=$1 ranks=$2
    shift 2
    timeout -k 5 "$limit" mpirun -n "$ranks" --oversubscribe "$program" "$@" >"$tmp/out" 2>"$tmp/err"
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
