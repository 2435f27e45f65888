#!/bin/sh
# MMFullyShardedDataParallel under mpirun at 1 to 4 ranks.
set -u
program=./tests/parallel/pieces_test
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
export TMPDIR="$tmp" MUSTER_CACHE_DIR="$tmp"
failed=0
for n in 1 2 3 4; do
    timeout -k 5 240 mpirun -n "$n" --oversubscribe "$program" >"$tmp/out" 2>&1
    status=$?
    if [ $status -ne 0 ] || ! grep "^mpi, $n ranks: .* 0 failures" "$tmp/out"; then
        echo "$n ranks: status $status"
        sed 's/^/  /' "$tmp/out"
        failed=1
    fi
done
exit $failed
