#!/bin/sh
# The recipe of ResNet-18 on packed images of 32 by 32 trains, here with few maps: folders of JPEGs, packed by two ranks, two iterations on two.
. "${srcdir:-.}/tests/run/common.sh"
grep -q '^#define HAVE_JPEG 1' "$build/config.h" || { echo 'skipped: built without JPEG'; exit 77; }
"$build/tests/unit/make_images" images 2 4 40 36 || exit 99
expect 0 2 data pack cifar.h5 --folder images --size 32x32
expect 0 2 train "$source/configs/resnet/resnet18_cifar.yaml" --work-dir work --cfg-options train_dataloader.dataset.path=cifar.h5 \
    val_dataloader.dataset.path=cifar.h5 train_dataloader.batch_size=2 val_dataloader.batch_size=4 train_cfg.max_epochs=1 \
    model.backbone.stem_channels=4 model.backbone.base_channels=4 model.head.num_classes=2 default_hooks.logger.interval=1
[ "$(scalars work | grep -c '^loss ')" -eq 2 ] || complain 'there are not two iterations'
scalars work | grep -q '^accuracy/top1 ' || complain 'there is no validation'
[ -s work/epoch_1.h5 ] || complain 'there is no checkpoint'
exit $failed
