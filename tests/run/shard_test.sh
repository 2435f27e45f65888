#!/bin/sh
# Ranks that keep pieces of states, gradients and parameters learn what ranks that have everything learn.
. "${srcdir:-.}/tests/run/common.sh"
pack

# strategy NAME [KEY=VALUE...]: the options of a sharded run, in units of about 2,000 parameters.
strategy() {
    name=$1
    shift
    cat >sharded.yaml <<END
_base_: $configs/$base
model_wrapper_cfg:
  type: MMFullyShardedDataParallel
  sharding_strategy: $name
  fsdp_auto_wrap_policy: {min_num_params: 2000}
  fixed_order: true
END
    for line in "$@"; do
        printf '  %s\n' "$line" >>sharded.yaml
    done
}

# whole RANKS OPTIONS...: everything on every rank.
whole() {
    ranks=$1
    shift
    expect 0 "$ranks" train "$configs/$base" --work-dir whole --cfg-options model_wrapper_cfg.type=MMDistributedDataParallel \
        model_wrapper_cfg.fixed_order=true "$@"
}

short="train_cfg.max_epochs=2"

# Two ranks: the same bits. Three and four: within rounding. With batch norm, AdamW in two groups, a short last batch.
for n in 2 3 4; do
    base=adamw_bn.yaml
    rm -rf whole
    whole $n train_dataloader.batch_size=$((48 / n)) $short || continue
    for stage in SHARD_OPTIMIZER SHARD_GRAD_OP FULL_SHARD; do
        strategy $stage
        rm -rf pieces
        expect 0 $n train sharded.yaml --work-dir pieces --cfg-options train_dataloader.batch_size=$((48 / n)) $short || continue
        if [ $n -eq 2 ]; then
            same whole/epoch_2.h5 pieces/epoch_2.h5
        else
            "$muster" ckpt diff whole/epoch_2.h5 pieces/epoch_2.h5 --tolerance 1e-6 >out 2>err || complain "$n ranks, $stage: other weights"
        fi
        scalars whole | grep '^accuracy' >one
        scalars pieces | grep '^accuracy' >two
        cmp -s one two || complain "$n ranks, $stage: other accuracies"
        echo "$n ranks, $stage: $(tail -n 1 out)"
    done
done

# Sums over three batches; pieces of them in SHARD_GRAD_OP and FULL_SHARD. Units by names of modules, further ahead.
base=lenet.yaml
sums=optim_wrapper.accumulative_counts=3
rm -rf whole
whole 2 train_dataloader.batch_size=24 $sums
for stage in SHARD_OPTIMIZER SHARD_GRAD_OP FULL_SHARD; do
    strategy $stage 'fsdp_auto_wrap_policy: [backbone.conv1, backbone.fc1, head]' 'backward_prefetch: 2' 'forward_prefetch: 0'
    sed -i '/min_num_params/d' sharded.yaml
    rm -rf pieces
    expect 0 2 train sharded.yaml --work-dir pieces --cfg-options train_dataloader.batch_size=24 $sums
    "$muster" ckpt diff whole/epoch_4.h5 pieces/epoch_4.h5 --tolerance 1e-5 >out 2>err || complain "sums, $stage: other weights"
    close whole pieces 100
done

# Stopped with sums of gradients, and taken up by other ranks that share in another way: FROM RANKS TO RANKS.
while read -r from n to m; do
    what="$from on $n ranks, then $to on $m"
    echo "$what"
    rm -rf pieces
    strategy $from
    cat >stop.yaml <<END
_base_: sharded.yaml
custom_imports: {imports: [fault_hook]}
custom_hooks: [{type: FaultHook, point: before_train_iter, iter: 31, rank: 0, action: term}]
END
    expect 75 "$n" train stop.yaml --work-dir pieces --cfg-options train_dataloader.batch_size=$((48 / n)) $sums
    strategy $to
    expect 0 "$m" train sharded.yaml --work-dir pieces --resume --cfg-options train_dataloader.batch_size=$((48 / m)) $sums
    "$muster" ckpt diff whole/epoch_4.h5 pieces/epoch_4.h5 --tolerance 1e-5 >out 2>err || complain "$what: other weights"
    close whole pieces 100
done <<END
FULL_SHARD 4 NO_SHARD 1
NO_SHARD 1 FULL_SHARD 4
FULL_SHARD 3 SHARD_OPTIMIZER 2
SHARD_OPTIMIZER 2 SHARD_GRAD_OP 3
END

# One rank has two batches to validate with, the others one; synchronised batch norm on the way.
base=adamw_bn.yaml
uneven="val_dataloader.dataset.indices=103 val_dataloader.batch_size=34 val_dataloader.sampler.round_up=false train_cfg.max_epochs=2
    train_dataloader.batch_size=16 sync_bn=torch"
rm -rf whole pieces
whole 3 $uneven
strategy FULL_SHARD
expect 0 3 train sharded.yaml --work-dir pieces --cfg-options $uneven
same whole/epoch_2.h5 pieces/epoch_2.h5
scalars whole | grep '^accuracy' >one
scalars pieces | grep '^accuracy' >two
[ -s one ] && cmp -s one two || complain 'uneven batches of validation: other accuracies'

base=lenet.yaml
# What travels in bfloat16 is learnt from much the same.
last_loss() { scalars "$1" | grep '^loss ' | sort -k 2n | tail -n 1; }
strategy FULL_SHARD 'mixed_precision: {param_dtype: bfloat16, reduce_dtype: bfloat16}'
expect 0 2 train sharded.yaml --work-dir narrow --cfg-options train_dataloader.batch_size=24
strategy FULL_SHARD
expect 0 2 train sharded.yaml --work-dir wide --cfg-options train_dataloader.batch_size=24
echo "$(last_loss wide) and in bfloat16 $(last_loss narrow)"
echo "$(last_loss wide) $(last_loss narrow)" | awk '{ d = ($3 - $6) / $3; exit !(d < 0.05 && d > -0.05 && d != 0 && $2 == 100) }' ||
    complain 'bfloat16 leads elsewhere, or changes nothing'
strategy SHARD_GRAD_OP 'mixed_precision: {param_dtype: bfloat16}'
expect 2 2 train sharded.yaml --work-dir refused --cfg-options train_dataloader.batch_size=24
grep -q 'gathered only with FULL_SHARD' err || complain 'param_dtype without FULL_SHARD is not refused'

# Units that cannot be: told by a check with their place, before anything runs.
refused_policy() {
    strategy FULL_SHARD
    printf '  %s\n' "fsdp_auto_wrap_policy: $1" | sed -i '/fsdp_auto_wrap_policy/{
        r /dev/stdin
        d
    }' sharded.yaml
    "$muster" check sharded.yaml >out 2>err
    [ $? -eq 2 ] && grep -qF "$2" err || complain "fsdp_auto_wrap_policy: $1 is not refused"
}
refused_policy 3 "sharded.yaml:5:26: model_wrapper_cfg.fsdp_auto_wrap_policy: expected {min_num_params: N}, a list of names of modules or null, found integer 3"
refused_policy '[1]' "sharded.yaml:5:27: model_wrapper_cfg.fsdp_auto_wrap_policy: expected names of modules, found integer 1"
refused_policy '{min_params: 3}' "sharded.yaml:5:27: model_wrapper_cfg.fsdp_auto_wrap_policy.min_params: expected one of the keys min_num_params"
refused_policy '[backbone, layer9]' "no parameter belongs to the module 'layer9'"

# A learning rate that ends in NaN: all ranks end, and tell it once.
for stage in SHARD_OPTIMIZER SHARD_GRAD_OP FULL_SHARD; do
    strategy $stage
    expect 1 3 train sharded.yaml --work-dir nan --cfg-options train_dataloader.batch_size=16 optim_wrapper.optimizer.lr=1e38 \
        optim_wrapper.clip_grad=null
    grep -q 'not finite\|NaN\|infinity' err || complain "$stage: NaN is not told"
done
exit $failed
