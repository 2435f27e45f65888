#!/bin/sh
# The communicator's conformance under mpirun at 1 to 4 ranks, the ends of a job, and what mu_launch makes of its surroundings.
program=./tests/mpi/comm_test
. "${srcdir:-.}/tests/mpi/common.sh"

# run STATUS SECONDS RANKS [arguments]: the status of mpirun, where "bad" is any but 0; it must end by itself in time.
run() {
    wanted=$1 limit=$2 ranks=$3
    shift 3
    begun=$(date +%s)
    timeout -k 5 "$limit" mpirun -n "$ranks" --oversubscribe "$program" "$@" >"$tmp/out" 2>&1
    status=$?
    [ $(($(date +%s) - begun)) -lt "$limit" ] || complain "$ranks ranks, $*: still running after $limit s"
    case $wanted in
    bad) [ $status -ne 0 ] || complain "$ranks ranks, $*: status 0 though a rank failed" ;;
    *) [ $status -eq "$wanted" ] || complain "$ranks ranks, $*: status $status instead of $wanted" ;;
    esac
}

for n in 1 2 3 4; do
    run 0 120 $n
    grep 'checks on rank 0' "$tmp/out" || complain "$n ranks: no summary"
    grep -q "^mpi, $n ranks" "$tmp/out" || complain "$n ranks: not over MPI"
done

run bad 10 3 die
run bad 10 3 abort
run bad 60 3 fail
[ "$(grep -c 'rank 2/3: no disk' "$tmp/out")" -eq 1 ] || complain "the failing rank is not named once"

MUSTER_LAUNCHER=none run 0 60 2 size
[ "$(grep -c '^self 1$' "$tmp/out")" -eq 2 ] || complain "MUSTER_LAUNCHER=none: not two single ranks"
exit $failed
