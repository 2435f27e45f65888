# Sourced by every script that starts mpirun, in the build folder: $mpi tells whether it can; $tmp is a folder of its own, removed at the end.
set -u
mpi=yes
grep -q '^#define HAVE_MPI 1' config.h && command -v mpirun >/dev/null 2>&1 || mpi=no

# Shared memory only, patient on few cores; Open MPI itself leaks a little.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_btl=self,vader OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
export MUSTER_DEVICE="${MUSTER_DEVICE-cpu}" OMP_NUM_THREADS=1 ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
unset MUSTER_LAUNCHER MU_LOG MU_LOG_RANKS
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
export TMPDIR="$tmp" MUSTER_CACHE_DIR="$tmp/cache"
failed=0
limit=${MUSTER_TEST_LIMIT:-240} # seconds for one run, which a busy machine may need

need_mpi() {
    [ $mpi = yes ] || { echo "skipped: built without MPI, or there is no mpirun (openmpi-bin)"; exit 77; }
}
