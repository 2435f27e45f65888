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
    got=$(printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ')
    [ "${got% }" = "$expected" ] || { echo "muster $*: expected '$expected', got '${got% }'"; failed=1; }
}

asked "check ckpt config" c
asked "--help --version" --
asked "--cfg-options --help --json" check --
asked "base.yaml" check b
asked "mistakes.yaml" check --json m
asked "" check sound.yaml --cfg-options m
asked "diff dump" config d
asked "sound.yaml" config diff base.yaml s
asked "json yaml" config dump sound.yaml --format ""
asked "optim_wrapper optim_wrapper_constructor optimizer" list opt
asked "Adam AdamW" describe Adam
asked "conv2d conv2d_grad_input conv2d_grad_weight" describe conv2d
asked "ref" describe ref
asked "--help --json" env --
asked "" nonsense x

# Every option that a command's help tells is completed, and no other.
for command in check config describe env eval list; do
    asked "$("$MUSTER" "$command" --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p' | sort | tr '\n' ' ' | sed 's/ $//')" "$command" --
done
asked "--help --version $("$MUSTER" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' | sort | tr '\n' ' ' | sed 's/ $//')" ""
exit $failed
END
