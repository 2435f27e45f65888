#!/bin/sh
# Batch norm over all ranks: a ResNet learns the same at 1 to 4 ranks; `sync_bn` makes it so for norms that are not named so.
. "${srcdir:-.}/tests/run/common.sh"
pack

# 100 losses, and what is learnt.
for n in 1 2 3 4; do
    expect 0 $n train "$configs/resnet_sync.yaml" --work-dir ranks$n --cfg-options train_dataloader.batch_size=$((48 / n)) || continue
    [ $n -eq 1 ] && continue
    close ranks1 ranks$n 100
    scalars ranks1 | grep '^accuracy' >one
    scalars ranks$n | grep '^accuracy' >many
    cmp -s one many || complain "$n ranks: other accuracies"
done

expect 0 1 train "$configs/resnet_sync.yaml" --work-dir once --cfg-options train_cfg.max_epochs=1
# Ordinary norms see a quarter of the batch each: the comparison above can fail, and sync_bn makes it hold again.
expect 0 4 train "$configs/resnet_sync.yaml" --work-dir apart \
    --cfg-options train_dataloader.batch_size=12 model.backbone.norm_cfg.type=BN train_cfg.max_epochs=1
(failed=0; close once apart 25 >/dev/null; exit $failed) && complain 'batch norms of a quarter of the batch change nothing'
for wish in torch mmcv true; do
    expect 0 4 train "$configs/resnet_sync.yaml" --work-dir $wish \
        --cfg-options train_dataloader.batch_size=12 model.backbone.norm_cfg.type=BN sync_bn=$wish train_cfg.max_epochs=1
    close once $wish 25
done
expect 2 1 train "$configs/resnet_sync.yaml" --work-dir wrong --cfg-options sync_bn=apex
grep -q 'sync_bn: expected torch, mmcv, true' err || complain 'an unknown sync_bn is accepted'
exit $failed
