#!/bin/sh
# What a run leaves behind and says: checkpoints by name, the best one, log lines, dumped predictions that give the same numbers again; and the
# recipe for digits, which reads more than 98 % of those that it has not seen.
. "${srcdir:-.}/tests/run/common.sh"
pack

# has FILE PATTERN: a line matches the extended regular expression.
has() {
    grep -Eq -- "$2" "$1" || complain "$1 lacks: $2"
}

# ---- names, what is kept, the best ----
options='train_dataloader.batch_size=24 default_hooks.checkpoint.max_keep_ckpts=2'
expect 0 2 train "$configs/lenet.yaml" --work-dir run --cfg-options $options default_hooks.logger.interval=10 log_processor.window_size=10
mv err console
[ ! -s out ] || complain 'training writes to standard output'
score=$(scalars run | awk '$1 == "accuracy/top1" && $3 + 0 > best { best = $3 + 0; at = $2 } END { print at }')
[ "$(cd run && ls *.h5 | tr '\n' ' ')" = "best_accuracy_top1_epoch_$score.h5 epoch_3.h5 epoch_4.h5 " ] ||
    complain "kept: $(ls run), the best epoch is $score"
[ "$(cat run/last_checkpoint)" = run/epoch_4.h5 ] || complain "last_checkpoint: $(cat run/last_checkpoint)"
if [ -f run/epoch_"$score".h5 ]; then
    "$muster" ckpt diff "run/best_accuracy_top1_epoch_$score.h5" "run/epoch_$score.h5" >out 2>err
    grep -q '/state_dict/.*differ' out && complain 'the best checkpoint has other weights than its epoch'
    grep -q '/optimizer/.*: only in' out || complain 'the best checkpoint is not of weights alone'
fi

# ---- log lines ----
log=$(echo run/*/*.log)
when='^[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} - muster - INFO - '
times='eta: [0-9]+:[0-9]{2}:[0-9]{2}  time: [0-9]+\.[0-9]{4}  data_time: [0-9]+\.[0-9]{4}  memory: [0-9]+  '
has "$log" "${when}Epoch\\(train\\) \\[1\\]\\[10/25\\]  lr: [0-9.]+e-[0-9]{2}  ${times}grad_norm: [0-9]+\\.[0-9]{4}  loss: [0-9]+\\.[0-9]{4}\$"
has "$log" "${when}Epoch\\(val\\) \\[4\\]\\[4/4\\]    accuracy/top1: [0-9]+\\.[0-9]{4}  accuracy/top3: [0-9]+\\.[0-9]{4}  data_time: [0-9.]+  time: [0-9.]+\$"
has "$log" "${when}Saving checkpoint at 3 epochs\$"
has "$log" "${when}The best checkpoint with [0-9.]+ accuracy/top1 at $score epoch is saved to best_accuracy_top1_epoch_$score.h5.\$"
has "$log" "${when}Exp name: lenet_[0-9]{8}_[0-9]{6}\$"
[ "$(grep -c 'Epoch(train)' "$log")" -eq 8 ] || complain 'not two lines of training in each of 4 epochs'
has console '^[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} - muster - INFO - Epoch\(train\) \[4\]\[20/25\]'
[ "$(grep -c 'Epoch(train)' console)" -eq 8 ] || complain 'the console does not have each line once'

expect 0 2 train "$configs/iterations.yaml" --work-dir counted --cfg-options train_dataloader.batch_size=24
log=$(echo counted/*/*.log)
has "$log" "${when}Iter\\(train\\) \\[ 9/24\\]  lr: [0-9.]+e-[0-9]{2}  ${times}grad_norm: [0-9.]+  loss: [0-9.]+\$"
has "$log" "${when}Iter\\(val\\) \\[4/4\\]    accuracy/top1: "
[ "$(cd counted && echo iter_*.h5)" = 'iter_12.h5 iter_24.h5' ] || complain "kept: $(ls counted)"
(cd counted && ls) | grep -Eq '^best_accuracy_top1_iter_(8|16|24)\.h5$' || complain "the best of iterations: $(ls counted)"

# ---- validation and test again, from a dump, and at other ranks ----
expect 0 1 val "$configs/lenet.yaml" run/epoch_4.h5 --json --work-dir val
for tag in accuracy/top1 accuracy/top3; do
    "$muster" val "$configs/lenet.yaml" run/epoch_4.h5 --json --work-dir val 2>err | sed -n "s|.*\"$tag\": \([0-9.e+]*\).*|\1|p" >again
    scalars run | sed -n "s|^$tag 4 ||p" >before
    [ -s before ] || complain "no $tag was recorded"
    awk 'NR == FNR { a = $1; next } { exit !(a == $1) }' before again || complain "$tag: $(cat before) in training, $(cat again) afterwards"
done
few='test_dataloader.dataset.indices=350 test_dataloader.batch_size=50'
for n in 1 3; do
    expect 0 $n test "$configs/lenet.yaml" run/epoch_4.h5 --json --out dump$n.h5 --work-dir test --cfg-options $few
    cp out test$n.json
    grep -q '"accuracy/top1": ' test$n.json || complain "$n ranks: no accuracy"
    "$muster" eval dump$n.h5 --metrics "$configs/lenet.yaml" --json >out 2>err || complain "muster eval dump$n.h5: status $?"
    sed 's/^{"dump": "[^"]*", "metrics": //; s/}}$/}/' out >eval$n.json
    cmp -s test$n.json eval$n.json || { complain "$n ranks: muster eval gives other numbers"; diff test$n.json eval$n.json | head -n 5; }
done
cmp -s test1.json test3.json || complain 'three ranks give other numbers than one'
sed 's/.*"confusion_matrix\/result": //' test1.json | tr -cd '0-9,' | awk -F, '{ for (i = 1; i <= NF; i++) sum += $i } END { exit sum != 350 }' ||
    complain 'the confusion matrix does not count 350 samples'

# ---- weights of another run ----
expect 0 1 train "$configs/lenet.yaml" --work-dir tuned --load-from run/epoch_4.h5 \
    --cfg-options train_cfg.max_epochs=1 optim_wrapper.optimizer.lr=0 train_dataloader.batch_size=48
has err 'loading weights from run/epoch_4.h5'
[ "$(scalars tuned | sed -n 's|^accuracy/top1 1 ||p')" = "$(scalars run | sed -n 's|^accuracy/top1 4 ||p')" ] || complain 'load_from: other weights'
"$muster" ckpt info tuned/epoch_1.h5 | grep -q 'epoch        1, iteration 25' || complain 'load_from does not begin at the beginning'
expect 0 1 train "$configs/lenet.yaml" --work-dir named \
    --cfg-options load_from=run/epoch_4.h5 train_cfg.max_epochs=1 optim_wrapper.optimizer.lr=0 train_dataloader.batch_size=48
same tuned/epoch_1.h5 named/epoch_1.h5

# ---- the recipe ----
for seed in 1 2 3 4 5; do
    expect 0 2 train "$source/configs/digits/lenet.yaml" --work-dir digits$seed --seed $seed --cfg-options \
        train_dataloader.dataset.path=train.h5 val_dataloader.dataset.path=test.h5 test_dataloader.dataset.path=test.h5 || continue
    top=$(scalars digits$seed | sed -n 's|^accuracy/top1 20 ||p')
    echo "digits, seed $seed: $top % of 360"
    awk -v top="$top" 'BEGIN { exit !(top > 98) }' || complain "digits, seed $seed: $top %"
done
exit $failed
