# Sourced by the scripts of this folder: the surroundings of `muster` under mpirun, in a folder of their own, with the digits packed.
#
# After it: $muster, $tmp (the working folder, removed at the end), $configs (this folder), $failed.
set -u
muster=$(pwd)/muster
build=$(pwd)
source=$(cd "${srcdir:-.}" && pwd)
configs=$source/tests/run
[ -x "$muster" ] || { echo "$muster is missing"; exit 99; }
. "$source/tests/mpi/env.sh"
need_mpi
# The plug-ins of this folder; no run has cores of its own, for tests run side by side.
export MUSTER_PLUGIN_PATH="$build/tests/run/.libs" MUSTER_BIND=none
cd "$tmp" || exit 99

# complain TEXT: the case has failed; what the last run said follows.
complain() {
    printf 'FAILED: %s\n' "$1"
    for file in out err; do
        [ ! -s "$tmp/$file" ] || tail -n 15 "$tmp/$file" | sed "s/^/  $file: /"
    done
    failed=1
}

# pack: the 1437 digits to train.h5, the other 360 to test.h5.
pack() {
    "$muster" data pack train.h5 --csv "$source/data/digits/digits.csv.gz" --shape 1,8,8 --skip 0::5 >out 2>err &&
        "$muster" data pack test.h5 --csv "$source/data/digits/digits.csv.gz" --shape 1,8,8 --select 0::5 >out 2>err ||
        { complain 'the digits are not packed'; exit 1; }
}

# mpi RANKS ARGUMENTS...: muster on so many ranks; its words in out and err, its status in $status. It ends in time: a run that hangs is killed
# and gives 124.
mpi() {
    ranks=$1
    shift
    timeout -k 5 "$limit" mpirun -n "$ranks" --oversubscribe "$muster" "$@" </dev/null >out 2>err
    status=$?
}

# expect STATUS RANKS ARGUMENTS...
expect() {
    wanted=$1
    shift
    mpi "$@"
    [ "$status" -eq "$wanted" ] || complain "$* : status $status instead of $wanted"
    [ "$status" -eq "$wanted" ]
}

# log_dir DIR: the newest log folder of a work dir.
log_dir() {
    ls -d "$1"/[0-9]*_[0-9]*/ | sort | tail -n 1
}

# scalars DIR: what all runs of a work dir recorded, "TAG STEP VALUE" a line, but for times and memory. What is told twice alike counts once.
# "epoch" and "iter" are tags, too.
scalars() {
    cat "$1"/[0-9]*_[0-9]*/vis_data/scalars.jsonl | awk -F', ' '
        { gsub(/[{}"]/, ""); step = $NF; sub(/.*: /, "", step)
          for (i = 1; i < NF; i++) { split($i, part, ": "); print part[1], step, part[2] } }' |
        grep -Ev '^(time|data_time|memory) ' | sort -u
}

# same_scalars DIR DIR N: both recorded the same numbers, bit by bit, and N losses.
same_scalars() {
    scalars "$1" >scalars1
    scalars "$2" >scalars2
    found=$(grep -c "^loss " scalars1)
    [ "$found" -eq "$3" ] || complain "$1: $found losses instead of $3"
    cmp -s scalars1 scalars2 || { diff scalars1 scalars2 | head -n 10; complain "$1 and $2: other scalars"; }
}

# close DIR DIR N: N losses each, equal to 1e-5 relative.
close() {
    for dir in "$1" "$2"; do
        scalars "$dir" | grep '^loss ' | sort -k 2n >"$dir.loss"
    done
    paste "$1.loss" "$2.loss" | awk -v n="$3" '
        $2 != $5 { print "steps " $2 " and " $5; exit }
        { d = ($3 - $6) / $3; if (d < 0) d = -d; if (d > worst) worst = d; lowest = NR == 1 || $3 < lowest ? $3 : lowest; first = NR == 1 ? $3 : first }
        END { if (NR != n || !(worst <= 1e-5)) { print NR " losses, the worst differs by " worst; exit 1 }
              if (!(lowest < first)) { print "nothing was learnt"; exit 1 }
              print "losses within " worst + 0 ", falling from " first " to " lowest }' >close.out ||
        complain "$1 and $2: $(cat close.out)"
    echo "$1 and $2: $(cat close.out)"
}

# same FILE FILE: two checkpoints are alike, bit by bit.
same() {
    "$muster" ckpt diff "$1" "$2" >out 2>err && grep -q '^bit-identical: ' out || complain "$1 and $2 differ"
}

# stop_config BASE ITER RANK: writes stop.yaml: BASE, but a rank (-1: all) sends itself SIGTERM as iteration ITER (from 0) begins.
stop_config() {
    cat >stop.yaml <<END
_base_: $configs/$1
custom_imports: {imports: [fault_hook]}
custom_hooks: [{type: FaultHook, point: before_train_iter, iter: $2, rank: $3, action: term}]
END
}
