#!/bin/sh
# The documents say what is so: commands in their ```console blocks print what stands below them, the program of
# libmuster(3) is doc/examples/first.c, and the pages name every option and every variable.
# In a block "..." stands for lines that are left out. Blocks begin in the top folder of a copy of the source, in which they may write; what
# one leaves the next ones find. A block ```c FILE shows lines of that file of the source.
set -u
here=$(pwd)
case ${srcdir:=.} in /*) ;; *) srcdir=$here/$srcdir ;; esac
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
src=$(cd "$srcdir" && pwd)
mkdir -p "$tmp/top/data/digits"
for part in "$src"/*; do
    [ "$part" = "$src/data" ] || ln -s "$part" "$tmp/top/"
done
cp "$src/data/digits/digits.csv.gz" "$tmp/top/data/digits/"
rm -f "$tmp/top/work_dirs"
PATH=$here:$here/doc/examples:$PATH
MUSTER_PLUGIN_PATH=$here/tests/unit/.libs:$here/doc/examples/.libs
MUSTER_CACHE_DIR=$tmp/cache OMP_NUM_THREADS=1
export PATH MUSTER_PLUGIN_PATH MUSTER_CACHE_DIR OMP_NUM_THREADS
unset MUSTER_LAUNCHER MU_LOG MU_LOG_RANKS MUSTER_CONFIG_PATH SCRATCH
failed=0
man=$srcdir/doc/man

complain() {
    printf '%s\n' "$1"
    failed=1
}

# Compares what the command printed ($tmp/out) with what the document says ($tmp/said). A command of which nothing is said has worked.
compare() {
    if ! grep -qvx '\.\.\.' "$tmp/said" && [ $status -ne 0 ]; then
        : # told below
    elif ! grep -qx '\.\.\.' "$tmp/said"; then
        cmp -s "$tmp/said" "$tmp/out" && return
    elif ! grep -vx '\.\.\.' "$tmp/said" | grep -vxF -f "$tmp/out" >"$tmp/missing"; then
        return
    fi
    complain "$1: '$2' does not print what is said there:"
    diff "$tmp/said" "$tmp/out"
}

# Runs the blocks of a document from the top of the source.
run_document() {
    cd "$tmp/top" || exit 99
    inside=false command= shown=
    while IFS= read -r line; do
        case $inside,$line in
        'false,```c '*) inside=listing && shown=${line#* } && : >"$tmp/said" ;;
        'listing,```')
            inside=false
            case $(cat "$src/$shown") in
            *"$(cat "$tmp/said")"*) ;;
            *) complain "$1 does not show lines of $shown:" && diff "$tmp/said" "$src/$shown" ;;
            esac
            ;;
        listing,*) printf '%s\n' "$line" >>"$tmp/said" ;;
        'false,```console') inside=true command= ;;
        'true,```' | 'true,$ '*)
            [ -z "$command" ] || compare "$1" "$command"
            command=
            [ "$line" != '```' ] || { inside=false && cd "$tmp/top" && continue; }
            command=${line#??}
            eval "$command" >"$tmp/out" 2>&1 </dev/null
            status=$?
            : >"$tmp/said"
            ;;
        true,*) printf '%s\n' "$line" >>"$tmp/said" ;;
        esac
    done <"$srcdir/$1"
    [ $inside = false ] || complain "$1: a block has no end"
    cd "$here" || exit 99
}

for document in README.md doc/guide.md; do
    run_document $document
done

# The program in the manual.
sed -n '/^\.Sh EXAMPLES/,/^\.Ed/p' "$man/libmuster.3" | sed -n '/^\.Bd/,/^\.Ed/p' | sed '1d;$d;s/^\\&//;s/\\e/\\/g' >"$tmp/program"
cmp -s "$srcdir/doc/examples/first.c" "$tmp/program" || complain 'libmuster.3 does not show doc/examples/first.c'

# Options, commands, variables.
# names_of COMMAND...: the commands below a command; options_of: its options.
names_of() {
    muster "$@" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'
}
options_of() {
    muster "$@" --help | sed -n 's/^  \(-., \)\{0,1\}--\([a-z-]*\).*/\2/p'
}
[ -n "$(names_of)" ] && [ -n "$(options_of train)" ] || complain 'the help is not read'
for command in $(names_of); do
    page=$man/muster-$command.1
    grep -qx "\.It Cm $command" "$man/muster.1" || complain "muster.1 lacks $command"
    [ -f "$page" ] || { complain "muster-$command.1 is missing"; continue; }
    options_of "$command" >"$tmp/options"
    case $command in
    bench | ckpt | data | plot)
        for below in $(names_of "$command"); do
            grep -qx "\.Cm $below" "$page" || complain "muster-$command.1 lacks $below"
            options_of "$command" "$below" >>"$tmp/options"
        done
        ;;
    esac
    for option in $(sort -u "$tmp/options"); do
        grep -q "^\.It Fl Fl $option\b\|^\.It .*, Fl Fl $option\b" "$page" || complain "muster-$command.1 lacks --$option"
    done
    for option in $(sed -n 's/^\.It Fl Fl \([a-z-]*\).*/\1/p' "$page"); do
        grep -qx -e "$option" "$tmp/options" || complain "muster-$command.1 has --$option, the program has not"
    done
done
for variable in $(muster env | sed -n 's/^\([A-Z][A-Z]*_[A-Z_]*\) .*/\1/p'); do
    grep -qx "\.It Ev $variable" "$man/muster.1" || complain "muster.1 lacks $variable"
done

# What muster-config(5) says of several ranks: every key, and none that is not there.
{
    muster describe config | sed -n 's/^  \(model_wrapper_cfg\|watch_cfg\|auto_scale_lr\)\.\([a-z_]*\) .*/\2/p'
    muster describe MMFullyShardedDataParallel | sed -n 's/^  \([a-z_]*\) .* .*/\1/p' | grep -v '^option$'
} | sort -u >"$tmp/keys"
[ "$(wc -l <"$tmp/keys")" -gt 15 ] || complain 'the keys of several ranks are not read'
{ cat "$tmp/keys" && printf '%s\n' model_wrapper_cfg watch_cfg auto_scale_lr sync_bn type async_save shards; } >"$tmp/known"
sed -n '/^\.Sh SEVERAL RANKS/,/^\.Sh RESERVED/s/^\(\.It \)\{0,1\}\.\{0,1\}Ic //p' "$man/muster-config.5" | tr -d ',;.' | tr -s ' ' '\n' | grep -v '^(' |
    sort -u >"$tmp/told"
for key in $(cat "$tmp/keys"); do
    grep -qx "$key" "$tmp/told" || complain "muster-config.5 lacks $key"
done
for key in $(cat "$tmp/told"); do
    grep -qx "$key" "$tmp/known" || complain "muster-config.5 has $key, the program has not"
done

# Messages that the guide shows, and scripts that the pages name, are there.
while read -r words; do
    grep -qF "$words" "$src/doc/guide.md" || complain "the guide lacks: $words"
    grep -rqF "$words" "$src/src" || complain "the guide shows what the program does not say: $words"
done <<END
 is gone: killed by a signal, or for want of memory; it was in
is stopped, by SIGSTOP or a debugger:
 raises it, 0 means none
start all ranks with the same config file, options and environment
tasks that MPI cannot connect
tasks: start it with srun --mpi=pmix
learning rates stay as they are
were on their way for
of which training waited
bring all its shards from where it was written to the folder of the index
END
for script in $(sed -n 's/.*\(jobs\/[a-z]*\.sbatch\).*/\1/p' "$srcdir/README.md" "$srcdir/doc/guide.md" | sort -u); do
    [ -f "$src/$script" ] || complain "there is no $script"
done

# What train.sbatch looks at before is the run that it starts.
mkdir "$tmp/bin"
printf '#!/bin/sh\nshift 3\necho "$*"\n' >"$tmp/bin/srun"
chmod +x "$tmp/bin/srun"
PATH=$tmp/bin:$PATH MUSTER=muster sh "$src/jobs/train.sbatch" run.yaml --cfg-options a=1 b=2 --seed 3 --work-dir w --quiet --cfg-options=c=3 >"$tmp/out"
grep -qx 'muster env --preflight run.yaml --cfg-options a=1 b=2 --work-dir w --cfg-options=c=3' "$tmp/out" || complain "train.sbatch: $(cat "$tmp/out")"

# Links to files.
for document in README.md $(cd "$src" && ls doc/*.md); do
    for link in $(grep -o ']([^):#]*)' "$src/$document" | tr -d ']()'); do
        [ -e "$src/$(dirname "$document")/$link" ] || complain "$document: there is no $link"
    done
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
