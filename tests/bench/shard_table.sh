#!/bin/sh
# The table of doc/benchmarks.md: memory of a rank and time of a step by stage and ranks. In the build folder: make bench, then this.
set -eu
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl=self,vader OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_hwloc_base_binding_policy=none OMP_NUM_THREADS=1
echo '| Ranks | Strategy | Parameters | Gradients | AdamW states | Arena of the plan | Together | Resident | Step, ms | Loss |'
echo '|--:|:--|--:|--:|--:|--:|--:|--:|--:|--:|'
for n in 1 2 4; do
    for strategy in NO_SHARD SHARD_OPTIMIZER SHARD_GRAD_OP FULL_SHARD; do
        [ $n -gt 1 ] || [ $strategy = NO_SHARD ] || continue
        mpirun -n $n --oversubscribe tests/bench/shard_bench $strategy
    done
done
