#!/bin/sh
# Tensor files under mpirun at 1 to 4 ranks: the same bytes, and the old file after every failure; then `muster ckpt` on them.
program=$(pwd)/tests/mpi/tensor_file_test
muster=$(pwd)/muster
. "${srcdir:-.}/tests/mpi/env.sh"
[ -x "$program" ] || { echo "$program is missing"; exit 99; }
cd "$tmp" || exit 99
mkdir d

complain() {
    echo "$1"
    sed 's/^/  /' out
    failed=1
}

# run STATUS RANKS ARGUMENTS: the status of mpirun, where "bad" is any but 0.
run() {
    wanted=$1 ranks=$2
    shift 2
    rm -f said.*
    timeout -k 5 "$limit" mpirun -n "$ranks" --oversubscribe "$program" "$@" >out 2>&1
    status=$?
    cat said.* >>out 2>/dev/null
    [ $status -ne 124 ] || complain "$ranks ranks, $*: still running after $limit s"
    case $wanted in
    bad) [ $status -ne 0 ] || complain "$ranks ranks, $*: status 0 though a rank failed" ;;
    *) [ $status -eq "$wanted" ] || complain "$ranks ranks, $*: status $status instead of $wanted" ;;
    esac
}

# ckpt STATUS ARGUMENTS
ckpt() {
    wanted=$1
    shift
    "$muster" ckpt "$@" >out 2>&1
    status=$?
    [ $status -eq "$wanted" ] || complain "muster ckpt $*: status $status instead of $wanted"
}

has() {
    grep -q -e "$1" out || complain "no line with '$1'"
}

MUSTER_LAUNCHER=none "$program" write d/one.h5 >out 2>&1 || complain "one rank without mpirun"
if [ $mpi = yes ]; then
    for n in 1 2 3 4; do
        run 0 $n write d/a$n.h5
        ckpt 0 verify d/a$n.h5
        # Only the uuid, and the checksum of the header that holds it, may differ.
        [ "$(cmp -l d/one.h5 d/a$n.h5 | awk '$1 > 4096 { far++ } END { print NR <= 40 && far == 0 }')" = 1 ] ||
            complain "$n ranks: the bytes differ from those of one rank"
    done
    cp d/a2.h5 before.h5
    for n in 2 3 4; do
        for r in 0 $((n - 1)); do
            run 1 $n fail d/a2.h5 $r
            [ "$(grep -c 'dataset /state_dict/layer.*no data' out)" -eq "$n" ] || complain "fail $r of $n: not every rank has the message"
            run 1 $n full d/a2.h5 $r
            [ "$(grep -c "'d/a2.h5' cannot be written: File too large" out)" -eq "$n" ] ||
                complain "full $r of $n: not every rank has the message"
            cmp -s d/a2.h5 before.h5 || complain "fail, full $r of $n: the old file was changed"
        done
        run 1 $n write nowhere/x.h5
        [ "$(grep -c "'nowhere/x.h5' cannot be written: No such file or directory" out)" -eq "$n" ] ||
            complain "no folder, $n ranks: not every rank has the message"
    done
    # In shards, fewer and more than ranks; in the background, with a failure there.
    for n in 1 2 3 4; do
        for shards in 1 2 7; do
            run 0 $n write d/s$n.h5 0 $shards
            ckpt 0 verify d/s$n.h5
            [ "$(ls d/s$n-*-of-0000$shards.h5 | wc -l)" -eq $shards ] || complain "$n ranks: not $shards shards"
            [ "$(ls d/s$n-*.h5 | wc -l)" -eq $shards ] || complain "$n ranks, $shards shards: those of the one before are left"
            ckpt 0 diff d/one.h5 d/s$n.h5
            has '^bit-identical: 21 datasets'
        done
        run 0 $n late d/b$n.h5 -1
        ckpt 0 diff d/one.h5 d/b$n.h5
        run 0 $n late d/b$n.h5 -1 2
        ckpt 0 diff d/one.h5 d/b$n.h5
        # Tensors that come after the file was laid out; on one rank they do not.
        for kind in begun not-begun; do
            for shards in 0 2; do
                run 0 $n $kind d/c$n.h5 0 $shards
                ckpt 0 verify d/c$n.h5
                has 'sound'
                ckpt 0 diff d/one.h5 d/c$n.h5
                has '^bit-identical: 21 datasets'
            done
        done
    done
    for n in 2 3; do
        for r in 0 $((n - 1)); do
            run 1 $n late d/a2.h5 $r
            [ "$(grep -c "'d/a2.h5' cannot be written: File too large" out)" -eq "$n" ] ||
                complain "late $r of $n: not every rank has the message"
            cmp -s d/a2.h5 before.h5 || complain "late $r of $n: the old file was changed"
            run 1 $n late d/s4.h5 $r $n
            [ "$(grep -c "'d/s4-0000$r-of-0000$n.h5' cannot be written: File too large" out)" -eq "$n" ] ||
                complain "late $r of $n, in shards: not every rank has the message"
            ckpt 0 verify d/s4.h5
            for kind in begun-badly:beginning ended-badly:end; do
                run 1 $n ${kind%:*} d/a2.h5 $r
                [ "$(grep -c "no ${kind#*:}\$" out)" -eq "$n" ] || complain "${kind%:*} $r of $n: not every rank has the message"
                cmp -s d/a2.h5 before.h5 || complain "${kind%:*} $r of $n: the old file was changed"
            done
        done
    done
    ls d/*.part >out 2>&1 && complain "something is left behind"
    for r in 0 2; do
        run bad 3 die d/a2.h5 $r
        cmp -s d/a2.h5 before.h5 || complain "die $r: the old file was changed"
        run bad 3 killed d/a2.h5 $r
        cmp -s d/a2.h5 before.h5 || complain "killed $r: the old file was changed"
        run bad 3 killed d/s4.h5 $r 3
        ckpt 0 verify d/s4.h5
    done
    ls d/*.part >out 2>&1 || complain "a killed rank left no part behind: the name has changed, and nothing is looked for above"
    rm -f d/*.part
else
    echo "the part under mpirun is skipped: built without MPI, or there is no mpirun"
    cp d/one.h5 d/a2.h5
fi

MUSTER_LAUNCHER=none "$program" write d/other.h5 0.5 >out 2>&1 || complain "another one"
ckpt 0 info d/one.h5
has 'epoch        2, iteration 40, 3 of 17 batches of the next epoch'
has 'ranks        2, batches of 8, seed 5'
has 'SGD, 40 steps, lr 0.1, 0.25'
has 'parameters   19 with 940045 values, 3760180 bytes'
has 'layer3.weight .*f32\[4,20000\]'
ckpt 0 info --json d/one.h5
has '"parameters": \[{"name": "layer0.weight", "dtype": "f32", "shape": \[1, 20000\]}'
has '"optimizer": {"type": "SGD", "steps": 40, "lr": \[0.1[0-9]*, 0.25\]}'
ckpt 0 diff d/one.h5 d/a2.h5
has '^bit-identical: 21 datasets'
ckpt 1 diff d/one.h5 d/other.h5
has '/state_dict/layer8.bias: they differ by up to 0.5'
has '^19 datasets differ, 0 are in one file only; 2 are bit-identical'
ckpt 0 diff --tolerance 0.5 d/one.h5 d/other.h5
has '^equal within 0.5: 2 datasets are bit-identical, 19 differ by less'
ckpt 2 diff --tolerance x d/one.h5 d/other.h5
ckpt 2 diff d/one.h5
ckpt 0 verify d/one.h5 d/other.h5
has 'd/other.h5: sound, 23 datasets'

mv d/other.h5 d/epoch_1.h5
cp d/one.h5 d/epoch_2.h5
echo epoch_2.h5 >d/last_checkpoint
ckpt 0 info d
has '^d/epoch_2.h5'
printf 'x' | dd of=d/epoch_2.h5 bs=1 seek=2000000 conv=notrunc 2>/dev/null
ckpt 1 verify d/epoch_1.h5 d/epoch_2.h5
has 'd/epoch_1.h5: sound'
has 'dataset /state_dict/layer.*weight: its checksum is'
ckpt 0 info d
has 'the last checkpoint cannot be used: .*its checksum is'
has '^d/epoch_1.h5'
head -c 100000 d/epoch_2.h5 >d/cut.h5
ckpt 1 verify d/cut.h5
has 'is cut off at byte 100000 of'
ckpt 1 info nowhere.h5
has "the checkpoint file 'nowhere.h5' cannot be opened"
if [ $mpi = yes ]; then
    rm -f d/*.h5
    run 0 2 write d/epoch_1.h5
    run 0 2 write d/epoch_2.h5 0 2
    echo epoch_2.h5 >d/last_checkpoint
    ckpt 0 info d
    has '^d/epoch_2.h5'
    has 'in 23 datasets, 2 shards'
    mv d/epoch_2-00001-of-00002.h5 d/elsewhere
    ckpt 1 verify d/epoch_2.h5
    has "a shard of 'd/epoch_2.h5': .*'d/epoch_2-00001-of-00002.h5' cannot be opened"
    has 'hint: bring all its shards'
    ckpt 0 info d
    has '^d/epoch_1.h5'
fi
ckpt 2 frob
ckpt 0 --help
exit $failed
