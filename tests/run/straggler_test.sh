#!/bin/sh
# A rank that holds the others up is named once, with its host, and again as the run ends.
. "${srcdir:-.}/tests/run/common.sh"
pack
host=$(hostname)

# run RANKS HOOKS PIPELINE KEY=VALUE...: 19 iterations, the first of which does not count, in three windows of 6.
run() {
    what="-n $1 $2 $3"
    cat >run.yaml <<END
_base_: $configs/lenet.yaml
train_dataloader: {batch_size: 20, dataset: {indices: $((19 * 20 * $1)), pipeline: [$3]}}
train_cfg: {max_epochs: 1}
val_cfg: null
val_dataloader: null
val_evaluator: null
default_hooks: {logger: {type: LoggerHook, interval: 100}, checkpoint: null, straggler: {type: StragglerHook, window: 6}}
custom_imports: {imports: [fault_hook]}
custom_hooks: [$2]
END
    ranks=$1
    shift 3
    expect 0 "$ranks" train run.yaml --work-dir run --cfg-options randomness.seed=1 "$@"
}

# told N TEXT: the run told so N times.
told() {
    found=$(grep -c "$2" err)
    [ "$found" -eq "$1" ] || complain "$what: told $found times instead of $1: $2"
}

slow() {
    echo "{type: FaultHook, point: before_train_iter, action: slow, rank: $1}"
}

# Slow in what it does itself: of two ranks, and of three; the others, who wait for it, are not meant.
for ranks in 2 3; do
    run $ranks "$(slow 1)" '' default_hooks.straggler.factor=3
    told 1 ' is a straggler'
    told 1 "rank 1 (host $host) is a straggler: [1-9][0-9][0-9][.][0-9] ms an iteration of its own, [0-9.]* of them for data; the median of $ranks ranks is [0-9.]*\$"
    told 1 "rank 1 (host $host) was slow in 3 of 3 windows of 6 iterations"
done

# Slow because it waits for batches, of 20 samples of at least 5 ms each.
run 3 '' '{type: SlowLoading, rank: 2}' default_hooks.straggler.factor=3
told 1 ' is a straggler'
told 1 "rank 2 (host $host) is a straggler: [0-9.]* ms an iteration of its own, "
sed -n 's/.*straggler: \([0-9.]*\) ms .*, \([0-9.]*\) of them for data.*/\1 \2/p' err |
    awk '{ n++; good = $2 > 50 && $2 <= $1 && $2 > $1 / 2 } END { exit !(n == 1 && good) }' || complain "$what: the data are not blamed"

# All as slow as each other, and one rank alone.
run 3 "$(slow -1)" '' default_hooks.straggler.factor=5
told 0 'straggler\|was slow'
run 1 "$(slow 0)" ''
told 0 'straggler\|was slow'

# Switched off.
run 3 "$(slow 1)" '' default_hooks.straggler=null
told 0 'straggler\|was slow'
mpi 2 train run.yaml --work-dir run --cfg-options default_hooks.straggler.factor=1
[ "$status" -eq 2 ] && grep -q 'default_hooks.straggler.factor' err || complain 'factor 1 is not refused'
exit $failed
