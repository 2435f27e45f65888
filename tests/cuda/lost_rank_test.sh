#!/bin/sh
# A rank on a device that dies, hangs or fails while the devices of the others wait for it: the job ends in time, and one message names it.
. "${srcdir:-.}/tests/run/failing.sh"
grep -q '^#define HAVE_CUDA_EMULATED 1' "$build/config.h" || { echo "skipped: built without an emulated device"; exit 77; }
grep -q '^#define HAVE_NCCL 1' "$build/config.h" || { echo "skipped: built without NCCL"; exit 77; }
unset CUDA_VISIBLE_DEVICES
export MUSTER_EMULATE_DEVICES=2
pack
small_config
host=$(hostname)
limits='watch_cfg.setup=60 watch_cfg.step=60 watch_cfg.checkpoint=60 watch_cfg.evaluation=60'

# shellcheck disable=SC2016
for rank in 0 1; do
    strike after_train_iter command $rank 1 'date +%s%N >struck; kill -9 $PPID'
    ends 137 10 2 train strike.yaml --work-dir gone --cfg-options device=cuda
    [ -s struck ] || complain "$what: rank $rank was not struck"
    says "rank $rank/2 (host $host, pid " ' is gone: killed by a signal'
done

# shellcheck disable=SC2086
for action in sleep stop; do
    strike after_train_iter $action 1 1
    ends 76 30 2 train strike.yaml --work-dir hung --cfg-options device=cuda $limits watch_cfg.step=3
    says "rank 1/2 (host $host, pid " 'FaultHook, after_train_iter'
done

strike after_train_iter error 1 1
ends 1 20 2 train strike.yaml --work-dir failed --cfg-options device=cuda
says 'rank 1/2: ' 'struck by a test'
exit $failed
