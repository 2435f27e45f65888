# Sourced by the tests of runs that must fail: one clear message, all ranks gone, status non-zero.
. "${srcdir:-.}/tests/run/common.sh"
bad_file=$build/tests/run/bad_file
[ -x "$bad_file" ] || { echo "$bad_file is missing"; exit 99; }
limit=${MUSTER_TEST_LIMIT:-60}

# message: what the last run said but for its log and mpirun's words, in the file message.
message() {
    grep -Ev '^[0-9]+/[0-9]+ [0-9:]+ - muster' err | sed '/^-----/,/^-----/d' | grep -v '^$' >message
}

# says TEXT...: the message of the last run has every TEXT.
says() {
    for text; do
        grep -qF -- "$text" message || complain "$what: the message lacks: $text"
    done
}

# refused RANKS ARGUMENTS...: a run ends by itself with one message and a status of its own: 1 failed, 2 wrong use.
refused() {
    what="-n $*"
    mpi "$@"
    message
    [ "$status" -eq 1 ] || [ "$status" -eq 2 ] || complain "$what: status $status"
    [ "$(grep -c '^muster' message)" -eq 1 ] || complain "$what: not one message"
}

# small_config: writes small.yaml, two epochs of 120 samples.
small_config() {
    cat >small.yaml <<END
_base_: $configs/lenet.yaml
train_dataloader: {batch_size: 20, dataset: {indices: 120}}
train_cfg: {max_epochs: 2}
default_hooks: {logger: {type: LoggerHook, interval: 100}}
END
}

# whole DIR: every checkpoint under a final name is sound, and last_checkpoint, if there is one, names one of them (wherever DIR was then).
whole() {
    for file in "$1"/*.h5; do
        case $file in *-of-[0-9]*.h5) continue ;; esac # read with its index
        [ ! -e "$file" ] || "$muster" ckpt verify "$file" >out 2>err || complain "$1: $file is damaged"
    done
    [ ! -e "$1/last_checkpoint" ] || [ -f "$1/$(basename "$(cat "$1/last_checkpoint")")" ] || complain "$1: last_checkpoint names what is not there"
}

# strike POINT ACTION RANK ITER: writes strike.yaml, small.yaml with a hook that does it.
strike() {
    cat >strike.yaml <<END
_base_: small.yaml
custom_imports: {imports: [fault_hook]}
custom_hooks: [{type: FaultHook, point: $1, action: $2, rank: $3, iter: $4, command: '${5-true}'}]
END
}

# ends STATUS SECONDS RANKS ARGUMENTS...: the run ends by itself in time, with one message. The time counts from what the rank notes in `struck`.
ends() {
    wanted=$1 most=$2
    shift 2
    what="-n $*"
    begun=$(date +%s%N)
    rm -f struck
    mpi "$@"
    now=$(date +%s%N)
    [ ! -s struck ] || begun=$(cat struck)
    took=$(((now - begun) / 1000000))
    message
    [ "$status" -eq "$wanted" ] || complain "$what: status $status instead of $wanted"
    [ "$took" -le $((most * 1000)) ] || complain "$what: ended after $took ms, more than $most s"
    [ "$(grep -c '^muster' message)" -eq 1 ] || complain "$what: not one message"
    echo "$took ms: $(head -n 1 message)"
}
