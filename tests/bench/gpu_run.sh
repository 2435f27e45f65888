#!/bin/sh
# Tries and times Muster on a machine with a GPU, from the folder that gpu_build.sh packed.
#
#   sh muster-gpu/gpu_run.sh [STAGE...]         all of them when none is named
#
#   env        what Muster sees, and what it is to be compared with
#   conform    every operation in f32, bf16 and f16 against the reference; golden numbers; whole networks against PyTorch's losses
#   curve      LeNet on the digits: the losses of the processor and of the device
#   memcheck   the conformance suite under compute-sanitizer, in SLICES processes at once (8)
#   speed      training steps beside PyTorch, by turns (gpu_compare.py)
#   profile    the slowest kernels of ResNet-50's step, in bf16 and f32, and LeNet's
#
# Tables go to $OUT (default: results, here) and to the terminal; a stage that fails or takes longer than LIMIT seconds (560) is told, and the next one goes
# on. TINY=1: sizes for the emulated device. BACKEND: cuda.
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$(pwd)/results}
backend=${BACKEND:-cuda}
limit=${LIMIT:-560}
mkdir -p "$out"
out=$(cd "$out" && pwd)
export CK_FORK=no MU_FALLBACK=error MUSTER_CACHE_DIR="${MUSTER_CACHE_DIR-$here/cache}" MUSTER_BIND=none
cd "$here/build" || exit 1
status=0

on() {
    "$here/on" "$@"
}

# within COMMAND...: ends in time.
within() {
    timeout -k 10 "$limit" "$@"
}

# tell WORDS: a verdict.
tell() {
    echo "$*" | tee -a "$out/verdicts.txt"
    case $* in FAILED*) status=1 ;; esac
}

stage_env() {
    {
        echo "Muster $(cat "$here/version"), $(date -u +%FT%TZ)"
        nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv 2>&1
        nproc
        env UNDER=ldd "$here/on" muster | grep 'not found'
        on muster env 2>&1
        python3 -c 'import torch; print("PyTorch", torch.__version__, "CUDA", torch.version.cuda, "cuDNN", torch.backends.cudnn.version())' 2>&1 | tail -n 1
    } | tee "$out/env.txt"
    if grep -q "^$backend:0 " "$out/env.txt"; then tell "passed: env: $(grep "^$backend:0 " "$out/env.txt")"; else tell "FAILED: env: no device"; fi
}

# The suite's lines of an operation: "NAME BACKEND DTYPE CALLS calls SKIPPED skipped max error E of the bound".
summary() {
    awk '/ of the bound/ { n[$3]++; calls[$3] += $4; skipped[$3] += $6; if ($10 > worst[$3]) { worst[$3] = $10; of[$3] = $1 } }
        END { for (d in n) printf "%s: %d operations, %d calls, %d skipped, worst %g of the bound (%s); ", d, n[d], calls[d], skipped[d], worst[d], of[d] }' "$@"
}

# suite NAME [COMMAND...]: the conformance suite, under COMMAND, in SLICES processes at once; what they say goes to $out/NAME.txt.
suite() {
    name=$1 n=${SLICES:-8} bad=0
    shift
    for i in $(seq 0 $((n - 1))); do
        within env UNDER="$*" "$here/on" conform_test --backend "$backend" --slice "$i/$n" >"$out/$name.$i" 2>&1 &
        eval "pid_$i=$!"
    done
    for i in $(seq 0 $((n - 1))); do
        eval "wait \$pid_$i" || { bad=1; echo "slice $i/$n ends with status $?" >>"$out/$name.$i"; }
    done
    cat "$out/$name".[0-9]* >"$out/$name.txt"
    rm "$out/$name".[0-9]*
    return $bad
}

stage_conform() {
    suite conform
    bad=$?
    grep -E 'FAIL|ends with status| skipped:' "$out/conform.txt" | head -n 40
    if [ $bad -eq 0 ]; then tell "passed: conform: $(summary "$out/conform.txt")"; else tell "FAILED: conform: $(summary "$out/conform.txt")"; fi
    for test in golden_test graph_test network_test repeat_test; do
        if within "$here/on" $test >"$out/$test.txt" 2>&1; then
            tell "passed: $test: $(tail -n 1 "$out/$test.txt")"
        else
            tell "FAILED: $test: status $?"
            tail -n 15 "$out/$test.txt"
        fi
        cat "$out/$test.txt" >>"$out/conform.txt"
        rm "$out/$test.txt"
    done
}

# losses DIR: "STEP LOSS" lines of a run.
losses() {
    cat "$1"/[0-9]*_[0-9]*/vis_data/scalars.jsonl | awk -F', ' '/"loss"/ { gsub(/[{}"]/, ""); step = $NF; sub(/.*: /, "", step)
        for (i = 1; i < NF; i++) { split($i, part, ": "); if (part[1] == "loss") print step, part[2] } }' | sort -n -u
}

stage_curve() {
    work=$(mktemp -d)
    epochs=4
    [ -z "${TINY-}" ] || epochs=1
    (
        cd "$work" || exit 1
        on muster data pack train.h5 --csv "$here/data/digits.csv.gz" --shape 1,8,8 --skip 0::5 &&
            on muster data pack test.h5 --csv "$here/data/digits.csv.gz" --shape 1,8,8 --select 0::5 || exit 1
        for run in cpu "$backend:0" "amp $backend:0"; do
            dir=$(echo "$run" | tr ' :' '__')
            amp=
            case $run in amp*) amp='optim_wrapper.type=AmpOptimWrapper optim_wrapper.dtype=bfloat16' ;; esac
            within "$here/on" muster train "$here/data/lenet.yaml" --work-dir "$dir" --cfg-options "train_cfg.max_epochs=$epochs" "device=${run#amp }" $amp || exit 1
            losses "$dir" >"$dir.loss"
        done
        paste cpu.loss "${backend}_0.loss" "amp_${backend}_0.loss" | awk '
            { d = ($2 - $4) / $2; if (d < 0) d = -d; if (d > worst) worst = d; e = ($2 - $6) / $2; if (e < 0) e = -e; if (e > low) low = e
              if ($1 != $3) other++ }
            NR == 1 { first = $2 }
            { last = $2 }
            NR % 10 == 1 { print "iteration " $1 ": processor " $2 ", device " $4 ", device in bf16 " $6 }
            END { printf "%d losses, from %s to %s: the device differs by %.3g at most, relative; in bf16 by %.3g\n", NR, first, last, worst, low
                  exit !(NR > 0 && !other && worst <= 1e-3) }'
    ) >"$out/curve.log" 2>&1
    ok=$?
    grep -E '^iteration|losses, from' "$out/curve.log" | tee "$out/curve.txt"
    if [ $ok -eq 0 ]; then tell "passed: curve: $(tail -n 1 "$out/curve.txt")"; else tell "FAILED: curve"; tail -n 15 "$out/curve.log"; fi
    rm -rf "$work" "$out/curve.log"
}

stage_memcheck() {
    command -v compute-sanitizer >/dev/null 2>&1 || PATH=$PATH:/usr/local/cuda/bin:/usr/local/cuda/compute-sanitizer
    if ! command -v compute-sanitizer >/dev/null 2>&1; then
        tell "skipped: memcheck: there is no compute-sanitizer"
        return
    fi
    suite memcheck compute-sanitizer --tool memcheck --error-exitcode 99 --print-limit 20
    bad=$?
    grep -E 'ERROR SUMMARY|Invalid|ends with status' "$out/memcheck.txt" | sort | uniq -c | head -n 30
    if [ $bad -eq 0 ]; then tell "passed: memcheck: $(summary "$out/memcheck.txt")"; else tell "FAILED: memcheck: $(summary "$out/memcheck.txt")"; fi
}

stage_speed() {
    if within python3 "$here/gpu_compare.py" --device "$backend" ${TINY:+--tiny} ${ONLY:+--only "$ONLY"} --json "$out/speed.json" >"$out/speed.txt" 2>&1; then
        tell "done: speed"
    else
        tell "FAILED: speed: status $?"
    fi
    cat "$out/speed.txt"
}

stage_profile() {
    for what in "resnet50 bf16 256" "resnet50 f32 256" "lenet f32 128"; do
        set -- $what
        size="--batch $3"
        [ -z "${TINY-}" ] || { size="--batch 2"; [ "$1" = lenet ] || size="$size --image 3,32,32"; }
        [ -z "${TINY-}" ] || [ "$what" != "resnet50 f32 256" ] || continue
        echo "== $what: kernels that wait for each other, about 10 us more each than in a recorded step"
        printf '2\n3\nmemory\n' | within "$here/on" train_bench --model "$1" --dtype "$2" $size --device "$backend" --profile 2>&1 ||
            tell "FAILED: profile of $what"
    done >"$out/profile.full"
    # by operation and implementation, then the slowest
    awk '/^==/ { title = $0 } / ms .* GFLOP\/s/ { n[title SUBSEP $7 " " $8]++; ms[title SUBSEP $7 " " $8] += $1 }
        END { for (k in n) { split(k, part, SUBSEP); printf "%s\t%9.3f ms in %3d kernels  %s\n", part[1], ms[k], n[k], part[2] } }' "$out/profile.full" |
        sort -t"$(printf '\t')" -k1,1 -k2,2nr | awk -F'\t' '$1 != last { print $1; last = $1; rows = 0 } ++rows <= 20 { print "  " $2 }' >"$out/profile.txt"
    awk '/^==/ { rows = 0 } ++rows <= 60' "$out/profile.full" >>"$out/profile.txt"
    rm "$out/profile.full"
    head -n 70 "$out/profile.txt"
    tell "done: profile"
}

[ $# -gt 0 ] || set -- env conform curve memcheck speed profile
for stage in "$@"; do
    case $stage in
    env | conform | curve | memcheck | speed | profile)
        begun=$(date +%s)
        echo "== $stage"
        "stage_$stage"
        echo "== $stage took $(($(date +%s) - begun)) s"
        ;;
    *) echo "there is no stage $stage"; exit 2 ;;
    esac
done
exit $status
