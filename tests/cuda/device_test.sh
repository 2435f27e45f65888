#!/bin/sh
# Which device a rank gets, that no two get the same, and what is said when there is none. On emulated devices: they can be had in any number.
. "${srcdir:-.}/tests/run/common.sh"
grep -q '^#define HAVE_CUDA_EMULATED 1' "$build/config.h" || { echo "skipped: built without an emulated device"; exit 77; }
unset CUDA_VISIBLE_DEVICES MUSTER_DEVICE MUSTER_EMULATE_DEVICES
nccl='2'
grep -q '^#define HAVE_NCCL 1' "$build/config.h" || nccl='no; configure --with-nccl'

has() {
    grep -q -- "$2" "$1" || complain "$1 lacks: $2"
}
hasnot() {
    ! grep -q -- "$2" "$1" || complain "$1 has: $2"
}

# ---- devices of a machine ----
export MUSTER_EMULATE_DEVICES=3
"$muster" env >out 2>err || complain 'muster env'
has out '^cuda:0 .*Emulated H100, 0000:3B:00.0, GPU-10111213-1415-1617-1819-1a1b1c1d1e00'
has out '^cuda:2 .*0000:3D:00.0'
for library in 'CUDA driver        for CUDA 13.0' 'CUDA runtime       13.0' 'cuBLASLt           [0-9]' 'cuDNN              9' "NCCL               $nccl"; do
    has out "^$library"
done
CUDA_VISIBLE_DEVICES=2,GPU-10111213-1415-1617-1819-1a1b1c1d1e01,9,0 "$muster" env >out 2>err || complain 'muster env'
has out '^cuda:0 .*0000:3D:00.0'
has out '^cuda:1 .*0000:3C:00.0'
hasnot out '^cuda:2 '
CUDA_VISIBLE_DEVICES=7 "$muster" env >out 2>err || complain 'muster env without a device'
has out 'cuda (no CUDA device: no CUDA-capable device is detected (CUDA_VISIBLE_DEVICES is "7"))'
MUSTER_EMULATE_ERROR=driver "$muster" env >out 2>err || complain 'muster env with an old driver'
has out 'cuda (no CUDA device: CUDA driver version is insufficient for CUDA runtime version'

# ---- devices of ranks ----
pack
cat >short.yaml <<EOF
_base_: [$configs/lenet.yaml]
train_cfg: {_delete_: true, by_epoch: false, max_iters: 1}
param_scheduler: []
val_cfg: null
val_dataloader: null
val_evaluator: null
EOF

# train STATUS RANKS NAME OVERRIDES...
train() {
    wanted=$1 ranks=$2 name=$3
    shift 3
    expect "$wanted" "$ranks" train short.yaml --work-dir "$name" --cfg-options "$@"
}

if [ "$nccl" != 2 ]; then
    train 1 2 two device=cuda
    has err 'devices cannot exchange anything: this build has no NCCL'
    has err 'hint: install libnccl-dev and configure --with-nccl, or start one rank'
    train 1 2 sharded device=cuda model_wrapper_cfg.type=MMFullyShardedDataParallel
    has err 'this build has no NCCL'
    train 0 1 one device=cuda
    exit $failed
fi
train 0 2 two device=cuda
has err 'rank 0: .*, cuda:0, Emulated H100, 0000:3B:00.0, GPU-.*e00$'
has err 'rank 1: .*, cuda:1, Emulated H100, 0000:3C:00.0, GPU-.*e01$'
[ "$(grep -c 'rank 1: .*cuda:1' err)" -eq 1 ] || complain 'the map is not printed once'

# What a rank has of its device, which is little; its process has more.
memory=$(sed -n 's/.*memory: \([0-9]*\) .*/\1/p' err | head -n 1)
[ "${memory:-99}" -lt 20 ] || complain "memory: $memory"

train 2 2 same device=cuda:1
has err 'ranks 0 and 1 would share a device: Emulated H100 on node .*, 0000:3C:00.0, GPU-.*e01 (CUDA_VISIBLE_DEVICES of rank 0 is not set'
has err 'use device: cuda, without a number'
MUSTER_EMULATE_DEVICES=1 train 2 3 few device=cuda
has err 'ranks 0, 1 and 2 would share a device'
has err 'has 3 ranks, and rank 0 sees 1 device: start fewer ranks'

# Each with a device 0 of its own, as srun --gpus-per-task has it.
pair() {
    timeout -k 5 "$limit" mpirun --oversubscribe -n 1 -x CUDA_VISIBLE_DEVICES="$1" "$muster" train short.yaml --work-dir pair \
        --cfg-options device=cuda:0 : -n 1 -x CUDA_VISIBLE_DEVICES="$2" "$muster" train short.yaml --work-dir pair \
        --cfg-options device=cuda:0 </dev/null >out 2>err
    status=$?
}
pair 1 2
[ $status -eq 0 ] || complain "each its own device: status $status"
has err 'rank 0: .*, cuda:0, .*0000:3C:00.0'
has err 'rank 1: .*, cuda:0, .*0000:3D:00.0'
pair 1 GPU-10111213-1415-1617-1819-1a1b1c1d1e01
[ $status -eq 2 ] || complain "one device by two names: status $status"
has err 'would share a device: .*rank 0 is 1, of rank 1 GPU-1011'

# ---- auto ----
train 0 1 auto randomness.seed=1
has err 'rank 0: .*, cuda:0,'
MUSTER_DEVICE=cpu train 0 1 auto_cpu randomness.seed=1
hasnot err 'cuda:0'
CUDA_VISIBLE_DEVICES= train 0 1 auto_none randomness.seed=1
hasnot err 'cuda:0'
MUSTER_DEVICE=cuda:2 train 0 1 auto_third randomness.seed=1
has err 'rank 0: .*, cuda:2, .*0000:3D:00.0'
CUDA_VISIBLE_DEVICES=1 train 2 1 missing device=cuda:1
has err 'device: expected a device (there is no device cuda:1: this process sees 1, from 0 on; CUDA_VISIBLE_DEVICES is "1"'
CUDA_VISIBLE_DEVICES= train 2 1 none device=cuda
has err 'no CUDA device: no CUDA-capable device is detected (CUDA_VISIBLE_DEVICES is "")'
exit $failed
