# Kernels are compiled once per instruction set; table.c picks one at run time.
SIMD_KERNELS = src/backend/simd/batch_norm.h src/backend/simd/copy.h src/backend/simd/index.h src/backend/simd/kernel.h src/backend/simd/reduce.h src/backend/simd/simd.def src/backend/simd/vec.h src/backend/simd/vmath.h \
	src/backend/simd/argmax.c \
	src/backend/simd/batch_norm.c \
	src/backend/simd/batch_norm_backward.c \
	src/backend/simd/batch_norm_forward.c \
	src/backend/simd/batch_norm_inference.c \
	src/backend/simd/concat.c \
	src/backend/simd/copy.c \
	src/backend/simd/dropout.c \
	src/backend/simd/elementwise.c \
	src/backend/simd/embedding.c \
	src/backend/simd/gather.c \
	src/backend/simd/group_norm.c \
	src/backend/simd/loss.c \
	src/backend/simd/max.c \
	src/backend/simd/normalize.c \
	src/backend/simd/pad.c \
	src/backend/simd/pool2d.c \
	src/backend/simd/prelu.c \
	src/backend/simd/reduce.c \
	src/backend/simd/resize.c \
	src/backend/simd/rows.c \
	src/backend/simd/slice.c \
	src/backend/simd/sync_batch_norm.c \
	src/backend/simd/topk.c \
	src/backend/simd/transpose.c \
	src/backend/simd/update.c

SIMD_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS) -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast

noinst_LTLIBRARIES += libsimdbase.la
libsimdbase_la_SOURCES = $(SIMD_KERNELS)
libsimdbase_la_CPPFLAGS = $(AM_CPPFLAGS) -DSIMD_ISA=base
libsimdbase_la_CFLAGS = $(SIMD_CFLAGS)
libmuster_la_LIBADD += libsimdbase.la

if X86_LEVELS
noinst_LTLIBRARIES += libsimdv3.la libsimdv4.la
libsimdv3_la_SOURCES = $(SIMD_KERNELS)
libsimdv3_la_CPPFLAGS = $(AM_CPPFLAGS) -DSIMD_ISA=v3
libsimdv3_la_CFLAGS = $(SIMD_CFLAGS) -march=x86-64-v3
libsimdv4_la_SOURCES = $(SIMD_KERNELS)
libsimdv4_la_CPPFLAGS = $(AM_CPPFLAGS) -DSIMD_ISA=v4
libsimdv4_la_CFLAGS = $(SIMD_CFLAGS) -march=x86-64-v4 -mprefer-vector-width=512
libmuster_la_LIBADD += libsimdv3.la libsimdv4.la
endif

noinst_LTLIBRARIES += libsimd.la
libsimd_la_SOURCES = src/backend/simd/backend.c src/backend/simd/simd.h src/backend/simd/table.c
libsimd_la_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
libmuster_la_LIBADD += libsimd.la

# Convolutions by Winograd's algorithm: AVX-512 or nothing.
EXTRA_DIST += src/backend/simd/winograd.h
if X86_LEVELS
noinst_LTLIBRARIES += libsimdwinograd.la
libsimdwinograd_la_SOURCES = src/backend/simd/winograd.c
libsimdwinograd_la_CFLAGS = $(SIMD_CFLAGS) -march=x86-64-v4 -mprefer-vector-width=512
libmuster_la_LIBADD += libsimdwinograd.la
endif
