#!/bin/sh
# Collectives between devices under mpirun, and what becomes of ranks whose others fail, die or do something else.
program=./tests/cuda/comm_test
. "${srcdir:-.}/tests/mpi/common.sh"
emulated=no
grep -q '^#define HAVE_CUDA_EMULATED 1' config.h && emulated=yes
grep -q '^#define HAVE_NCCL 1' config.h || { echo "skipped: built without NCCL"; exit 77; }
export MUSTER_EMULATE_DEVICES=4

# run STATUS RANKS [arguments]
run() {
    wanted=$1 ranks=$2
    shift 2
    timeout -k 5 "$limit" mpirun -n "$ranks" --oversubscribe --mca odls_base_sigkill_timeout 4 "$program" "$@" >"$tmp/out" 2>&1
    status=$?
    [ $status -ne 77 ] || { cat "$tmp/out"; exit 77; }
    [ "$wanted" = any ] || [ $status -eq "$wanted" ] || complain "$ranks ranks, $*: status $status instead of $wanted"
}

for n in 1 2 4; do
    run 0 $n
    grep "^[a-z]*, $n ranks: .* 0 failures" "$tmp/out" || complain "$n ranks: no summary"
done
[ $emulated = yes ] || exit $failed

MUSTER_EMULATE_SEED=7 run 0 2
run 0 2 fail
run 0 4 fail
run any 2 die
grep -q '^rank 0: NCCL: remote process exited' "$tmp/out" || complain "nobody says that the other rank is gone"
grep '^rank 0: came out of it' "$tmp/out" || complain "rank 0 did not come out of it"
run 0 2 differ
run 0 3 shared
run 0 2 cross
exit $failed
