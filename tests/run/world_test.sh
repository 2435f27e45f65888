#!/bin/sh
# A run goes on with another number of ranks: every sample of an epoch is seen exactly once, but for the padding that makes ranks equal.
. "${srcdir:-.}/tests/run/common.sh"
pack

# both_config BASE ITER: stop.yaml with SIGTERM before an iteration, and a hook that writes the samples to seen/.
both_config() {
    stop_config "$1" "$2" 0
    sed -i 's/\[fault_hook\]/[fault_hook, seen_hook]/; s/^custom_hooks: \[/custom_hooks: [{type: SeenHook, folder: seen}, /' stop.yaml
}

# seen_once LENGTH EPOCHS: in each epoch every sample was seen, and at most $3 of them twice.
seen_once() {
    cat seen/* | awk -v length_="$1" -v epochs="$2" -v padding="$3" '
        { times[$2, $3]++; total[$2]++ }
        END { for (e = 0; e < epochs; e++) {
                  for (i = 0; i < length_; i++) if (!times[e, i]) { print "epoch " e ": sample " i " was not seen"; bad = 1; exit 1 }
                  if (total[e] > length_ + padding) { print "epoch " e ": " total[e] " samples of " length_; exit 1 } } }' >seen.out ||
        complain "$what: $(cat seen.out)"
}

# RANKS BATCH, then RANKS BATCH, stopped after so many of the second epoch's batches. 250 samples; ranks that do not divide what is left are
# filled up. Checkpoints in one file (null), or in so many shards.
while read -r n batch m then_batch after shards; do
    what="$n ranks with $batch, stopped after $after batches, then $m with $then_batch, shards: $shards"
    form=default_hooks.checkpoint.shards=$shards
    echo "$what"
    rm -rf seen work
    mkdir seen
    length=$(((250 + n * batch - 1) / (n * batch)))
    both_config adamw_bn.yaml $((length + after - 1))
    expect 75 "$n" train stop.yaml --work-dir work --cfg-options train_dataloader.batch_size="$batch" train_cfg.max_epochs=3 "$form"
    both_config adamw_bn.yaml 100000
    expect 0 "$m" train stop.yaml --work-dir work --resume \
        --cfg-options train_dataloader.batch_size="$then_batch" train_cfg.max_epochs=3 "$form"
    seen_once 250 3 $((n + m - 2))
    [ -f work/epoch_3.h5 ] || complain "$what: there is no epoch_3.h5"
done <<'END'
2 24 3 16 2 null
3 16 2 24 4 per_rank
2 24 1 48 1 null
1 48 4 12 5 3
2 16 3 16 1 per_rank
2 16 4 16 1 null
2 24 3 24 5 2
4 12 3 16 3 per_rank
END

# Two changes in one epoch.
what='2 ranks with 24, then 3 with 16, then 1 with 48, in one epoch'
rm -rf seen work
mkdir seen
options="train_cfg.max_epochs=3 default_hooks.checkpoint.shards=per_rank"
both_config adamw_bn.yaml 7
expect 75 2 train stop.yaml --work-dir work --cfg-options train_dataloader.batch_size=24 $options
both_config adamw_bn.yaml 9
expect 75 3 train stop.yaml --work-dir work --resume --cfg-options train_dataloader.batch_size=16 $options
both_config adamw_bn.yaml 100000
expect 0 1 train stop.yaml --work-dir work --resume --cfg-options train_dataloader.batch_size=48 $options
seen_once 250 3 3
[ -f work/epoch_3.h5 ] || complain "$what: there is no epoch_3.h5"

# In iterations: passes over the data follow each other, the second of them by other ranks from its 97th sample on.
what='iterations, 2 ranks with 24, then 3 with 16'
rm -rf seen work
mkdir seen
both_config iterations.yaml 7
expect 75 2 train stop.yaml --work-dir work --cfg-options train_dataloader.batch_size=24
both_config iterations.yaml 100000
expect 0 3 train stop.yaml --work-dir work --resume --cfg-options train_dataloader.batch_size=16 train_cfg.max_iters=18
sort seen/* | awk '{ times[$3]++; total++ } END { for (i = 0; i < 250; i++) if (times[i] < 3) bad = 1; exit bad || total > 750 + 4 }' ||
    complain "$what: not three passes over 250 samples"

# An endless stream: 18 steps of 48 samples are three passes over 250 and a part of the fourth.
what='an endless sampler, 2 ranks with 24, then 3 with 16'
rm -rf seen work
mkdir seen
both_config iterations.yaml 7
expect 75 2 train stop.yaml --work-dir work --cfg-options train_dataloader.batch_size=24 train_dataloader.sampler.type=InfiniteSampler
both_config iterations.yaml 100000
expect 0 3 train stop.yaml --work-dir work --resume \
    --cfg-options train_dataloader.batch_size=16 train_cfg.max_iters=18 train_dataloader.sampler.type=InfiniteSampler
cat seen/* | awk '{ times[$3]++; total++ } END { for (i = 0; i < 250; i++) if (times[i] < 3 || times[i] > 4) bad = 1; exit bad || total != 864 }' ||
    complain "$what: not the first 864 samples of the stream"

# Without batch norm the curve goes on as if nothing had changed, gradients that were summed up on other ranks with it.
sums=optim_wrapper.accumulative_counts=3
expect 0 2 train "$configs/lenet.yaml" --work-dir whole --cfg-options train_dataloader.batch_size=24 $sums
stop_config lenet.yaml 30 0
expect 75 2 train stop.yaml --work-dir parts --cfg-options train_dataloader.batch_size=24 $sums
expect 0 3 train "$configs/lenet.yaml" --work-dir parts --resume --cfg-options train_dataloader.batch_size=16 $sums
"$muster" ckpt diff whole/epoch_4.h5 parts/epoch_4.h5 --tolerance 1e-5 >out 2>err || complain '2 ranks, then 3: other weights than 2 ranks'
close whole parts 100
exit $failed
