#!/bin/sh
# Packs what a machine with a GPU needs to try and to time Muster on it, where nothing but CUDA's own libraries is installed: the program, test programs,
# benchmarks, and the shared libraries that they are linked with.
#
#   sh tests/bench/gpu_build.sh OUT.tar.xz [CONFIGURE ARGUMENTS...]      --with-cuda when none are given
#
# In the top folder, where ./configure is; the build folder is build-gpu (GPU_BUILD), and is used again. JOBS: processes of make, 2. On a machine without
# a GPU `OUT.tar.xz --with-cuda=emulated` makes one on which everything in gpu_run.sh can be tried. There:
#
#   tar xf OUT.tar.xz && sh muster-gpu/gpu_run.sh [STAGE...]
set -eu
[ $# -ge 1 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 2; }
[ -x configure ] || { echo "there is no ./configure here: autoreconf -fi"; exit 1; }
case $1 in /*) out=$1 ;; *) out=$(pwd)/$1 ;; esac
shift
[ $# -gt 0 ] || set -- --with-cuda
top=$(pwd)
build=${GPU_BUILD:-build-gpu}
most=62914560 # bytes: 60 MiB
tests='tests/ops/conform_test tests/cuda/repeat_test tests/train/network_test tests/ops/graph_test tests/ops/golden_test'
benches='tests/bench/train_bench tests/bench/step_bench'

mkdir -p "$build"
cd "$build"
[ -f Makefile ] || ../configure -q "$@"
grep -q '^#define HAVE_CUDA 1' config.h || { echo "CUDA is off: see $build/config.log"; exit 1; }
# Tests look for their files beside the build folder, wherever that comes to lie.
make -s -j"${JOBS:-2}" abs_top_srcdir=.. muster $tests $benches

pack=$(mktemp -d)/muster-gpu
trap 'rm -rf "$(dirname "$pack")"' EXIT
mkdir -p "$pack/bin" "$pack/lib" "$pack/lib-old" "$pack/build" "$pack/tests/golden" "$pack/data"
for program in muster $tests $benches; do
    real=$(dirname "$program")/.libs/$(basename "$program")
    [ -f "$real" ] || real=$program
    cp "$real" "$pack/bin/"
done
cp -L .libs/libmuster.so.0 "$pack/lib/"

# What the programs are linked with: not the C library, nor CUDA's own; C++'s and the compiler's only where there are none.
for file in "$pack"/bin/* "$pack"/lib/libmuster.so.0; do
    LD_LIBRARY_PATH="$pack/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" ldd "$file"
done | awk '$2 == "=>" && $3 ~ "^/" { print $1, $3 }' | sort -u >"$pack/needs"
while read -r name path; do
    case $name in
    libmuster.so.* | libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.* | libutil.so.*) ;;
    libcuda.so.* | libcudart.so.* | libcublas*.so.* | libcudnn*.so.* | libnccl.so.* | libnvrtc*.so.* | libnvJitLink.so.*) echo "$name" >>"$pack/cuda-needs" ;;
    libstdc++.so.* | libgcc_s.so.*) cp -L "$path" "$pack/lib-old/" ;;
    *) cp -L "$path" "$pack/lib/" ;;
    esac
done <"$pack/needs"
rm "$pack/needs"
: >>"$pack/cuda-needs"
strip "$pack"/bin/* "$pack"/lib/* "$pack"/lib-old/*

cp "$top"/tests/bench/gpu_run.sh "$top"/tests/bench/gpu_compare.py "$top"/tests/bench/gpu_peer.py "$top"/tests/bench/torch_peer.py \
    "$top"/tests/bench/compare.py "$pack/"
cp "$top"/tests/golden/*.json "$pack/tests/golden/"
cp "$top"/data/digits/digits.csv.gz "$top"/tests/run/lenet.yaml "$pack/data/"
git -C "$top" describe --always --dirty >"$pack/version" 2>/dev/null || echo unknown >"$pack/version"

cat >"$pack/on" <<'END'
#!/bin/sh
# on PROGRAM ARGUMENTS...: a program of bin/, with its libraries. UNDER: the command that runs it. CUDA_LIB_PATH: folders of CUDA's libraries, if they
# are not in Python's packages, in /usr/local/cuda or where the loader looks.
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${CUDA_LIB_PATH-}" ] && [ -f "$here/cuda-path" ]; then
    CUDA_LIB_PATH=$(cat "$here/cuda-path")
elif [ -z "${CUDA_LIB_PATH-}" ]; then
    for folder in $(python3 -c 'import glob, sys
print("\n".join(f for p in sys.path for f in glob.glob(p + "/nvidia/*/lib")))' 2>/dev/null) /usr/local/cuda/lib64 /usr/local/cuda/targets/*/lib \
        /usr/local/nvidia/lib64 /usr/local/nvidia/lib; do
        [ ! -d "$folder" ] || CUDA_LIB_PATH=${CUDA_LIB_PATH:+$CUDA_LIB_PATH:}$folder
    done
    printf '%s' "${CUDA_LIB_PATH-}" >"$here/cuda-path"
fi
old=
ldconfig -p 2>/dev/null | grep -q 'libstdc++\.so\.6' || old=:$here/lib-old
program=$1
shift
LD_LIBRARY_PATH=$here/lib$old${CUDA_LIB_PATH:+:$CUDA_LIB_PATH}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
exec ${UNDER-} "$here/bin/$program" "$@"
END
chmod +x "$pack/on"

(cd "$(dirname "$pack")" && XZ_OPT=-3 tar cJf "$out" muster-gpu)
size=$(wc -c <"$out")
echo "$out: $size bytes, $(du -sh "$pack" | cut -f1) unpacked"
[ "$size" -le "$most" ] || { echo "more than $most bytes"; exit 1; }
