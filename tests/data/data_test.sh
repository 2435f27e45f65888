#!/bin/sh
# Packs IDX and CSV files, shows and verifies what comes out, and feeds `muster data` what is wrong.
muster=$(pwd)/muster
build=$(pwd)
digits=$(cd "${srcdir:-.}" && pwd)/data/digits/digits.csv.gz
. "${srcdir:-.}/tests/mpi/env.sh"
cd "$tmp" || exit 99

# run STATUS ARGUMENTS...: runs muster data; its output lies in out and err.
run() {
    wanted=$1
    shift
    what="muster data $*"
    "$muster" data "$@" >out 2>err
    status=$?
    [ $status -eq "$wanted" ] || complain "status $status instead of $wanted"
}
complain() {
    printf '%s: %s\n' "$what" "$1"
    sed 's/^/  out: /' out
    sed 's/^/  err: /' err
    failed=1
}
out_has() { grep -qF -- "$1" out || complain "stdout lacks: $1"; }
err_has() { grep -qF -- "$1" err || complain "stderr lacks: $1"; }
# Equal but for the 36 bytes of the UUID and the 4 of HDF5's checksum over it.
same_bytes() { [ "$(cmp -l "$1" "$2" | wc -l)" -le 40 ] || complain "$1 and $2 differ"; }
silent() { [ ! -s err ] || complain 'stderr is not empty'; }

run 2
err_has 'usage: muster data COMMAND'
run 0 --help
out_has 'usage: muster data COMMAND'
run 2 pak
err_has "unknown command 'pak'"
for command in pack info verify; do
    run 0 $command --help
    out_has "usage: muster data $command"
    silent
    run 2 $command
    err_has 'an argument is missing'
done

# Three images of 2x2 and their labels.
printf '\0\0\010\003\0\0\0\003\0\0\0\002\0\0\0\002\001\002\003\004\005\006\007\010\011\012\013\377' >images
printf '\0\0\010\001\0\0\0\003\002\0\001' >labels
run 0 pack a.h5 --images images --labels labels
silent
run 0 info a.h5
out_has 'samples  3'
out_has 'u8[1,2,2]'
out_has 'classes  3: 0, 1, 2'
run 0 verify a.h5
out_has 'images is sound'
out_has 'labels is sound'
run 0 verify a.h5 --quiet
[ ! -s out ] || complain '--quiet prints'
gzip -c images >images.gz && gzip -c labels >labels.gz
run 0 pack z.h5 --images images.gz --labels labels.gz --classes cat 'a dog' '"x"' --shape 4
run 0 info z.h5
out_has 'u8[4]'
out_has 'classes  3: cat, a dog, "x"'

# CSV: with names, without, of classes by name; quotes, blanks, other line ends.
printf 'a, label ,b\r\n1,cat,2\r\n\r\n "3" , "dog",255\r\n' >named.csv
run 0 pack c.h5 --csv named.csv --classes cat dog
run 0 info c.h5 --json
out_has '"samples": 2'
out_has '"shape": [2], "variable": false, "bytes": 4'
out_has '"meta": {"classes": ["cat", "dog"]}'
printf '\357\273\277label,a\n0,4\n1,6\n' >mark.csv
run 0 pack mark.h5 --csv mark.csv
printf '\357\273\2771,4\n0,5\n1,6\n' >mark.csv
run 0 pack mark.h5 --csv mark.csv --label-column 0
run 0 info mark.h5
out_has 'samples  3'
printf '0.5,1,-2\n1e3,0,4' >numbers.csv
run 0 pack n.h5 --csv numbers.csv --label-column 1 --dtype f32 --shape 2,1
run 0 info n.h5
out_has 'f32[2,1]'
out_has 'classes  2: 0, 1'

# What spreadsheets put before UTF-8 belongs to no name and no number.
printf '\357\273\277label,a\r\n0,1\r\n1,2\r\n' >marked.csv
run 0 pack marked.h5 --csv marked.csv
run 0 info marked.h5
out_has 'samples  2'
printf '\357\273\2770,1\n1,2\n1,3\n' >marked.csv
run 0 pack marked.h5 --csv marked.csv --label-column 0
run 0 info marked.h5
out_has 'samples  3'

# Parts of a file share its classes; the digits that we ship come to 1437 and 360.
printf '0,1\n2,2\n1,3\n0,4\n1,5\n' >rows.csv
run 0 pack part.h5 --csv rows.csv --select 1:3
run 0 info part.h5
out_has 'samples  2'
out_has 'classes  3'
run 0 pack part.h5 --csv rows.csv --skip 0::2
run 0 info part.h5
out_has 'samples  2'
run 0 pack part.h5 --images images --labels labels --select 2:
run 0 info part.h5
out_has 'samples  1'
run 1 pack none.h5 --csv rows.csv --select 5:
err_has 'leaves no sample'
run 2 pack none.h5 --csv rows.csv --select 3
err_has 'is no list of ranges'
run 2 pack none.h5 --csv rows.csv --select 0::0
run 2 pack none.h5 --csv rows.csv --select 0:2 --skip 0:2
err_has 'exclude each other'
run 0 pack train.h5 --csv "$digits" --shape 1,8,8 --skip 0::5
run 0 info train.h5
out_has 'samples  1437'
out_has 'u8[1,8,8]'
out_has 'classes  10'
run 0 pack test.h5 --csv "$digits" --shape 1,8,8 --select 0::5
run 0 info test.h5
out_has 'samples  360'
run 0 verify test.h5

# Folders of images: 3x2 pixels in grey (1, 41, ... 201) and in RGB.
mkdir -p tree/dog/deep tree/cat
echo iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAAAAAC4HznGAAAAEElEQVR4nGNk1NBgqdDQAAADvwEf+91T3wAAAABJRU5ErkJggg== | base64 -d >tree/dog/deep/b.PNG
echo iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAGElEQVR4nGNkYPqvwfBfg+E/SwXDXwgLAEBYBxjoyZ6UAAAAAElFTkSuQmCC | base64 -d >tree/cat/z.png
cp tree/cat/z.png tree/dog/a.png
cp tree/dog/deep/b.PNG tree/cat/m.png
echo notes >tree/cat/readme.txt
if ! grep -q '^#define HAVE_PNG 1' "$build/config.h"; then
    echo 'no PNG in this build: folders are not packed'
else
    run 0 pack tree.h5 --folder tree
    silent
    run 0 info tree.h5
    out_has 'samples  4'
    out_has 'classes  2: cat, dog'
    out_has 'variable u8[]'
    run 0 verify tree.h5
    run 0 pack pixels.h5 --folder tree --decode
    run 0 info pixels.h5
    out_has 'u8[3,2,3]'
    # Grey ones are 1 41 81 / 121 161 201: means of areas to shrink; half-pixel centres to grow.
    printf 'cat/m.png 0\ndog/deep/b.PNG 1\n' >list
    bytes() { LC_ALL=C grep -qaP "$2" "$1" || complain "$1 lacks the pixels $2"; }
    run 0 pack small.h5 --folder tree --list list --size 3x1
    silent
    run 0 info small.h5
    out_has 'u8[1,1,3]'
    bytes small.h5 '\x3d\x65\x8d\x3d\x65\x8d'
    run 0 verify small.h5
    run 0 pack large.h5 --folder tree --list list --size 6x2
    bytes large.h5 '\x01\x0b\x1f\x33\x47\x51\x79\x83\x97\xab\xbf\xc9'
    run 0 pack same.h5 --folder tree --size 3x2
    same_bytes same.h5 pixels.h5
    cp tree/cat/m.png tree/cat/n.png
    run 0 pack sized.h5 --folder tree --size 2x2
    run 0 info sized.h5
    out_has 'u8[3,2,2]'
    rm tree/cat/n.png
    for size in 3 3x 0x2 3x-1 3x2x1 x2 70000x1; do
        run 2 pack x.h5 --folder tree --size $size
        err_has "--size takes width and height as in 64x48, not '$size'"
    done
    run 2 pack x.h5 --csv "$digits" --size 3x2
    err_has 'go with --folder'
    run 0 pack one.h5 --folder tree --classes Katze Hund --select 1:2
    run 0 info one.h5
    out_has 'samples  1'
    out_has 'classes  2: Katze, Hund'
    run 2 pack x.h5 --folder tree --classes one
    err_has "holds 2"
    printf 'cat/z.png 2\n\ndog/deep/b.PNG 0\n' >list
    run 0 pack listed.h5 --folder tree --list list
    run 0 info listed.h5
    out_has 'samples  2'
    out_has 'classes  3: 0, 1, 2'
    printf 'cat/z.png\n' >list
    run 1 pack x.h5 --folder tree --list list
    err_has "list:1: 'cat/z.png' is no path and label"
    printf 'cat/no.png 0\n' >list
    run 1 pack x.h5 --folder tree --list list
    err_has "'tree/cat/no.png' cannot be opened"
    echo iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAAAAADRSSBWAAAAC0lEQVR4nGNgYAAAAAMAAbitOmMAAAAASUVORK5CYII= | base64 -d >tree/dog/two.png # 2x1
    run 1 pack x.h5 --folder tree --decode
    err_has "'cat/m.png' has 3x2 pixels (WxH), 'dog/two.png' has 2x1"
    rm tree/dog/two.png
    head -c 60 tree/dog/deep/b.PNG >tree/dog/deep/cut.png
    run 1 pack x.h5 --folder tree
    err_has 'dog/deep/cut.png'
    err_has '--on-corrupt skip'
    run 0 pack tree2.h5 --folder tree --on-corrupt skip
    err_has 'left out: '
    err_has '1 of 5 images'
    same_bytes tree.h5 tree2.h5
    mkdir tree/empty
    run 1 pack x.h5 --folder tree
    err_has "the class 'tree/empty' has no images"
    rmdir tree/empty
    run 1 pack x.h5 --folder tree/cat
    err_has 'holds no folders of classes'
    run 1 pack x.h5 --folder nowhere
    err_has "'nowhere/' cannot be read"
fi
run 2 pack x.h5 --folder tree --shape 1,2
run 2 pack x.h5 --csv rows.csv --decode
run 2 pack x.h5 --folder tree --on-corrupt ignore

# mpi STATUS RANKS ARGUMENTS...: the same as run, by several ranks.
mpi() {
    wanted=$1 ranks=$2
    shift 2
    what="$ranks ranks: muster data $*"
    timeout -k 5 "$limit" mpirun -n "$ranks" --oversubscribe "$muster" data "$@" >out 2>err
    status=$?
    [ $status -eq "$wanted" ] || complain "status $status instead of $wanted"
}
if [ $mpi = yes ]; then
    printf '1,2,3\n1,2\n' >ragged.csv
    mpi 0 3 pack shared.h5 --csv "$digits" --shape 1,8,8 --skip 0::5
    same_bytes shared.h5 train.h5
    run 0 verify shared.h5
    mpi 0 4 pack shared.h5 --images images --labels labels
    same_bytes shared.h5 a.h5
    if [ -s tree.h5 ]; then
        mpi 0 3 pack shared.h5 --folder tree --on-corrupt skip
        same_bytes shared.h5 tree.h5
        mpi 0 2 pack shared.h5 --folder tree --on-corrupt skip --decode
        same_bytes shared.h5 pixels.h5
        printf 'cat/m.png 0\ndog/deep/b.PNG 1\n' >list
        mpi 0 2 pack shared.h5 --folder tree --list list --size 3x1
        same_bytes shared.h5 small.h5
        mpi 1 3 pack x.h5 --folder tree
        err_has 'dog/deep/cut.png'
        mpi 1 2 pack x.h5 --folder nowhere
        err_has "'nowhere/' cannot be read"
    fi
    cp a.h5 shared.h5
    mpi 1 3 pack shared.h5 --csv ragged.csv
    err_has 'ragged.csv'
    cmp -s a.h5 shared.h5 || complain 'the previous file is damaged'
else
    echo 'no MPI: packing by several ranks is not checked'
fi

# h5py reads the same, where it is installed.
python=${MUSTER_TEST_PYTHON:-python3}
if $python -c 'import h5py' 2>/dev/null; then
    what='h5py'
    $python - >out 2>err <<'END' || complain 'h5py reads something else'
import h5py, json
with h5py.File("a.h5") as f:
    assert f.attrs["muster_format"] == b"dataset" and f.attrs["muster_version"] == 1 and len(f.attrs["uuid"]) == 36
    assert f["data/images"].shape == (3, 1, 2, 2) and f["data/images"][:].ravel().tolist() == [*range(1, 12), 255]
    assert f["data/labels"].dtype == "<i8" and f["data/labels"][:].tolist() == [2, 0, 1]
    assert json.loads(f["meta"][()]) == {"classes": ["0", "1", "2"]}
with h5py.File("c.h5") as f:
    assert f["data/images"][:].tolist() == [[1, 2], [3, 255]] and f["data/labels"][:].tolist() == [0, 1]
with h5py.File("n.h5") as f:
    assert f["data/images"][:].tolist() == [[[0.5], [-2]], [[1000], [4]]] and f["data/labels"][:].tolist() == [1, 0]
with h5py.File("foreign.h5", "w") as f:
    f.attrs["muster_format"], f.attrs["muster_version"], f.attrs["uuid"] = "dataset", 1, "none"
    meta = '{"classes": ["a", "b"]}'
    f.create_dataset("meta", data=meta.encode(), dtype=f"S{len(meta)}")
    f["data/labels"] = [0, 1, 1]
END
    run 0 info foreign.h5
    out_has 'i64[]'
    run 1 verify foreign.h5
    err_has 'it has no checksum'
else
    echo 'no h5py: its view is not checked'
fi

# What is wrong
run 2 pack x.h5
err_has 'what is packed?'
run 2 pack x.h5 --images images
err_has 'go together'
run 2 pack x.h5 --images images --labels labels --dtype f32
run 2 pack x.h5 --csv named.csv --dtype i8
run 2 pack x.h5 --csv numbers.csv --dtype f32 --label-column 1 --shape 2,x
err_has "no list of sizes"
run 1 pack x.h5 --csv numbers.csv --dtype f32 --label-column 1 --shape 3
err_has '[3] has 3 elements, a sample of '
run 1 pack x.h5 --images nowhere --labels labels
err_has "'nowhere' cannot be opened"
run 1 pack x.h5 --images labels --labels labels
err_has 'holds u8[3], not images'
run 1 pack x.h5 --images images --labels images
err_has 'instead of a label for each of the 3 images'
run 1 pack x.h5 --images named.csv --labels labels
err_has 'is not an IDX file'
head -c 20 images >short
run 1 pack x.h5 --images short --labels labels
err_has "'short' ends too early"
head -c 40 images.gz >short.gz
run 1 pack x.h5 --images short.gz --labels labels
err_has "short.gz"
(cat images && printf x) >long
run 1 pack x.h5 --images long --labels labels
err_has 'goes on after its array'
printf '\0\0\015\001\0\0\0\001\0\0\0\0' >floats
run 1 pack x.h5 --images floats --labels labels
err_has 'IDX type 0x0d'
run 1 pack x.h5 --images images --labels labels --classes one two
err_has 'sample 0 has label 2'
: >empty
run 1 pack x.h5 --csv empty
err_has 'is empty'
printf '1,2,3\n1,2\n' >ragged.csv
run 1 pack x.h5 --csv ragged.csv
err_has 'ragged.csv:2: 2 columns instead of 3'
printf '1,2\n0,256\n' >large.csv
run 1 pack x.h5 --csv large.csv
err_has 'a whole number from 0 to 255'
printf '1,2\n0,nan\n' >nan.csv
run 1 pack x.h5 --csv nan.csv
err_has "column 1 is 'nan'"
printf '1,2\n0.5,2\n' >half.csv
run 1 pack x.h5 --csv half.csv
err_has 'the number of a class'
printf '1,,2\n0,1,2\n' >gap.csv
run 1 pack x.h5 --csv gap.csv --label-column 0
err_has "gap.csv:1: column 1 is ''"
printf '1,2\n0,-1e39\n' >range.csv
run 1 pack x.h5 --csv range.csv --dtype f32
err_has "range.csv:2: column 1 is '-1e39'; a number that f32 can hold was expected"
printf '1,"2\n' >quote.csv
run 1 pack x.h5 --csv quote.csv
err_has 'a quote is not closed'
run 1 pack x.h5 --csv named.csv --label-column c --classes cat dog
err_has "has no column 'c'"
[ ! -e x.h5 ] || complain 'a failed pack leaves its file'
[ -z "$(ls | grep tmp)" ] || complain 'a failed pack leaves a temporary file'

# What was there before stays when packing fails, also on a disk that is full.
cp a.h5 before.h5
run 1 pack a.h5 --images short --labels labels
cmp -s a.h5 before.h5 || complain 'the previous file is damaged'
(trap '' XFSZ && ulimit -f 8 && exec "$muster" data pack a.h5 --images images --labels labels) >out 2>err
[ $? -eq 1 ] || complain 'a full disk is not noticed'
err_has 'free some space'
cmp -s a.h5 before.h5 || complain 'the previous file is damaged'
run 1 pack /nowhere/a.h5 --images images --labels labels
err_has "'/nowhere/a.h5' cannot be written"

# Files that are no datasets, or damaged ones
run 1 info nowhere.h5
err_has 'No such file'
run 1 info images
err_has 'it is not an HDF5 file'
head -c 1000 a.h5 >cut.h5
run 1 verify cut.h5
err_has 'was cut'
at=$(LC_ALL=C grep -obUaP '\x01\x02\x03\x04\x05\x06\x07' a.h5 | head -n 1 | cut -d: -f1)
cp a.h5 bad.h5 && printf '\377' | dd of=bad.h5 bs=1 seek="$at" conv=notrunc 2>/dev/null
run 1 verify bad.h5
err_has 'dataset /data/images: its checksum is'
out_has 'labels is sound'
exit $failed
