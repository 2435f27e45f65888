#!/bin/sh
# The number of ranks does not matter to what is learnt, and two runs at one number of ranks and any number of loader threads are the same, bit
# by bit.
. "${srcdir:-.}/tests/run/common.sh"
pack

# One global batch of 48.
for n in 1 2 3 4; do
    expect 0 $n train "$configs/lenet.yaml" --work-dir ranks$n --cfg-options train_dataloader.batch_size=$((48 / n)) || continue
    grep -q 'seed 42' err || complain "$n ranks: the first line does not tell the seed"
    [ $n -eq 1 ] && continue
    close ranks1 ranks$n 100
    "$muster" ckpt diff ranks1/epoch_4.h5 ranks$n/epoch_4.h5 --tolerance 1e-5 >out 2>err || complain "$n ranks: other weights"
    scalars ranks1 | grep '^accuracy' >one
    scalars ranks$n | grep '^accuracy' >many
    [ "$(wc -l <one)" -eq 8 ] || complain "not eight accuracies"
    cmp -s one many || complain "$n ranks: other accuracies"
done

# The same ranks, twice, with 0, 1 and 4 loader threads.
for n in 1 3; do
    for threads in 0 1 4; do
        expect 0 $n train "$configs/lenet.yaml" --work-dir again$n-$threads \
            --cfg-options train_dataloader.batch_size=$((48 / n)) train_dataloader.num_workers=$threads val_dataloader.num_workers=$threads ||
            continue
        same ranks$n/epoch_4.h5 again$n-$threads/epoch_4.h5
        same_scalars ranks$n again$n-$threads 100
    done
done

# Another seed is another run: the comparisons above can fail.
expect 0 1 train "$configs/lenet.yaml" --work-dir other --seed 43
"$muster" ckpt diff ranks1/epoch_4.h5 other/epoch_4.h5 --tolerance 1e-5 >out 2>err && complain 'another seed gives the same weights'
scalars ranks1 >scalars1
scalars other >scalars2
cmp -s scalars1 scalars2 && complain 'another seed gives the same scalars'
exit $failed
