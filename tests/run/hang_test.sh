#!/bin/sh
# Ranks that hang, are stopped or vanish: the job ends in time, and one message names the rank, its host and what it did.
. "${srcdir:-.}/tests/run/failing.sh"
pack
small_config
host=$(hostname)

# ---- a rank hangs, or is stopped: its phase has a limit of 2 s, and the verdict comes within 5 s more ----
limits='watch_cfg.setup=60 watch_cfg.step=60 watch_cfg.checkpoint=60 watch_cfg.evaluation=60'
hangs() {
    strike "$1" "$2" "$3" "$4"
    phase=$5
    shift 5
    # shellcheck disable=SC2086
    ends 76 30 3 train strike.yaml --work-dir hung --cfg-options $limits watch_cfg.$phase=2
    for text; do
        says "$text"
    done
    sed -n 's/.* for \([0-9.]*\) s in .*/\1/p' message | awk '{ if ($1 < 2 || $1 > 7) exit 1 }' || complain "$what: not in time"
    says " (host $host, pid " "watch_cfg.$phase raises it, 0 means none"
}
hangs before_run sleep 1 -1 setup 'rank 1/3' ' hangs: for ' ' s in FaultHook, before_run, iteration 0; 2 ranks wait for it in ' 'the limit of setup, with the first step, is 2 s'
hangs after_train_iter sleep 1 1 step 'rank 1/3' ' hangs: for ' ' s in FaultHook, after_train_iter, iteration 2; 2 ranks wait for it in ' 'the limit of a step is 2 s'
hangs before_train_iter sleep 0 1 step 'rank 0/3' ' hangs: for ' ' s in FaultHook, before_train_iter, iteration 2; 2 ranks wait for it in '
hangs before_train_iter stop 0 1 step 'rank 0/3' ' is stopped, by SIGSTOP or a debugger: for ' 'before_train_iter, iteration 2; 2 ranks wait for it in '
hangs after_train_iter stop 2 1 step 'rank 2/3' ' is stopped, by SIGSTOP or a debugger: for '
hangs before_save_checkpoint sleep 2 -1 checkpoint 'rank 2/3' ' hangs: for ' 'FaultHook, before_save_checkpoint, iteration 2' 'the limit of a checkpoint is 2 s'
hangs before_save_checkpoint stop 1 -1 checkpoint 'rank 1/3' ' is stopped'
hangs before_val_iter sleep 1 -1 evaluation 'rank 1/3' ' hangs: for ' 'FaultHook, before_val_iter' 'the limit of a batch of evaluation is 2 s'
hangs after_val_epoch stop 0 -1 evaluation 'rank 0/3' ' is stopped'

# All ranks at once, each on its own: nobody is left to wait.
hangs after_train_iter sleep -1 1 step 'rank 0/3' 'rank 1/3' 'rank 2/3' ' hangs: for '

# One rank alone, without MPI.
strike after_train_iter sleep 0 1
OMPI_COMM_WORLD_SIZE='' MUSTER_LAUNCHER=none timeout -k 5 20 "$muster" train strike.yaml --work-dir alone --cfg-options watch_cfg.step=1 >out 2>err
status=$?
message
what='one rank'
[ "$status" -eq 76 ] || complain "one rank: status $status"
says "rank 0/1 (host $host, pid " ' hangs: for ' 'FaultHook, after_train_iter, iteration 2'

# Slow is not hanging, and 0 is no limit.
strike after_train_iter command 1 1 'sleep 1.5'
expect 0 3 train strike.yaml --work-dir slow --cfg-options watch_cfg.step=4
expect 0 3 train strike.yaml --work-dir slow --cfg-options watch_cfg.step=0
# Neither is waiting for a rank that has another limit.
strike before_val_iter command 1 0 'sleep 1.5'
expect 0 3 train strike.yaml --work-dir slow --cfg-options watch_cfg.step=1

# A test, and a mistake in the limits.
expect 0 1 train small.yaml --work-dir begun
strike before_test_iter sleep 1 -1
ends 76 30 2 test strike.yaml begun/epoch_1.h5 --work-dir tested --cfg-options watch_cfg.evaluation=2
says 'rank 1/2' ' hangs: for ' 'FaultHook, before_test_iter'
mpi 1 train small.yaml --cfg-options watch_cfg.step=-1
[ "$status" -eq 2 ] && grep -q 'watch_cfg.step' err || complain 'a negative limit is not refused'

# ---- a rank is gone: told by the others, at once, whatever mpirun says and does ----
for rank in 0 1 2; do
    for point in before_run before_train_iter before_save_checkpoint after_val_iter; do
        # shellcheck disable=SC2016
        strike $point command $rank -1 'date +%s%N >struck; kill -9 $PPID'
        ends 137 10 3 train strike.yaml --work-dir gone
        [ -s struck ] || complain "$what: rank $rank was not struck"
        says "rank $rank/3 (host $host, pid " ' is gone: killed by a signal, or for want of memory; it was in FaultHook, '"$point"
        grep -q MPI_ABORT err && complain 'mpirun tells of an abort that nobody asked for'
    done
done

# ---- ranks with a PID namespace each, as in containers: what one calls a process of another is none, or one of its own with its own files ----
if unshare -fp --mount-proc true 2>/dev/null; then
    head -c 100000 /dev/zero >kept
    cat >apart <<'END'
#!/bin/bash
for fd in $(seq 10 60); do
    [ "$OMPI_COMM_WORLD_RANK" -eq 0 ] || eval "exec $fd<>kept"
done
exec unshare -fp --mount-proc "$@"
END
    chmod +x apart
    OMPI_MCA_btl=self,tcp timeout "$limit" mpirun --oversubscribe -n 2 ./apart "$muster" train small.yaml --work-dir apart_work >out 2>err ||
        complain 'two ranks in PID namespaces of their own'
    head -c 100000 /dev/zero | cmp - kept >out 2>&1 || complain 'the monitor writes into a file that is not its own'
else
    echo 'not tested: PID namespaces (unshare is not allowed here)'
fi
exit $failed
