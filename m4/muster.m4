# Lines of the closing summary: MU_NOTE([what], [state])
AC_DEFUN([MU_NOTE], [mu_summary="$mu_summary
  $(printf '%-22s' "$1") $2"])

AC_DEFUN([MU_SUMMARY], [
AC_MSG_NOTICE([muster $PACKAGE_VERSION
  $(printf '%-22s' prefix) $prefix
  $(printf '%-22s' compiler) $CC $CFLAGS$mu_summary
])])

# --enable-werror (for CI) and the warnings that the tree keeps clean.
AC_DEFUN([MU_WARNINGS], [
AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [treat warnings as errors])], [], [enable_werror=no])
MU_CFLAGS="-std=gnu17 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wno-missing-field-initializers"
AS_IF([test "x$enable_werror" = xyes], [MU_CFLAGS="$MU_CFLAGS -Werror"])
MU_NOTE([warnings as errors], [$enable_werror])
AC_SUBST([MU_CFLAGS])])

AC_DEFUN([MU_SANITIZERS], [
mu_sanitize=
AC_ARG_ENABLE([asan], [AS_HELP_STRING([--enable-asan], [address sanitizer])], [], [enable_asan=no])
AC_ARG_ENABLE([ubsan], [AS_HELP_STRING([--enable-ubsan], [undefined-behaviour sanitizer])], [], [enable_ubsan=no])
AC_ARG_ENABLE([coverage], [AS_HELP_STRING([--enable-coverage], [gcov coverage])], [], [enable_coverage=no])
AS_IF([test "x$enable_asan" = xyes], [mu_sanitize="$mu_sanitize -fsanitize=address -fno-omit-frame-pointer"])
AS_IF([test "x$enable_ubsan" = xyes], [mu_sanitize="$mu_sanitize -fsanitize=undefined -fno-sanitize-recover=undefined"])
AS_IF([test "x$enable_coverage" = xyes], [mu_sanitize="$mu_sanitize --coverage"])
MU_CFLAGS="$MU_CFLAGS $mu_sanitize"
MU_LDFLAGS="$mu_sanitize"
AC_SUBST([MU_LDFLAGS])
AM_CONDITIONAL([WITH_ASAN], [test "x$enable_asan" = xyes])
MU_NOTE([sanitizers], [${mu_sanitize:-none}])])

AC_DEFUN([MU_OPENMP], [
AC_OPENMP
AS_IF([test "x$enable_openmp" != xno && test "x$ac_cv_prog_c_openmp" = xunsupported],
  [AC_MSG_ERROR([the compiler has no OpenMP; use gcc, or pass --disable-openmp])])
AS_IF([test "x$enable_openmp" = xno],
  [MU_CFLAGS="$MU_CFLAGS -Wno-unknown-pragmas -Wno-unused"]) # what pragmas alone use
AC_SUBST([OPENMP_CFLAGS])])

# Kernels for several levels of x86-64 in one binary, chosen at run time.
AC_DEFUN([MU_X86_LEVELS], [
mu_levels=no
AS_CASE([$host_cpu], [x86_64], [
  mu_save_cflags=$CFLAGS; CFLAGS="$CFLAGS -march=x86-64-v4 -mprefer-vector-width=512"
  AC_MSG_CHECKING([for -march=x86-64-v4])
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[]], [[return 0;]])], [mu_levels=yes])
  AC_MSG_RESULT([$mu_levels])
  CFLAGS=$mu_save_cflags])
AS_IF([test $mu_levels = yes], [AC_DEFINE([HAVE_X86_LEVELS], [1], [kernels for x86-64-v3 and v4])])
AM_CONDITIONAL([X86_LEVELS], [test $mu_levels = yes])
MU_NOTE([x86-64-v3, v4 kernels], [$mu_levels])])

# MU_FOLDER(name): --with-NAME=DIR names a folder that is there.
AC_DEFUN([MU_FOLDER], [AS_CASE([$with_$1], [yes|guess|no], [],
  [AS_IF([test -d "$with_$1"], [], [AC_MSG_ERROR([--with-$1=$with_$1: there is no such folder])])])])

# MU_WITH(name, title, pkg-config spec, required|guess, Debian package): --with-NAME=DIR|guess|no.
# DIR is a prefix whose lib/pkgconfig is searched first. An explicit wish that fails is an error, a guess only a line of
# the summary. Sets NAME_CFLAGS, NAME_LIBS, WITH_NAME and defines HAVE_NAME, and BUILT_NAME: what `muster env` says of it.
AC_DEFUN([MU_WITH], [
m4_pushdef([UP], m4_toupper([$1]))
AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1=DIR|guess|no], [$2])], [], [with_$1=m4_if([$4],[required],[yes],[guess])])
MU_FOLDER([$1])
mu_have=no
AS_CASE([$with_$1],
  [no], [mu_why="switched off"],
  [AS_CASE([$with_$1], [yes|guess], [], [PKG_CONFIG_PATH="$with_$1/lib/pkgconfig:$with_$1/lib/x86_64-linux-gnu/pkgconfig:$PKG_CONFIG_PATH"; export PKG_CONFIG_PATH])
   PKG_CHECK_MODULES(UP, [$3], [mu_have=yes], [mu_why="not found; install $5"])])
AS_IF([test $mu_have = no && test "m4_if([$4],[required],[required],[$with_$1])" != guess && test "x$with_$1" != xno],
  [AC_MSG_ERROR([$2 ($3) is missing: install $5, run ./bootstrap, or pass --with-$1=DIR])])
m4_if([$4], [required], [AS_IF([test $mu_have = no], [AC_MSG_ERROR([$2 is required and cannot be switched off])])])
mu_built="no; install $5 and configure --with-$1"
AS_IF([test $mu_have = yes], [AC_DEFINE(HAVE_[]UP, [1], [$2])
  mu_built=`$PKG_CONFIG --modversion "$3" 2>/dev/null`
  MU_NOTE([$2], [yes])], [MU_NOTE([$2], [no ($mu_why)])])
AC_DEFINE_UNQUOTED(BUILT_[]UP, ["${mu_built:-yes}"], [the version of $2, or what to do about its absence])
AM_CONDITIONAL(WITH_[]UP, [test $mu_have = yes])
m4_popdef([UP])])

# oneDNN has no pkg-config file in Debian. The 2.x and the 3.x API are told apart by its own version header.
AC_DEFUN([MU_WITH_ONEDNN], [
AC_ARG_WITH([onednn], [AS_HELP_STRING([--with-onednn=DIR|guess|no], [oneDNN 2.6 or newer, 2.x or 3.x])], [], [with_onednn=guess])
MU_FOLDER([onednn])
mu_have=no
AS_CASE([$with_onednn], [no], [mu_why="switched off"], [
  AS_CASE([$with_onednn], [yes|guess], [], [
    ONEDNN_CFLAGS="-I$with_onednn/include"
    ONEDNN_LIBS="-L$with_onednn/lib -Wl,-rpath,$with_onednn/lib"])
  ONEDNN_LIBS="$ONEDNN_LIBS -ldnnl"
  mu_save_cppflags=$CPPFLAGS; mu_save_libs=$LIBS
  CPPFLAGS="$CPPFLAGS $ONEDNN_CFLAGS"; LIBS="$LIBS $ONEDNN_LIBS"
  AC_MSG_CHECKING([for oneDNN])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <oneapi/dnnl/dnnl.h>
#if DNNL_VERSION_MAJOR < 2 || (DNNL_VERSION_MAJOR == 2 && DNNL_VERSION_MINOR < 6)
#error oneDNN 2.6 or newer is needed
#endif]], [[return dnnl_version()->major == 0;]])], [mu_have=yes], [mu_why="not found or older than 2.6; install libdnnl-dev"])
  AC_MSG_RESULT([$mu_have])
  CPPFLAGS=$mu_save_cppflags; LIBS=$mu_save_libs
  AS_IF([test $mu_have = no && test "x$with_onednn" != xguess],
    [AC_MSG_ERROR([oneDNN in $with_onednn: $mu_why])])])
AS_IF([test $mu_have = yes], [AC_DEFINE([HAVE_ONEDNN], [1], [oneDNN]) MU_NOTE([oneDNN], [yes])],
  [ONEDNN_CFLAGS=; ONEDNN_LIBS=; MU_NOTE([oneDNN], [no ($mu_why)])])
AC_SUBST([ONEDNN_CFLAGS]) AC_SUBST([ONEDNN_LIBS])
AM_CONDITIONAL([WITH_ONEDNN], [test $mu_have = yes])])

# MPI by Open MPI's pkg-config file, else by what the wrapper mpicc says. DIR is a prefix with lib/pkgconfig or bin/mpicc.
AC_DEFUN([MU_WITH_MPI], [
AC_ARG_WITH([mpi], [AS_HELP_STRING([--with-mpi=DIR|guess|no], [MPI 3.1 or newer])], [], [with_mpi=guess])
MU_FOLDER([mpi])
mu_have=no; mu_mpicc=mpicc
AS_CASE([$with_mpi], [no], [mu_why="switched off"], [
  AS_CASE([$with_mpi], [yes|guess],
    [PKG_CHECK_MODULES([MPI], [ompi-c >= 4.0], [mu_have=yes], [:])],
    [mu_mpicc="$with_mpi/bin/mpicc"])
  AS_IF([test $mu_have = no],
    [AS_IF([MPI_CFLAGS=`$mu_mpicc --showme:compile 2>/dev/null` && MPI_LIBS=`$mu_mpicc --showme:link 2>/dev/null`], [:],
      [MPI_CFLAGS=`$mu_mpicc -compile_info 2>/dev/null | tr ' ' '\n' | grep '^-I' | tr '\n' ' '`
       MPI_LIBS=`$mu_mpicc -link_info 2>/dev/null | tr ' ' '\n' | grep '^-@<:@LlW@:>@' | tr '\n' ' '`])])
  mu_save_cppflags=$CPPFLAGS; mu_save_libs=$LIBS
  CPPFLAGS="$CPPFLAGS $MPI_CFLAGS"; LIBS="$LIBS $MPI_LIBS"
  AC_MSG_CHECKING([for MPI 3.1])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <mpi.h>
#if MPI_VERSION < 3 || (MPI_VERSION == 3 && MPI_SUBVERSION < 1)
#error MPI 3.1 or newer is needed
#endif]], [[int v, s; return MPI_Get_version(&v, &s);]])], [mu_have=yes],
    [mu_have=no; mu_why="not found or older than 3.1; install libopenmpi-dev"])
  AC_MSG_RESULT([$mu_have])
  CPPFLAGS=$mu_save_cppflags; LIBS=$mu_save_libs
  AS_IF([test $mu_have = no && test "x$with_mpi" != xguess], [AC_MSG_ERROR([MPI in $with_mpi: $mu_why])])])
AS_IF([test $mu_have = yes], [AC_DEFINE([HAVE_MPI], [1], [MPI]) MU_NOTE([MPI], [yes])],
  [MPI_CFLAGS=; MPI_LIBS=; MU_NOTE([MPI], [no ($mu_why)])])
AC_SUBST([MPI_CFLAGS]) AC_SUBST([MPI_LIBS])
AM_CONDITIONAL([WITH_MPI], [test $mu_have = yes])])

# NCCL for ranks on CUDA devices; looked for where CUDA is, too. Part of MU_WITH_CUDA.
AC_DEFUN([MU_WITH_NCCL], [
AC_ARG_WITH([nccl], [AS_HELP_STRING([--with-nccl=DIR|guess|no], [NCCL 2.14 or newer, for several ranks on CUDA devices])], [],
  [with_nccl=guess])
MU_FOLDER([nccl])
mu_nccl=no
AS_IF([test "x$with_nccl" = xno], [mu_why="switched off"],
  [test $mu_have = no], [mu_why="needs CUDA"
    AS_IF([test "x$with_nccl" != xguess], [AC_MSG_ERROR([NCCL needs CUDA: add --with-cuda])])],
  [ mu_nccl_cppflags=; mu_nccl_libs=
    AS_CASE([$with_nccl], [yes|guess], [], [mu_nccl_cppflags="-isystem $with_nccl/include"
      mu_nccl_libs="-L$with_nccl/lib -Wl,-rpath,$with_nccl/lib"])
    AS_IF([test $mu_emulated = yes], [mu_nccl=yes], [
      mu_nccl_libs="$mu_nccl_libs -lnccl"
      mu_save_cppflags=$CPPFLAGS; mu_save_libs=$LIBS
      CPPFLAGS="$CPPFLAGS $mu_nccl_cppflags $CUDA_CPPFLAGS"; LIBS="$LIBS $mu_nccl_libs $CUDA_LIBS"
      AC_MSG_CHECKING([for NCCL])
      AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <nccl.h>
#if NCCL_VERSION_CODE < 21400
#error NCCL 2.14 or newer is needed
#endif]], [[int version; return ncclGetVersion(&version) != ncclSuccess;]])],
        [mu_nccl=yes; CUDA_CPPFLAGS="$mu_nccl_cppflags $CUDA_CPPFLAGS"; CUDA_LIBS="$mu_nccl_libs $CUDA_LIBS"],
        [mu_why="not found or older than 2.14; install libnccl-dev"])
      AC_MSG_RESULT([$mu_nccl])
      CPPFLAGS=$mu_save_cppflags; LIBS=$mu_save_libs
      AS_IF([test $mu_nccl = no && test "x$with_nccl" != xguess], [AC_MSG_ERROR([NCCL: $mu_why])])])])
AS_IF([test $mu_nccl = yes], [AC_DEFINE([HAVE_NCCL], [1], [NCCL])
  AS_IF([test $mu_emulated = yes], [mu_nccl="emulated, for tests only"])], [mu_nccl="no ($mu_why)"])
MU_NOTE([NCCL], [$mu_nccl])])

# CUDA by nvcc, with cuBLASLt and cuDNN. DIR is a toolkit (bin/nvcc, include, lib64). "emulated" builds the same files with a C++17
# compiler against tests/cuda/emulate, for tests on machines without a GPU.
AC_DEFUN([MU_WITH_CUDA], [
AC_ARG_WITH([cuda], [AS_HELP_STRING([--with-cuda=DIR|guess|no|emulated], [CUDA 12 or newer with cuDNN 9; default no])], [], [with_cuda=no])
AC_ARG_WITH([cuda-arch], [AS_HELP_STRING([--with-cuda-arch=LIST], [compute capabilities without the point: "80 90"; default 90])],
  [], [with_cuda_arch=90])
AC_ARG_ENABLE([racecheck], [AS_HELP_STRING([--enable-racecheck], [look for races of kernels; with --with-cuda=emulated])], [],
  [enable_racecheck=no])
AC_ARG_VAR([NVCC], [CUDA compiler command])
AC_ARG_VAR([CXX], [C++ compiler command, for --with-cuda=emulated])
mu_have=no; mu_emulated=no
AS_CASE([$with_cuda],
  [no], [mu_cuda="off (default; --with-cuda)"],
  [emulated], [
    AC_CHECK_TOOLS([CXX], [g++ c++ clang++])
    AC_MSG_CHECKING([for C++17])
    cat >conftest.cc <<_ACEOF
template <class... A> int count(A... a) { if constexpr (sizeof...(a) == 0) return 0; else return 1 + (0 + ... + (int)a); }
int f() { return count() + count(1, 2); }
_ACEOF
    AS_IF([${CXX-false} -x c++ -std=c++17 -c conftest.cc -o conftest.o >&AS_MESSAGE_LOG_FD 2>&1], [mu_have=yes])
    rm -f conftest.cc conftest.o
    AC_MSG_RESULT([$mu_have])
    AS_IF([test $mu_have = no], [AC_MSG_ERROR([--with-cuda=emulated needs a C++17 compiler: install g++, or set CXX])])
    mu_emulated=yes; mu_cuda="emulated, for tests only"
    CUDA_CPPFLAGS='-I$(top_srcdir)/tests/cuda/emulate'],
  [ mu_cuda_dirs="/usr/local/cuda"
    mu_nvcc=`command -v nvcc 2>/dev/null` && mu_cuda_dirs="`dirname "$mu_nvcc"`/.. $mu_cuda_dirs"
    AS_CASE([$with_cuda], [yes|guess], [], [mu_cuda_dirs=$with_cuda])
    AC_MSG_CHECKING([for nvcc])
    AS_IF([test -n "$NVCC"], [mu_cuda_dirs="`dirname "$NVCC"`/.. $mu_cuda_dirs"], [
      for mu_dir in $mu_cuda_dirs; do
        AS_IF([test -z "$NVCC" && test -x "$mu_dir/bin/nvcc"], [NVCC=$mu_dir/bin/nvcc])
      done])
    AC_MSG_RESULT([${NVCC:-no}])
    AS_IF([test -z "$NVCC"], [mu_why="no nvcc in $mu_cuda_dirs; install the CUDA toolkit, or pass --with-cuda=DIR"], [
      for mu_dir in $mu_cuda_dirs; do
        AS_IF([test -z "$CUDA_CPPFLAGS" && test -f "$mu_dir/include/cuda_runtime_api.h"], [
          mu_dir=`cd "$mu_dir" && pwd`
          CUDA_CPPFLAGS="-isystem $mu_dir/include"
          for mu_lib in lib64 lib lib/x86_64-linux-gnu; do
            AS_IF([test -f "$mu_dir/$mu_lib/libcudart.so"], [CUDA_LIBS="$CUDA_LIBS -L$mu_dir/$mu_lib -Wl,-rpath,$mu_dir/$mu_lib"])
          done])
      done
      CUDA_LIBS="$CUDA_LIBS -lcudart -lcublasLt -lcudnn"
      mu_save_cppflags=$CPPFLAGS; mu_save_libs=$LIBS
      CPPFLAGS="$CPPFLAGS $CUDA_CPPFLAGS"; LIBS="$LIBS $CUDA_LIBS"
      AC_MSG_CHECKING([for the CUDA runtime, cuBLASLt and cuDNN])
      AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <cuda_runtime_api.h>
#include <cublasLt.h>
#include <cudnn.h>
#if CUDART_VERSION < 12000
#error CUDA 12 or newer is needed
#endif
#if CUDNN_MAJOR < 9
#error cuDNN 9 or newer is needed
#endif]], [[cublasLtHandle_t lt; cudnnHandle_t dnn;
return cudaFree(0) != cudaSuccess || cublasLtCreate(&lt) != CUBLAS_STATUS_SUCCESS || cudnnCreate(&dnn) != CUDNN_STATUS_SUCCESS;]])],
        [mu_have=yes],
        [mu_why="the CUDA runtime 12, cuBLASLt or cuDNN 9 do not link; install cuda-libraries-dev and libcudnn9-dev, see config.log"])
      AC_MSG_RESULT([$mu_have])
      CPPFLAGS=$mu_save_cppflags; LIBS=$mu_save_libs
      AS_IF([test $mu_have = yes], [
        for mu_arch in $with_cuda_arch; do
          NVCC_ARCH="$NVCC_ARCH -gencode arch=compute_$mu_arch,code=sm_$mu_arch"
        done
        NVCC_ARCH="$NVCC_ARCH -gencode arch=compute_$mu_arch,code=compute_$mu_arch"
        AC_MSG_CHECKING([whether nvcc takes$NVCC_ARCH])
        echo '__global__ void f(int *x) { *x = 1; }' >conftest.cu
        AS_IF([$NVCC -std=c++17 $NVCC_ARCH -c conftest.cu -o conftest.o >&AS_MESSAGE_LOG_FD 2>&1], [:],
          [mu_have=no; mu_why="nvcc does not compile for \"$with_cuda_arch\" (--with-cuda-arch), see config.log"])
        rm -f conftest.cu conftest.o
        AC_MSG_RESULT([$mu_have])])])
    AS_IF([test $mu_have = no && test "x$with_cuda" != xguess], [AC_MSG_ERROR([CUDA: $mu_why])])
    AS_IF([test $mu_have = yes], [mu_cuda="yes, for $with_cuda_arch"], [mu_cuda="no ($mu_why)"])])
NVCC_FLAGS=; MU_CXXFLAGS="-std=c++17 -Wall -Wextra -Wshadow -Wpointer-arith -Wvla -Wno-missing-field-initializers"
AS_IF([test "x$enable_werror" = xyes],
  [NVCC_FLAGS="-Werror all-warnings --compiler-options -Werror"; MU_CXXFLAGS="$MU_CXXFLAGS -Werror"])
MU_CXXFLAGS="$MU_CXXFLAGS $mu_sanitize"
AS_IF([test "x$enable_racecheck" = xyes], [
  AS_IF([test $mu_emulated = no], [AC_MSG_ERROR([--enable-racecheck needs --with-cuda=emulated])])
  AS_IF([test "x$enable_asan" = xyes], [AC_MSG_ERROR([--enable-racecheck and --enable-asan exclude each other])])
  AS_CASE([`$CXX --version 2>/dev/null`], [*clang*], [AC_MSG_ERROR([--enable-racecheck needs g++, found $CXX])])
  # For the compiler only: tests/cuda/emulate/race.c is what the linker would take from libtsan.
  MU_CXXFLAGS="$MU_CXXFLAGS -fsanitize=thread -Wno-attributes"; mu_cuda="$mu_cuda, with a look for races"
  AC_DEFINE([EMULATE_RACES], [1], [the emulator looks for races of kernels])])
AS_IF([test $mu_have = yes], [AC_DEFINE([HAVE_CUDA], [1], [CUDA])], [CUDA_CPPFLAGS=; CUDA_LIBS=])
AS_IF([test $mu_emulated = yes], [AC_DEFINE([HAVE_CUDA_EMULATED], [1], [CUDA is emulated on the CPU, for tests])])
MU_NOTE([CUDA], [$mu_cuda])
MU_WITH_NCCL
AC_SUBST([CUDA_CPPFLAGS]) AC_SUBST([CUDA_LIBS]) AC_SUBST([NVCC_ARCH]) AC_SUBST([NVCC_FLAGS])
AC_SUBST([MU_CXXFLAGS])
AM_CONDITIONAL([WITH_CUDA], [test $mu_have = yes])
AM_CONDITIONAL([CUDA_EMULATED], [test $mu_emulated = yes])
AM_CONDITIONAL([CUDA_RACECHECK], [test "x$enable_racecheck" = xyes])])
