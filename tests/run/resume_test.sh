#!/bin/sh
# A run that is taken up again ends as the one that was never stopped, bit by bit: weights, optimizer, schedules, scalars.
. "${srcdir:-.}/tests/run/common.sh"
pack

# last DIR NAME: last_checkpoint names it, and it is there.
last() {
    [ "$(cat "$1/last_checkpoint" 2>&1)" = "$1/$2" ] || complain "$1: last_checkpoint says $(cat "$1/last_checkpoint" 2>&1), not $2"
    [ -f "$1/$2" ] || complain "$1: there is no $2"
}

# best DIR DIR: each has one best checkpoint, of the same name and weights.
best() {
    [ "$(cd "$1" && ls best_*)" = "$(cd "$2" && ls best_*)" ] || complain "$1 and $2: other best checkpoints: $(ls "$1" "$2")"
    [ "$(ls "$1"/best_* | wc -l)" -eq 1 ] || complain "$1: not one best checkpoint"
    same "$1"/best_*.h5 "$2"/best_*.h5
}

# ---- two epochs and two more ----
for n in 1 2; do
    for config in lenet adamw_bn; do
        what=$config-$n
        options="train_dataloader.batch_size=$((48 / n))"
        expect 0 $n train "$configs/$config.yaml" --work-dir $what --cfg-options $options
        expect 0 $n train "$configs/$config.yaml" --work-dir $what-parts --cfg-options $options train_cfg.max_epochs=2
        last $what-parts epoch_2.h5
        expect 0 $n train "$configs/$config.yaml" --work-dir $what-parts --resume --cfg-options $options
        grep -q "resuming from $what-parts/epoch_2.h5" err || complain "$what: it does not say from where it goes on"
        last $what-parts epoch_4.h5
        same $what/epoch_4.h5 $what-parts/epoch_4.h5
        [ $config = lenet ] && losses=100 || losses=24
        same_scalars $what $what-parts $losses
        best $what $what-parts
    done
done

# ---- SIGTERM on one rank in the middle of an epoch ----
for n in 1 2; do
    what=adamw_bn-$n
    options="train_dataloader.batch_size=$((48 / n))"
    stop_config adamw_bn.yaml 8 $((n - 1))
    expect 75 $n train stop.yaml --work-dir $what-term --cfg-options $options
    [ "$(grep -c 'stopped after iteration 9; muster train ... --resume goes on' err)" -eq 1 ] || complain "$what: it does not say once that it was stopped"
    last $what-term epoch_2_iter_9.h5
    expect 0 $n train "$configs/adamw_bn.yaml" --work-dir $what-term --resume --cfg-options $options train_dataloader.num_workers=4
    same $what/epoch_4.h5 $what-term/epoch_4.h5
    same_scalars $what $what-term 24
    best $what $what-term
done

# Nothing to go on from: it says so once, and begins.
expect 0 2 train "$configs/adamw_bn.yaml" --work-dir fresh --resume --cfg-options train_dataloader.batch_size=24 train_cfg.max_epochs=1
[ "$(grep -c 'there is no checkpoint in fresh to resume from: training starts at the beginning' err)" -eq 1 ] || complain 'it does not say once that it begins anew'

# At the last iteration of an epoch.
stop_config adamw_bn.yaml 11 0
expect 75 2 train stop.yaml --work-dir edge --cfg-options train_dataloader.batch_size=24
last edge epoch_2.h5
expect 0 2 train "$configs/adamw_bn.yaml" --work-dir edge --resume --cfg-options train_dataloader.batch_size=24
same adamw_bn-2/epoch_4.h5 edge/epoch_4.h5
same_scalars adamw_bn-2 edge 24

# From outside, whenever it comes, to a process without mpirun.
"$muster" train "$configs/adamw_bn.yaml" --work-dir outside --cfg-options train_cfg.max_epochs=100 >out 2>err &
pid=$!
tries=0
while [ ! -f outside/epoch_3.h5 ] && [ $tries -lt 600 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
kill -TERM $pid
wait $pid
status=$?
[ $status -eq 75 ] || complain "kill -TERM: status $status instead of 75"
name=$(basename "$(cat outside/last_checkpoint)")
iter=$("$muster" ckpt info "outside/$name" | sed -n 's/.*, iteration \([0-9]*\).*/\1/p')
echo "kill -TERM from outside: stopped at iteration $iter, $name"
end=$(((iter + 5) / 6 + 1))
expect 0 1 train "$configs/adamw_bn.yaml" --work-dir outside --resume --cfg-options train_cfg.max_epochs=$end
expect 0 1 train "$configs/adamw_bn.yaml" --work-dir whole --cfg-options train_cfg.max_epochs=$end
same outside/epoch_$end.h5 whole/epoch_$end.h5
same_scalars outside whole $((6 * end))

# ---- sums of gradients that are not used yet ----
for n in 1 2; do
    options="train_dataloader.batch_size=$((48 / n)) optim_wrapper.accumulative_counts=3"
    expect 0 $n train "$configs/adamw_bn.yaml" --work-dir sums$n --cfg-options $options
    stop_config adamw_bn.yaml 9 0
    expect 75 $n train stop.yaml --work-dir sums$n-term --cfg-options $options
    "$muster" ckpt diff sums$n/epoch_4.h5 sums$n-term/epoch_2_iter_10.h5 >out 2>err
    grep -q '/optimizer/accumulated/rank_0/.*: only in' out || complain "$n ranks: no gradients are kept in the middle of an accumulation"
    expect 0 $n train "$configs/adamw_bn.yaml" --work-dir sums$n-term --resume --cfg-options $options
    same sums$n/epoch_4.h5 sums$n-term/epoch_4.h5
    same_scalars sums$n sums$n-term 24
done

# ---- counted in iterations ----
for n in 1 2; do
    options="train_dataloader.batch_size=$((48 / n))"
    expect 0 $n train "$configs/iterations.yaml" --work-dir iterations$n --cfg-options $options
    last iterations$n iter_24.h5
    [ -f iterations$n/iter_12.h5 ] || complain 'there is no iter_12.h5'
    for at in 8 11 13; do
        stop_config iterations.yaml $at 0
        expect 75 $n train stop.yaml --work-dir iterations$n-$at --cfg-options $options
        last iterations$n-$at iter_$((at + 1)).h5
        expect 0 $n train "$configs/iterations.yaml" --work-dir iterations$n-$at --resume --cfg-options $options
        same iterations$n/iter_24.h5 iterations$n-$at/iter_24.h5
        same_scalars iterations$n iterations$n-$at 24
        best iterations$n iterations$n-$at
    done
done

# ---- an endless sampler ----
options="train_dataloader.batch_size=24 train_dataloader.sampler.type=InfiniteSampler"
expect 0 2 train "$configs/iterations.yaml" --work-dir endless --cfg-options $options
stop_config iterations.yaml 13 0
expect 75 2 train stop.yaml --work-dir endless-term --cfg-options $options
expect 0 2 train "$configs/iterations.yaml" --work-dir endless-term --resume --cfg-options $options
same endless/iter_24.h5 endless-term/iter_24.h5
same_scalars endless endless-term 24
exit $failed
