#!/bin/sh
# Sources the completion in bash and asks it.
set -u
here=$(pwd)
case ${srcdir:=.} in /*) ;; *) srcdir=$here/$srcdir ;; esac
command -v bash >/dev/null 2>&1 || { echo 'no bash'; exit 77; }
MUSTER=$here/muster SCRIPT=$srcdir/completions/muster
export MUSTER SCRIPT
cd "$srcdir/tests/unit/cli" || exit 99
exec bash -u <<'END'
shopt -s extglob
. "$SCRIPT"
failed=0

# asked EXPECTED WORD...: the completions of the last word are EXPECTED, in any order.
asked() {
    local expected=$1 got
    shift
    COMP_WORDS=("$MUSTER" "$@")
    COMP_CWORD=$#
    _muster
    got=$(printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | tr '\n' ' ')
    [ "${got% }" = "$expected" ] || { echo "muster $*: expected '$expected', got '${got% }'"; failed=1; }
}

asked "check ckpt config" c
asked "--help --version" --
asked "base.yaml" check b
asked "base.yaml" check sound.yaml --net b
asked "mistakes.yaml" check --json m
asked "" check sound.yaml --cfg-options m
asked "diff dump" config d
asked "sound.yaml" config diff base.yaml s
asked "json yaml" config dump sound.yaml --format ""
asked "optim_wrapper optim_wrapper_constructor optimizer" list opt
asked "Adam AdamW" describe Adam
asked "conv2d conv2d_grad_input conv2d_grad_weight" describe conv2d
asked "ref" describe ref
asked "--json" env --j
asked "" nonsense x

asked "scalars schedule" plot s
asked "--log-y" plot scalars --lo
asked "step" plot scalars --x s
asked "error" data pack --on-corrupt e
asked "cpu:ref" train --device cpu:r
asked "mistakes.yaml" train m
asked "mistakes.yaml" train --amp m
asked "Accuracy" eval x.h5 --metrics Acc
asked "" val sound.yaml --seed m

# Every option that a command's help tells is completed, and no other.
options() {
    "$MUSTER" "$@" --help | sed -n 's/^  \(-., \)\{0,1\}\(--[a-z-]*\).*/\2/p' | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//'
}
commands() {
    "$MUSTER" "$@" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//'
}
[ -n "$(options train)" ] && [ -n "$(commands data)" ] || { echo 'the help is not read'; failed=1; }
for command in $(commands); do
    case $command in
    bench | ckpt | data | plot)
        asked "--help $(commands "$command")" "$command" ""
        for below in $(commands "$command"); do
            asked "$(options "$command" "$below")" "$command" "$below" --
        done
        ;;
    *) asked "$(options "$command")" "$command" -- ;;
    esac
done
asked "--help --version $(commands)" ""
exit $failed
END
