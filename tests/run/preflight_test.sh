#!/bin/sh
# `muster env --preflight` under mpirun: all well at 1 to 4 ranks, and what goes wrong on purpose. What launchers make of cores, and what
# muster makes of that.
. "${srcdir:-.}/tests/run/common.sh"
pack
unset MUSTER_BIND OMPI_MCA_hwloc_base_binding_policy SLURM_NTASKS SLURM_JOB_NUM_NODES
cores=$(awk '/^Cpus_allowed_list:/ { print $2 }' /proc/self/status)

# line WORD NAME TEXT: the report has such a line.
line() {
    grep -q "^$1  *$2  *.*$3" out || complain "no line '$1 $2 ... $3'"
}

# preflight STATUS RANKS ARGUMENTS...
preflight() {
    wanted=$1 ranks=$2
    shift 2
    expect "$wanted" "$ranks" env --preflight "$@"
}

for n in 1 2 3 4; do
    preflight 0 $n "$configs/lenet.yaml" --work-dir new/work --cfg-options train_dataloader.batch_size=12
    grep -q '^FAIL' out && complain "$n ranks: something fails"
    line ok tasks "$n rank.* on 1 node, $n on each, started by mpirun"
    line ok program 'the same on all ranks'
    line ok libraries 'MPI'
    line ok config 'the same on all ranks'
    line ok batch "12 a rank, $((12 * n)) together, of 1200 samples"
    line ok binding 'node .*: rank'
    line ok files "'new/work' on "
    line ok space 'a checkpoint takes'
    line ok memory 'a training step takes'
    # One clock serves all ranks here: what is found is no more than what cannot be known, on a machine however busy.
    [ $n -eq 1 ] || line ok clocks 'at most [0-9]*\.[0-9]* ms apart from rank 0'
    sed -n 's/^ok  *clocks .*at most \([0-9.]*\) ms .*known to \([0-9.]*\) ms.*/\1 \2/p' out |
        awk '$1 > $2 + 0.01 { exit 1 }' || complain "$n ranks: one clock is found to be two"
    [ $n -eq 1 ] || line ok network 'all ranks: an all-reduce of 8 bytes'
done
[ ! -d new ] || complain 'it makes the work dir'
[ -z "$(find . -name '.muster-*')" ] || complain "files are left: $(find . -name '.muster-*')"

preflight 0 2 --json
grep -q '"failed": false' out && grep -c '"status": "ok"' out >/dev/null || complain 'no JSON'
if command -v python3 >/dev/null 2>&1; then
    python3 -c 'import json, sys; assert len(json.load(open("out"))["preflight"]) > 8' 2>err || complain 'JSON that cannot be read'
fi

# ---- provoked ----
preflight 1 2 --work-dir /proc/self/muster
line FAIL files 'rank 0 (.*), rank 1 (.*): .* cannot be made'
preflight 1 2 "$configs/lenet.yaml" --cfg-options work_dir=/proc/self/muster
line FAIL files 'rank 0 (.*), rank 1 (.*): .* cannot be made'
preflight 1 2 "$configs/lenet.yaml" --cfg-options model.backbone.depht=3
line FAIL config 'rank 0 (.*), rank 1 (.*): .*depht'
preflight 1 2 "$configs/lenet.yaml" --cfg-options train_dataloader.dataset.path=nowhere.h5
line FAIL data 'nowhere.h5'
sed 's/lr: 0.1,/lr: 0.2,/' "$configs/lenet.yaml" >other.yaml
cmp -s other.yaml "$configs/lenet.yaml" && complain 'the other config is none'
timeout "$limit" mpirun --oversubscribe -n 2 "$muster" env --preflight "$configs/lenet.yaml" : -n 1 "$muster" env --preflight other.yaml >out 2>err
[ $? -eq 1 ] || complain 'another config: not status 1'
line FAIL config 'rank 2 (.*): another config, and not as the others'
expect 2 1 env "$configs/lenet.yaml"
grep -q 'belong to --preflight' err || complain 'a config without --preflight'
SLURM_NTASKS=4 preflight 1 1
line FAIL tasks 'one process, though the job has 4 tasks'
SLURM_NTASKS=4 preflight 0 2
line WARN tasks '2 ranks, though Slurm counts 4 tasks'

MU_LOG_RANKS=1 preflight 0 2
MU_LOG_RANKS=0,2 preflight 2 2
grep -q 'MU_LOG_RANKS: "0,2": expected all, or ranks from 0 to 1' err || complain 'ranks that are not there may log'

# Another program: the same with a byte more.
if [ -x "$build/.libs/muster" ]; then
    cp "$build/.libs/muster" another
    printf x >>another
    export LD_LIBRARY_PATH="$build/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    timeout "$limit" mpirun --oversubscribe -n 3 "$build/.libs/muster" env --preflight : -n 1 ./another env --preflight >out 2>err
    [ $? -eq 1 ] || complain 'another program: not status 1'
    line FAIL program 'rank 3 (.*): another muster program, and not as the others'
fi

# ---- cores ----
case $cores in
0-[1-9]*)
    # Open MPI's own choice for two ranks, no binding at all, and that of the user.
    last=${cores#0-}
    unset OMP_NUM_THREADS
    preflight 0 1
    line ok binding "rank 0 .*0-$last"
    line ok cores 'threads a rank'
    if [ "$last" -eq 1 ]; then
        preflight 0 2
        line ok binding 'rank 0 core 0.*, rank 1 core 1'
        OMPI_MCA_hwloc_base_binding_policy=none preflight 0 2
        line ok binding 'rank 0 core 0.*, rank 1 core 1'
        line ok cores '1 thread a rank'
        MUSTER_BIND=none OMPI_MCA_hwloc_base_binding_policy=none preflight 0 2
        line ok binding 'ranks 0-1 all on cores 0-1'
        # OpenMP's own binding puts the threads of both on the first core.
        OMP_PLACES=cores OMPI_MCA_hwloc_base_binding_policy=none preflight 0 2
        line ok binding 'ranks 0-1 all on core 0'
        line WARN cores '2 ranks with 2 threads in all on 1 core'
        OMP_NUM_THREADS=2 preflight 0 2
        line WARN cores '2 ranks with 4 threads in all on 2 cores'
        preflight 0 3
        line ok binding 'ranks 0-2 all on cores 0-1'
        line WARN cores '3 ranks with 3 threads in all on 2 cores'
    fi
    # Both bound to one core.
    if command -v taskset >/dev/null 2>&1; then
        export OMPI_MCA_hwloc_base_binding_policy=none
        timeout "$limit" mpirun --oversubscribe -n 2 taskset -c 0 "$muster" env --preflight >out 2>err
        line ok binding 'ranks 0-1 all on core 0'
        line WARN cores '2 ranks with 2 threads in all on 1 core'
        timeout "$limit" mpirun --oversubscribe -n 1 taskset -c 0 "$muster" env --preflight : -n 1 "$muster" env --preflight >out 2>err
        line ok binding "rank 0 core 0 .*, rank 1 cores 0-$last"
        unset OMPI_MCA_hwloc_base_binding_policy
    fi
    # Training follows, and tells it once.
    expect 0 2 train "$configs/adamw_bn.yaml" --work-dir bound --cfg-options train_cfg.max_epochs=1 train_dataloader.batch_size=24
    [ "$(grep -c 'bind: node' err)" -eq 1 ] || complain 'the map is not told once'
    expect 0 4 train "$configs/adamw_bn.yaml" --work-dir crowded --cfg-options train_cfg.max_epochs=1 train_dataloader.batch_size=12
    [ "$last" -gt 2 ] || [ "$(grep -c 'WARNING - bind: node .* with 4 threads in all on' err)" -eq 1 ] || complain 'no warning of too many threads'
    ;;
*) echo "not tested on processors $cores: who gets which core" ;;
esac
MUSTER_BIND=nome mpi 2 env --preflight
[ "$status" -eq 2 ] && grep -q 'MUSTER_BIND: "nome": expected auto or none; did you mean "none"?' err || complain 'MUSTER_BIND=nome'
[ "$(grep -c '^muster: ' err)" -eq 1 ] || complain 'MUSTER_BIND=nome: not one message'
exit $failed
