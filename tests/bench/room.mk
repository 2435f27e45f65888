# Benchmarks are built by `make bench`, not by `make check`.
BENCHES = tests/bench/ckpt_bench tests/bench/loader_bench tests/bench/shard_bench tests/bench/simd_bench tests/bench/step_bench tests/bench/train_bench
EXTRA_PROGRAMS += $(BENCHES)
EXTRA_DIST += tests/bench/shard_table.sh tests/bench/compare.py tests/bench/gpu_build.sh tests/bench/gpu_compare.py tests/bench/gpu_peer.py tests/bench/gpu_run.sh tests/bench/epoch_peer.py tests/bench/predict_compare.py tests/bench/torch_peer.py tests/bench/train_compare.py
CLEANFILES += $(BENCHES)

tests_bench_loader_bench_SOURCES = tests/bench/loader_bench.c
tests_bench_loader_bench_CPPFLAGS = $(TEST_CPPFLAGS)
tests_bench_loader_bench_LDADD = libmuster.la

tests_bench_shard_bench_SOURCES = tests/bench/shard_bench.c tests/optim/shared.h
tests_bench_shard_bench_CPPFLAGS = $(TEST_CPPFLAGS)
tests_bench_shard_bench_LDADD = libmuster.la

tests_bench_simd_bench_SOURCES = tests/bench/simd_bench.c
tests_bench_simd_bench_CPPFLAGS = $(TEST_CPPFLAGS)
tests_bench_simd_bench_LDADD = libmuster.la

tests_bench_train_bench_SOURCES = tests/bench/train_bench.c
tests_bench_train_bench_CPPFLAGS = $(TEST_CPPFLAGS)
tests_bench_train_bench_LDADD = libmuster.la

tests_bench_step_bench_SOURCES = tests/bench/step_bench.c
tests_bench_step_bench_CPPFLAGS = $(TEST_CPPFLAGS)
tests_bench_step_bench_LDADD = tests/train/libmodels.la $(TEST_LDADD)

bench: muster $(BENCHES)
.PHONY: bench

if WITH_MPI
BENCHES += tests/bench/comm_bench
endif
tests_bench_comm_bench_SOURCES = tests/bench/comm_bench.c
tests_bench_comm_bench_CPPFLAGS = $(TEST_CPPFLAGS) $(MPI_CFLAGS)
tests_bench_comm_bench_LDADD = libmuster.la $(MPI_LIBS)

if WITH_JPEG
if WITH_PNG
BENCHES += tests/bench/decode_bench
endif
endif
tests_bench_decode_bench_SOURCES = tests/bench/decode_bench.c
tests_bench_decode_bench_CPPFLAGS = $(TEST_CPPFLAGS)
tests_bench_decode_bench_LDADD = libmuster.la $(JPEG_LIBS) $(PNG_LIBS)

tests_bench_ckpt_bench_SOURCES = tests/bench/ckpt_bench.c
tests_bench_ckpt_bench_CPPFLAGS = $(TEST_CPPFLAGS)
tests_bench_ckpt_bench_LDADD = libmuster.la
