#!/bin/sh
# kill_test.sh [ROUNDS [RANKS]]: kill -9 of a rank, of all ranks or of mpirun at random moments of training, writing checkpoints and validation.
# After each the run goes on; what was announced as saved is sound; the weights at the end are those of a quiet run, bit by bit.
# MUSTER_TEST_SEED repeats the choices (not the moments, which the machine's load shifts).
. "${srcdir:-.}/tests/run/failing.sh"
rounds=${1:-12} ranks=${2:-2}
seed=${MUSTER_TEST_SEED:-$$}
echo "seed $seed (MUSTER_TEST_SEED), $rounds rounds, $ranks ranks"
pack
cat >kill.yaml <<END
_base_: $configs/lenet.yaml
train_dataloader: {batch_size: 20, dataset: {indices: 600}}
train_cfg: {max_epochs: 40, val_interval: 1}
default_hooks:
  logger: {type: LoggerHook, interval: 100}
  checkpoint: {type: CheckpointHook, by_epoch: false, interval: 3, max_keep_ckpts: 3, save_best: auto}
END
last=iter_$((40 * ((600 + 20 * ranks - 1) / (20 * ranks)))).h5

# draw N: $drawn, from 0 to N - 1, the next of the seed's.
state=$seed
draw() {
    state=$(((state * 1103515245 + 12345) & 0x7fffffff))
    drawn=$(((state >> 8) % $1))
}
# gone PID...: within ten seconds.
gone() {
    for pid; do
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        ! kill -0 "$pid" 2>/dev/null || { complain "process $pid stays"; kill -9 "$pid"; }
    done
}
# announced LOG DIR: every checkpoint that LOG says is saved, and that a later one has not replaced, is sound.
announced() {
    for name in $(sed -n 's/.* - INFO - \([^ ]*\.h5\) is saved: .*/\1/p' "$1" | sort -u); do
        [ ! -e "$2/$name" ] || "$muster" ckpt verify "$2/$name" >out 2>verify.err || complain "$2/$name was announced and is damaged"
    done
}

mpi "$ranks" train kill.yaml --work-dir quiet
[ "$status" -eq 0 ] && [ -f "quiet/$last" ] || { complain "the quiet run does not end with $last"; exit 1; }

round=0 run=1 finished=0
: >phases
while [ $round -lt "$rounds" ] && [ $failed -eq 0 ]; do
    dir=run$run
    draw 2
    background=$([ $drawn -eq 0 ] && echo true || echo false)
    : >err
    mpirun -n "$ranks" --oversubscribe "$muster" train kill.yaml --work-dir $dir --resume \
        --cfg-options default_hooks.checkpoint.async_save="$background" >out 2>>err </dev/null &
    mpirun=$!
    draw 4
    wanted=$((1 + drawn))
    while kill -0 $mpirun 2>/dev/null && [ "$(grep -c ' is saved: ' err)" -lt $wanted ]; do
        sleep 0.02
    done
    draw 120
    sleep "0.$(printf %03d $drawn)"
    children=$(pgrep -P $mpirun | tr '\n' ' ')
    draw $((ranks + 2))
    case $drawn in
    "$ranks") victim=$mpirun who=mpirun ;;
    $((ranks + 1))) victim=$children who='all ranks' ;;
    *) victim=$(echo "$children" | cut -d' ' -f$((drawn + 1))) who="rank $drawn" ;;
    esac
    # shellcheck disable=SC2086
    [ -z "$victim" ] || kill -9 $victim 2>/dev/null
    # shellcheck disable=SC2086
    gone $mpirun $children
    wait $mpirun
    status=$?
    announced err $dir
    if [ $status -eq 0 ]; then # it was quicker
        same "quiet/$last" "$dir/$last"
        finished=$((finished + 1)) run=$((run + 1))
        continue
    fi
    round=$((round + 1))
    kept=$(cat $dir/last_checkpoint 2>/dev/null)
    [ -z "$kept" ] || "$muster" ckpt verify "$kept" >out 2>verify.err || complain "last_checkpoint names $kept, which is damaged"
    sed -n 's/^muster: rank .* is gone: .* (\([a-z]*\))$/\1/p' err | head -n 1 | grep . >>phases || echo "not told: $who" >>phases
    echo "round $round, run $run: $who after $wanted checkpoints (in the background: $background), then status $status, ${kept:-no checkpoint}"
done
# What was begun ends.
if [ -d run$run ] && [ $failed -eq 0 ]; then
    mpi "$ranks" train kill.yaml --work-dir run$run --resume
    [ "$status" -eq 0 ] || complain "run $run does not end"
    same "quiet/$last" "run$run/$last"
    finished=$((finished + 1))
fi
echo "$round kills, $finished runs finished with the weights of the quiet one; the killed were in:"
sort phases | uniq -c
exit $failed
