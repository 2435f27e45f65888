#!/bin/sh
# Stops by the end of the job, by --max-time, and in the middle of a validation: a checkpoint, status 75, and the resumed run is as if nothing had been.
. "${srcdir:-.}/tests/run/common.sh"
pack

# slow_config FILE POINT [ACTION ITER RANK]: lenet.yaml of two epochs and many small batches of validation, each POINT takes 0.1 s; and what ACTION does.
slow_config() {
    cat >"$1" <<END
_base_: $configs/lenet.yaml
train_dataloader: {batch_size: 24, dataset: {indices: 240}}
val_dataloader: {batch_size: 25, dataset: {indices: 325}}
train_cfg: {max_epochs: 2}
custom_imports: {imports: [fault_hook]}
custom_hooks:
  - {type: FaultHook, point: $2, rank: -1, action: slow}
  - {type: FaultHook, point: ${4-before_run}, rank: ${6--2}, iter: ${5--1}, action: command, command: '${3-true}'}
END
}

# said N TEXT: so many lines of the last run hold the text.
said() {
    [ "$(grep -c -- "$2" err)" -eq "$1" ] || complain "'$2' is said $(grep -c -- "$2" err) times, not $1"
}

# ends_before SECONDS: the last run, begun at $begun, has not taken so long.
ends_before() {
    [ $(($(date +%s) - begun)) -lt "$1" ] || complain "it took $(($(date +%s) - begun)) s"
}
clock() { date -d "@$1" +%H:%M:%S; }

unset SLURM_JOB_ID SLURM_JOB_END_TIME
slow_config plain.yaml after_run
slow_config slow.yaml before_train_iter
size=train_dataloader.batch_size
expect 0 1 train plain.yaml --work-dir plain1
expect 0 2 train plain.yaml --work-dir plain2 --cfg-options $size=12

# ---- the job's end: 20 iterations of 0.1 s at least, and too little time for them ----
for n in 1 2; do
    begun=$(date +%s)
    end=$((begun + 4))
    export SLURM_JOB_END_TIME=$end
    expect 75 $n train slow.yaml --work-dir ended$n --end-margin 3 --cfg-options $size=$((24 / n))
    unset SLURM_JOB_END_TIME
    ends_before 4
    said 1 "the job ends at $(clock $end): stopped after iteration [0-9]*; muster train ... --resume"
    [ -f "$(cat ended$n/last_checkpoint)" ] || complain 'there is no checkpoint'
    expect 0 $n train plain.yaml --work-dir ended$n --resume --cfg-options $size=$((24 / n))
    same plain$n/epoch_2.h5 ended$n/epoch_2.h5
    same_scalars plain$n ended$n 20
done

# Without a margin of its own a job of 20 s has no time for anything; an end that is far away is told, and no more.
SLURM_JOB_END_TIME=$(($(date +%s) + 20)) expect 75 1 train slow.yaml --work-dir short
SLURM_JOB_END_TIME=$(($(date +%s) + 9000)) expect 0 2 train plain.yaml --work-dir long --cfg-options $size=12
said 1 'the job ends at .*, in [89][0-9][0-9][0-9] s'
same plain2/epoch_2.h5 long/epoch_2.h5

# ---- the same, as squeue says; without a word from it training goes on ----
mkdir bin
cat >bin/squeue <<'END'
#!/bin/sh
echo "$*" >>asked
eval "$ANSWER"
END
chmod +x bin/squeue
asks() {
    rm -f asked
    SLURM_JOB_ID=17 ANSWER="$2" PATH="$tmp/bin:$PATH" expect "$1" 2 train plain.yaml --work-dir asked$1 --cfg-options $size=12
    [ "$(cat asked)" = '-h -j 17 -o %e' ] || complain "squeue was asked: $(cat asked)"
}
asks 75 "date -d '20 seconds' +%Y-%m-%dT%H:%M:%S"
said 1 'the job ends at .*: stopped after'
for answer in 'echo NOLIMIT' 'echo N/A' 'exit 1' 'echo 2001-01-01T00:00:00; exit 1' 'echo 2001-01-01T00:00:00 or so' 'head -c 10000 /dev/zero' 'exec sleep 60'; do
    asks 0 "$answer"
    said 0 'the job ends'
done

# ---- --max-time ----
expect 75 2 train slow.yaml --work-dir limited --max-time 0.7 --cfg-options $size=12
said 1 'max-time is over: stopped after iteration [0-9]*; '
expect 0 2 train plain.yaml --work-dir limited --resume --cfg-options $size=12
same plain2/epoch_2.h5 limited/epoch_2.h5
same_scalars plain2 limited 20

"$muster" train plain.yaml --end-margin soon >out 2>err
[ $? -eq 2 ] || complain '--end-margin soon: not refused'

# A save after each iteration, one at a time, of a larger model: sooner or later one falls just before the stop, and is left to it.
large="model.backbone.hidden=20000 train_cfg.max_epochs=400 default_hooks.checkpoint.by_epoch=false default_hooks.checkpoint.max_keep_ckpts=2"
for try in 1 2 3 4 5 6 7 8; do
    expect 75 2 train plain.yaml --work-dir skipped$try --max-time 2 --cfg-options $size=12 $large
    grep -q 'is not begun' err && break
done
said 1 'is not begun: it would take until after the stop, which writes one'
last=$(sed -n 's/.*stopped after iteration \([0-9]*\);.*/\1/p' err)
[ "$(cat skipped$try/last_checkpoint)" = "skipped$try/iter_$last.h5" ] || complain 'the stop has not written its checkpoint'
[ "$(ls skipped$try/iter_*.h5 | wc -l)" -eq 2 ] || complain 'too many checkpoints are kept'

# ---- a signal in the middle of the first validation, and of the last: 13 batches of 0.1 s on each of one rank, 7 on two ----
# metrics DIR: as recorded of validations, sorted; each counts.
metrics() {
    cat "$1"/[0-9]*_[0-9]*/vis_data/scalars.jsonl | grep accuracy | sed 's/"\(data_time\|time\)": [^,]*, //g' | sort
}
for n in 1 2; do
    for iter in 10 20; do
        dir=left$n.$iter
        slow_config left.yaml before_val_iter '[ -e struck ] || { touch struck; kill -USR1 $PPID; }' after_val_iter $iter $((n - 1))
        rm -f struck
        expect 75 $n train left.yaml --work-dir $dir --cfg-options $size=$((24 / n))
        said 1 "signal 10 (User defined signal 1): stopped after iteration $iter;"
        said 1 'the validation is left for the stop'
        [ "$(grep -c 'Epoch(val).*accuracy' err)" -eq $((iter / 10 - 1)) ] || complain 'a validation that was left has a result'
        [ "$(cat $dir/last_checkpoint)" = $dir/epoch_$((iter / 10)).h5 ] || complain 'last_checkpoint names another'
        [ "$(ls $dir/best_* 2>/dev/null | wc -l)" -eq $((iter / 10 - 1)) ] || complain 'a validation that was left has a best checkpoint'
        expect 0 $n train plain.yaml --work-dir $dir --resume --cfg-options $size=$((24 / n))
        same plain$n/epoch_2.h5 $dir/epoch_2.h5
        same_scalars plain$n $dir 20
        metrics plain$n >metrics1
        metrics $dir >metrics2
        [ "$(wc -l <metrics1)" -eq 2 ] && cmp -s metrics1 metrics2 || { diff metrics1 metrics2; complain "$dir: other metrics"; }
        (cd plain$n && ls best_*) >best1
        (cd $dir && ls best_*) >best2
        cmp -s best1 best2 || complain "$dir: other best checkpoints"
    done
done

# The same in the second pass of a validation: that of the model itself, after its average.
for action in slow term; do
    cat >again.$action.yaml <<END
_base_: $configs/lenet.yaml
train_dataloader: {batch_size: 12, dataset: {indices: 240}}
val_dataloader: {batch_size: 25, dataset: {indices: 325}}
train_cfg: {max_epochs: 2}
custom_imports: {imports: [fault_hook]}
custom_hooks:
  - {type: FaultHook, point: after_val_epoch, rank: 1, iter: 20, action: $action}
  - {type: EMAHook, evaluate_on_origin: true}
END
done
expect 0 2 train again.slow.yaml --work-dir again
expect 75 2 train again.term.yaml --work-dir again.struck
said 1 'stopped after iteration 20;'
said 1 'the validation is left for the stop'
[ "$(grep -c 'Epoch(val).*accuracy' err)" -eq 1 ] || complain 'a validation that was left in its second pass has a result'
expect 0 2 train again.slow.yaml --work-dir again.struck --resume
same again/epoch_2.h5 again.struck/epoch_2.h5
metrics again >metrics1
metrics again.struck >metrics2
grep -q origin metrics1 && cmp -s metrics1 metrics2 || { diff metrics1 metrics2; complain 'a validation that was left in its second pass: other metrics'; }

# Counted in iterations, in pieces, and the ranks have 7 and 6 batches.
for sharing in MMDistributedDataParallel MMFullyShardedDataParallel; do
    cat >left.yaml <<END
_base_: $configs/iterations.yaml
model_wrapper_cfg: {type: $sharing}
val_dataloader: {batch_size: 25, dataset: {indices: 325}}
custom_imports: {imports: [fault_hook]}
custom_hooks:
  - {type: FaultHook, point: after_val_iter, rank: 1, iter: 16, action: \$ACTION}
END
    sed 's/\$ACTION/slow/' left.yaml >quiet.yaml
    sed -i 's/\$ACTION/term/' left.yaml
    expect 0 2 train quiet.yaml --work-dir quiet.$sharing --cfg-options $size=24
    expect 75 2 train left.yaml --work-dir struck.$sharing --cfg-options $size=24
    said 1 'stopped after iteration 16;'
    said 1 'the validation is left for the stop'
    expect 0 2 train quiet.yaml --work-dir struck.$sharing --resume --cfg-options $size=24
    same quiet.$sharing/iter_24.h5 struck.$sharing/iter_24.h5
    same_scalars quiet.$sharing struck.$sharing 24
done
exit $failed
