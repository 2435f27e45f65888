#!/bin/sh
# The documents say what is so: commands in their ```console blocks print what stands below them, the program of
# libmuster(3) is doc/examples/first.c, and the pages name every option and every variable.
# In a block "..." stands for lines that are left out.
set -u
here=$(pwd)
case ${srcdir:=.} in /*) ;; *) srcdir=$here/$srcdir ;; esac
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
PATH=$here:$here/doc/examples:$PATH
MUSTER_PLUGIN_PATH=$here/tests/unit/.libs
export PATH MUSTER_PLUGIN_PATH
unset MU_LOG MU_LOG_RANKS MUSTER_CONFIG_PATH SCRATCH
failed=0
man=$srcdir/doc/man

complain() {
    printf '%s\n' "$1"
    failed=1
}

# Compares what the command printed ($tmp/out) with what the document says ($tmp/said).
compare() {
    if ! grep -qx '\.\.\.' "$tmp/said"; then
        cmp -s "$tmp/said" "$tmp/out" && return
    elif ! grep -vx '\.\.\.' "$tmp/said" | grep -vxF -f "$tmp/out" >"$tmp/missing"; then
        return
    fi
    complain "$1: '$2' does not print what is said there:"
    diff "$tmp/said" "$tmp/out"
}

# Runs the blocks of a document from the top of the source.
run_document() {
    cd "$srcdir" || exit 99
    inside=false command=
    while IFS= read -r line; do
        case $inside,$line in
        'false,```console') inside=true command= ;;
        'true,```' | 'true,$ '*)
            [ -z "$command" ] || compare "$1" "$command"
            command=
            [ "$line" != '```' ] || { inside=false && cd "$srcdir" && continue; }
            command=${line#??}
            eval "$command" >"$tmp/out" 2>&1 </dev/null
            : >"$tmp/said"
            ;;
        true,*) printf '%s\n' "$line" >>"$tmp/said" ;;
        esac
    done <"$srcdir/$1"
    $inside && complain "$1: a block has no end"
    cd "$here" || exit 99
}

for document in README.md doc/guide.md; do
    run_document $document
done

# The program in the manual.
sed -n '/^\.Sh EXAMPLES/,/^\.Ed/p' "$man/libmuster.3" | sed -n '/^\.Bd/,/^\.Ed/p' | sed '1d;$d;s/^\\&//;s/\\e/\\/g' >"$tmp/program"
cmp -s "$srcdir/doc/examples/first.c" "$tmp/program" || complain 'libmuster.3 does not show doc/examples/first.c'

# Options, commands, variables.
for command in check config describe env list; do
    grep -qx "\.It Cm $command" "$man/muster.1" || complain "muster.1 lacks $command"
    for option in $(muster $command --help | sed -n 's/^  --\([a-z-]*\).*/\1/p'); do
        grep -q "^\.It Fl Fl $option" "$man/muster-$command.1" || complain "muster-$command.1 lacks --$option"
    done
    sed -n 's/^\.It Fl Fl \([a-z-]*\).*/\1/p' "$man/muster-$command.1" >"$tmp/options"
    while read -r option; do
        muster $command --help | grep -q "^  --$option" || complain "muster-$command.1 has --$option, the program has not"
    done <"$tmp/options"
done
for variable in $(muster env | sed -n 's/^\([A-Z][A-Z]*_[A-Z_]*\) .*/\1/p'); do
    grep -qx "\.It Ev $variable" "$man/muster.1" || complain "muster.1 lacks $variable"
done

# The examples of muster-config(5).
for name in base run; do
    sed -n "/^\\.Pa $name\\.yaml/,/^\\.Ed/p" "$man/muster-config.5" | sed '1,2d;$d' >"$tmp/$name.yaml"
    cmp -s "$srcdir/doc/examples/$name.yaml" "$tmp/$name.yaml" || complain "muster-config.5 does not show doc/examples/$name.yaml"
done
sed -n '/^\$ muster config dump/,/^\.Ed/p' "$man/muster-config.5" | sed '1d;$d' >"$tmp/said"
muster config dump "$srcdir/doc/examples/run.yaml" >"$tmp/out"
compare muster-config.5 'muster config dump run.yaml'

if command -v mandoc >/dev/null 2>&1; then
    mandoc -T lint -W warning "$man"/*.[135] || complain 'mandoc complains'
else
    echo 'no mandoc: the syntax of the pages is not checked'
fi
exit $failed
