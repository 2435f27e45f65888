#!/bin/sh
# The job scripts and `muster` under srun on a Slurm of two nodes: the same results as under mpirun, whatever interrupts the job.
. "${srcdir:-.}/tests/run/common.sh"
slurm=$source/tests/cluster/slurm.sh
jobs=$source/jobs
stop_all() {
    "$slurm" stop "$tmp/slurm" >/dev/null 2>&1
    cd / && rm -rf "$tmp"
}
trap stop_all EXIT
trap 'exit 1' INT TERM
"$slurm" start "$tmp/slurm" 2>err
status=$?
[ $status -ne 77 ] || { cat err; echo 'skipped: there is no Slurm'; exit 77; }
[ $status -eq 0 ] || { cat err; exit 1; }
pack

shared_memory=$OMPI_MCA_btl
eval "$("$slurm" env "$tmp/slurm")"
export MUSTER="$muster" MUSTER_PLUGIN_PATH
for n in 1 2; do
    size="train_dataloader.batch_size=$((24 / n))"
    OMPI_MCA_btl=$shared_memory expect 0 $((2 * n)) train "$configs/adamw_bn.yaml" --work-dir whole$n --cfg-options $size
done
one="train_dataloader.batch_size=24"

# The same, slowed down: 24 iterations take at least 2.4 s.
cat >slow.yaml <<END
_base_: $configs/adamw_bn.yaml
custom_imports: {imports: [fault_hook]}
custom_hooks: [{type: FaultHook, point: before_train_iter, rank: -1, action: slow}]
END

# submit ARGUMENTS...: sbatch on both nodes; the number in $job, the output in $job.log
submit() {
    job=$(sbatch --parsable --nodes=2 --time=10 --output=%j.log "$@" 2>err) || complain "sbatch $*"
}

# field NAME [JOB]: of scontrol show job.
field() {
    scontrol show job -o "${2:-$job}" 2>/dev/null | tr ' ' '\n' | sed -n "s/^$1=//p" | tail -n 1
}

# told TEXT: complains, and shows the end of the job's output.
told() {
    complain "job $job: $1"
    [ ! -f "$job.log" ] || tail -n 12 "$job.log" | cut -c 1-160 | sed 's/^/  log: /'
}

# await SECONDS WHAT COMMAND...: four times as long, in fact: other tests may have the machine.
await() {
    tries=$(($1 * 40)) what=$2
    shift 2
    while ! "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || {
            told "not in time: $what; state $(field JobState)"
            return 1
        }
        sleep 0.1
    done
}
is_over() { case $(field JobState) in PENDING | RUNNING | COMPLETING | REQUEUED) return 1 ;; esac }

# finished STATE RESTARTS: the job ends so.
finished() {
    await 60 'its end' is_over || return 1
    out=$(field JobState),$(field Restarts)
    [ "$out" = "$1,$2" ] || told "$out instead of $1,$2"
    [ "$out" = "$1,$2" ]
}

# said N TEXT: so many lines of the job's output hold the text.
said() {
    [ "$(grep -c -- "$2" "$job.log")" -eq "$1" ] || told "'$2' is said $(grep -c -- "$2" "$job.log") times, not $1"
}

# The processes of muster that have something to do with this folder.
left() {
    for pid in $(pgrep -x muster); do
        [ "$(readlink "/proc/$pid/cwd")" != "$tmp" ] || echo "$pid"
    done
}
none_left() { [ -z "$(left)" ]; }

# ---- srun across both nodes ----
for n in 1 2; do
    timeout -k 5 "$limit" srun --mpi=pmix -N 2 --ntasks-per-node=$n "$muster" train "$configs/adamw_bn.yaml" --work-dir srun$n \
        --cfg-options train_dataloader.batch_size=$((24 / n)) >out 2>err || complain "srun with $n tasks on each node: status $?"
    same whole$n/epoch_4.h5 srun$n/epoch_4.h5
    same_scalars whole$n srun$n 24
done

# Ranks that cannot find each other are refused, not run twice.
srun --mpi=none -N 2 -n 2 "$muster" train "$configs/adamw_bn.yaml" --work-dir alone >out 2>err
status=$?
[ $status -eq 2 ] || complain "srun without pmix: status $status instead of 2"
grep -q 'srun started 2 tasks that MPI cannot connect' err && grep -q 'use srun --mpi=pmix' err ||
    complain 'srun without pmix: it does not say what to do'
[ ! -d alone ] || complain 'srun without pmix: it trained'

# ---- preflight ----
# line WORD NAME TEXT
line() {
    grep -q "^$1  *$2  *.*$3" out || complain "no line '$1 $2 ... $3'"
}
srun --mpi=pmix -N 2 --ntasks-per-node=1 "$muster" env --preflight "$configs/adamw_bn.yaml" >out 2>err || complain "preflight under srun: status $?"
line ok tasks '2 ranks on 2 nodes, 1 on each, started by srun'
line ok binding 'node n1: rank 0 .* up to n2 with rank 1'
line ok network 'between nodes: an all-reduce of 8 bytes'
line ok clocks 'at most 0'
srun --mpi=pmix -N 2 -n 3 "$muster" env --preflight >out 2>err || complain "preflight of three tasks: status $?"
line WARN tasks '3 ranks on 2 nodes, unevenly: 1 to 2 on a node'
line ok network 'inside the slowest node (n1)'
submit --ntasks=4 --wrap "$muster env --preflight"
finished FAILED 0
said 1 '^FAIL *tasks *one process, though the job has 4 tasks: start it with srun --mpi=pmix'

# ---- undisturbed ----
submit "$jobs/train.sbatch" "$configs/adamw_bn.yaml" --work-dir batch --cfg-options $one
finished COMPLETED 0
said 1 '^ok *program *the same on all ranks'
same whole1/epoch_4.h5 batch/epoch_4.h5
same_scalars whole1 batch 24

# interrupted NAME TEXT: the job was put back to the queue, went on and came to the same end.
interrupted() {
    finished COMPLETED 1 || return
    said 1 "resuming from $1/epoch_"
    said 1 '^ok *program *the same on all ranks'
    same whole1/epoch_4.h5 "$1/epoch_4.h5"
    same_scalars whole1 "$1" 24
}

begin() {
    submit "$jobs/train.sbatch" slow.yaml --work-dir "$1" --cfg-options $one
    await 30 'its first checkpoint' test -f "$1/epoch_1.h5"
}

# ---- preempted by a job of higher priority, which has both nodes for a moment ----
begin preempted
srun -p high -N 2 --exclusive true || complain 'the job of higher priority does not run'
interrupted preempted
said 1 'stopped after iteration .*; muster train ... --resume goes on'
said 1 'goes back to the queue'

# ---- the signal that --signal asks for, as scancel sends it: to the ranks only ----
begin signalled
scancel --signal=USR1 "$job"
interrupted signalled
said 1 'goes back to the queue'

# ---- requeued from outside: ranks and script are told to end at once ----
begin requeued
scontrol requeue "$job"
interrupted requeued
said 1 'stopped after iteration .*; muster train ... --resume goes on'

# ---- cancelled ----
begin cancelled
begun=$(date +%s)
scancel "$job"
await 15 'its end' is_over
finished CANCELLED 0
await 5 'the end of its processes' none_left
echo "scancel: all was over after $(($(date +%s) - begun)) s"
name=$(cat cancelled/last_checkpoint)
"$muster" ckpt verify "$name" >out 2>err || complain "$name is not whole"
case $name in cancelled/epoch_*_iter_*.h5 | cancelled/epoch_[1-3].h5) ;; *) complain "not stopped on the way: $name" ;; esac

# ---- a rank that dies takes the job with it ----
cat >kill.yaml <<END
_base_: $configs/adamw_bn.yaml
custom_imports: {imports: [fault_hook]}
custom_hooks: [{type: FaultHook, point: before_train_iter, iter: 8, rank: 1, action: kill}]
END
begun=$(date +%s)
submit "$jobs/train.sbatch" kill.yaml --work-dir killed --cfg-options $one
finished FAILED 0
took=$(($(date +%s) - begun))
echo "a rank that dies: the job was over after $took s"
[ $took -le 15 ] || complain "a job whose rank was killed takes $took s to end"
await 5 'the end of its processes' none_left

# ---- an array ----
cat >lines <<END
optim_wrapper.optimizer.lr=0.001 'train_cfg.max_epochs=2'
optim_wrapper.optimizer.lr=0.002 train_cfg.max_epochs=2 'default_hooks.logger.interval=2'
optim_wrapper.optimizer.lr=0.004 "train_cfg.max_epochs=2"
END
job=$(sbatch --parsable --array=1-3%2 --time=10 --output=sweep-%a.log "$jobs/sweep.sbatch" "$configs/adamw_bn.yaml" lines 2>err) ||
    complain 'sbatch sweep.sbatch'
array_over() { [ -z "$(squeue -h -j "$job" -o %i 2>/dev/null)" ]; }
await 60 'the end of the array' array_over
for task in 1 2 3; do
    dir=work_dirs/sweep/$task
    if [ ! -f $dir/epoch_2.h5 ] || [ -f $dir/epoch_3.h5 ]; then
        complain "task $task: not two epochs"
        tail -n 5 sweep-$task.log
    fi
    lr=$(sed -n "${task}s/.*optimizer.lr=\([0-9.]*\).*/\1/p" lines)
    grep -q "lr: $lr" "$(log_dir $dir)adamw_bn.yaml" ||
        complain "task $task did not take its learning rate"
done
job=$(sbatch --parsable --wait --array=4 --time=10 --output=sweep-%a.log "$jobs/sweep.sbatch" "$configs/adamw_bn.yaml" lines 2>err) &&
    complain 'a task without a line succeeds'
grep -q "'lines' has no line 4" sweep-4.log || complain 'a task without a line does not say so'

# One task of the array that is stopped goes on by itself; the others are left alone.
rm -rf work_dirs
printf 'randomness.seed=%s\n' 1 2 3 >lines
job=$(sbatch --parsable --array=1-3 --time=10 --output=again-%a.log "$jobs/sweep.sbatch" slow.yaml lines 2>err)
all_begun() {
    for task in 1 2 3; do [ -f work_dirs/sweep/$task/epoch_1.h5 ] || return 1; done
}
await 30 'first checkpoints' all_begun
scancel --signal=USR1 "${job}_3"
await 90 'the end of the array' array_over
for task in 1 2 3; do
    [ -f work_dirs/sweep/$task/epoch_4.h5 ] || complain "task $task of the array is not finished"
    resumed=$(grep -c "resuming from work_dirs/sweep/$task/" again-$task.log)
    [ "$resumed" -eq $((task == 3)) ] || complain "task $task went on $resumed times"
done

# ---- test and measure ----
cat >eval.yaml <<END
_base_: $configs/adamw_bn.yaml
END
submit --wait --ntasks-per-node=2 "$jobs/eval.sbatch" eval.yaml batch/epoch_4.h5 dump.h5
finished COMPLETED 0
OMPI_MCA_btl=$shared_memory expect 0 1 test eval.yaml batch/epoch_4.h5 --out dump1.h5
"$muster" eval dump1.h5 --metrics eval.yaml --out dump1.json >out 2>err || complain 'muster eval'
sed 's/dump1/dump/g' dump1.json | cmp -s - dump.json || complain 'eval.sbatch measures something else'

none_left || complain "processes are left: $(left)"
exit $failed
