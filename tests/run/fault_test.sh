#!/bin/sh
# What goes wrong while ranks compute: one message, nobody waits for ever, and what was announced as written stays readable.
. "${srcdir:-.}/tests/run/failing.sh"
pack
small_config

# strike POINT ACTION RANK ITER: writes strike.yaml, small.yaml with a hook that does it.
strike() {
    cat >strike.yaml <<END
_base_: small.yaml
custom_imports: {imports: [fault_hook]}
custom_hooks: [{type: FaultHook, point: $1, action: $2, rank: $3, iter: $4, command: '${5-true}'}]
END
}

# nothing_left DIR: no file is half written.
nothing_left() {
    left=$(find "$1" -name '*.tmp' -o -name '*.part')
    [ -z "$left" ] || complain "half written: $left"
}

# ---- an error on one rank at every point, while the others go on ----
expect 0 1 train small.yaml --work-dir begun
points='before_run after_load_checkpoint before_train before_train_epoch before_train_iter after_train_iter after_train_epoch after_train
    before_val before_val_epoch before_val_iter after_val_iter after_val_epoch after_val before_save_checkpoint after_run'
for point in $points; do
    strike $point error 1 -1
    refused 3 train strike.yaml --work-dir struck --load-from begun/epoch_1.h5
    says 'rank 1/3: ' "FaultHook, $point: struck by a test"
    whole struck
done
points='before_run after_load_checkpoint before_test before_test_epoch before_test_iter after_test_iter after_test_epoch after_test after_run'
for point in $points; do
    strike $point error 1 -1
    refused 3 test strike.yaml begun/epoch_1.h5 --work-dir struck
    says 'rank 1/3: ' "FaultHook, $point: struck by a test"
done

# Without what agrees by itself between the points, and with a loop that counts iterations.
for point in after_train_iter after_val_epoch after_train; do
    strike $point error 1 -1
    refused 3 train strike.yaml --work-dir struck --cfg-options default_hooks.checkpoint=null
    says 'rank 1/3: ' "FaultHook, $point: struck by a test"
done
for point in before_train_iter after_train_iter after_val; do
    strike $point error 2 -1
    sed 's/small.yaml/iterations.yaml/' strike.yaml >strike_iter.yaml
    cp "$configs/iterations.yaml" "$configs/lenet.yaml" .
    refused 3 train strike_iter.yaml --work-dir struck --cfg-options train_dataloader.batch_size=16
    says 'rank 2/3: ' "FaultHook, $point: struck by a test"
done

# ---- no space: the second checkpoint does not fit, the first stays ----
for rank in 0 1; do
    strike before_train_epoch full $rank 3
    refused 2 train strike.yaml --work-dir full$rank
    says "rank $rank/2: " "'full$rank/epoch_2.h5' cannot be written: File too large" 'hint: free some space' 'what was there before is untouched'
    [ "$(cat full$rank/last_checkpoint)" = full$rank/epoch_1.h5 ] || complain 'last_checkpoint does not name the first'
    whole full$rank
    nothing_left full$rank
done
for rank in 0 1; do
    strike before_train_epoch full $rank 3
    refused 2 train strike.yaml --work-dir parts$rank --cfg-options default_hooks.checkpoint.shards=1
    says "rank $rank/2: " "'parts$rank/epoch_2-00000-of-00001.h5' cannot be written: File too large" 'hint: free some space'
    [ "$(cat parts$rank/last_checkpoint)" = parts$rank/epoch_1.h5 ] || complain 'last_checkpoint does not name the first'
    whole parts$rank
    nothing_left parts$rank
done
mkdir disk
if mount -t tmpfs -o size=1m tmpfs disk 2>/dev/null; then
    strike before_train_epoch command 0 3 'head -c 2M /dev/zero >disk/filler; true'
    refused 2 train strike.yaml --work-dir disk/w
    says "'disk/w/epoch_2.h5' cannot be written: No space left on device" 'hint: free some space'
    [ "$(cat disk/w/last_checkpoint)" = disk/w/epoch_1.h5 ] || complain 'last_checkpoint does not name the first'
    whole disk/w
    rm disk/filler
    expect 0 2 train small.yaml --work-dir disk/w --resume
    umount disk
fi

# ---- the folder is gone, or is something else: told of the checkpoint that is on its way, or of the next ----
strike before_train_epoch command 0 3 'mv gone away'
refused 2 train strike.yaml --work-dir gone
says "'gone/" ".h5' cannot be written" 'No such file or directory' 'hint: '
whole away
mkdir away2
ln -s away2 other
echo >file
strike before_train_epoch command 0 3 'ln -s file next; mv -T next other' # at once: there is no moment without any
refused 2 train strike.yaml --work-dir other
says "'other/" ".h5' cannot be written" 'Not a directory' 'hint: '
whole away2

# ---- two runs in one folder at once ----
for i in 1 2; do
    timeout -k 5 "$limit" mpirun -n 2 --oversubscribe "$muster" train small.yaml --work-dir two --cfg-options train_cfg.max_epochs=60 \
        >out$i 2>err$i &
    eval "pid$i=\$!"
done
wait "$pid1"; first=$?
wait "$pid2"; second=$?
case "$first $second" in
'0 2') cp err2 err ;;
'2 0') cp err1 err ;;
*) complain "two runs in one folder ended with $first and $second" ;;
esac
message
what='two runs in one folder'
says "work_dir 'two' is in use by another run: process " " on $(hostname)" 'hint: wait for it, stop it, or choose another folder'
[ "$(grep -c '^muster' message)" -eq 1 ] || complain "$what: not one message"

# ---- kill -9 of a rank or of mpirun at any moment ----
# gone PID...: within ten seconds.
gone() {
    for pid; do
        for i in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        ! kill -0 "$pid" 2>/dev/null || { complain "process $pid stays"; kill -9 "$pid"; }
    done
}
cat >long.yaml <<END
_base_: small.yaml
train_dataloader: {dataset: {indices: 600}}
train_cfg: {max_epochs: 12}
default_hooks: {checkpoint: {max_keep_ckpts: 3}}
END
begun=$(date +%s%N)
expect 0 2 train long.yaml --work-dir quiet
span=$((($(date +%s%N) - begun) / 1000000))
seed=${MUSTER_TEST_SEED:-$$}
echo "seed $seed (MUSTER_TEST_SEED), a quiet run takes $span ms"
for round in 1 2 3 4 5 6 7 8; do
    pause=$(awk "BEGIN { srand($seed + $round); printf \"%.3f\", (0.1 + 0.85 * rand()) * $span / 1000 }")
    case $((round % 2)) in
    0) form=default_hooks.checkpoint.shards=per_rank ;;
    *) form=default_hooks.checkpoint.shards=null ;;
    esac
    mpirun -n 2 --oversubscribe "$muster" train long.yaml --work-dir killed$round --cfg-options $form >out 2>err &
    mpirun=$!
    sleep "$pause"
    # mpirun itself may stay when a rank dies while it connects to it: before any code of ours ("PMIX ERROR: UNREACHABLE", Open MPI 4.1).
    for i in $(seq 50); do
        [ ! -d killed$round ] && kill -0 $mpirun 2>/dev/null || break
        sleep 0.1
    done
    ranks=$(pgrep -P $mpirun | tr '\n' ' ')
    case $((round % 3)) in
    0) victim=$mpirun ;;
    *) victim=$(echo $ranks | cut -d' ' -f$((round % 3))) ;;
    esac
    [ -z "$victim" ] || kill -9 "$victim" 2>/dev/null
    gone $mpirun $ranks
    wait $mpirun
    status=$?
    kept=$(cat killed$round/last_checkpoint 2>/dev/null)
    echo "round $round: process $victim of mpirun $mpirun and ranks $ranks killed after $pause s: status $status, ${kept:-no checkpoint}"
    [ -z "$ranks" ] || [ $status -ne 0 ] || [ -f killed$round/epoch_12.h5 ] || complain 'status 0 after a kill'
    whole killed$round
    expect 0 2 train long.yaml --work-dir killed$round --resume --cfg-options $form
    [ -z "$kept" ] || grep -qF "resuming from " err || complain 'the run does not go on from its checkpoint'
    same quiet/epoch_12.h5 killed$round/epoch_12.h5
    nothing_left killed$round
done
exit $failed
