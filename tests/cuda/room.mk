# CUDA's runtime, cuBLASLt, cuDNN and NCCL for the CPU, as far as cuda/ uses them: for tests without a GPU.
EXTRA_DIST += \
	tests/cuda/emulate/capture.c \
	tests/cuda/emulate/count.c \
	tests/cuda/emulate/convert.h \
	tests/cuda/emulate/cublasLt.h \
	tests/cuda/emulate/cublaslt.c \
	tests/cuda/emulate/cuda_runtime.h \
	tests/cuda/emulate/cuda_runtime_api.h \
	tests/cuda/emulate/cudnn.c \
	tests/cuda/emulate/cudnn_backend.c \
	tests/cuda/emulate/cudnn_conv.c \
	tests/cuda/emulate/cudnn.h \
	tests/cuda/emulate/device.c \
	tests/cuda/emulate/emulate.h \
	tests/cuda/emulate/emulate_cudnn.h \
	tests/cuda/emulate/emulate_race.h \
	tests/cuda/emulate/emulate_stream.h \
	tests/cuda/emulate/fiber.c \
	tests/cuda/emulate/library_types.h \
	tests/cuda/emulate/memory.c \
	tests/cuda/emulate/nccl.c \
	tests/cuda/emulate/nccl.h \
	tests/cuda/emulate/race.c \
	tests/cuda/emulate/stream.c
if CUDA_EMULATED
noinst_LTLIBRARIES += libmuemulate.la
libmuemulate_la_SOURCES = \
	tests/cuda/emulate/capture.c \
	tests/cuda/emulate/count.c \
	tests/cuda/emulate/cublaslt.c \
	tests/cuda/emulate/cudnn.c \
	tests/cuda/emulate/cudnn_backend.c \
	tests/cuda/emulate/cudnn_conv.c \
	tests/cuda/emulate/device.c \
	tests/cuda/emulate/fiber.c \
	tests/cuda/emulate/memory.c \
	tests/cuda/emulate/nccl.c \
	tests/cuda/emulate/race.c \
	tests/cuda/emulate/stream.c
libmuemulate_la_CPPFLAGS = -I$(top_srcdir)/tests/cuda/emulate $(AM_CPPFLAGS)
libmuster_la_LIBADD += libmuemulate.la
if WITH_CHECK
check_LTLIBRARIES += tests/cuda/libemulatekernels.la
check_PROGRAMS += tests/cuda/emulate_cudnn_test tests/cuda/emulate_test
CLEANFILES += tests/cuda/emulate_kernels.d
-include tests/cuda/emulate_kernels.d
if CUDA_RACECHECK
check_LTLIBRARIES += tests/cuda/libemulaterace.la
check_PROGRAMS += tests/cuda/emulate_race_test
CLEANFILES += tests/cuda/emulate_race.d
-include tests/cuda/emulate_race.d
endif
endif
endif
tests_cuda_libemulatekernels_la_SOURCES = tests/cuda/emulate_kernels.cu tests/cuda/emulate_kernels.h
tests_cuda_emulate_cudnn_test_SOURCES = tests/cuda/emulate_cudnn_test.c
tests_cuda_emulate_cudnn_test_CPPFLAGS = $(CUDA_CPPFLAGS) $(TEST_CPPFLAGS)
tests_cuda_emulate_cudnn_test_LDADD = $(TEST_LDADD)
tests_cuda_emulate_test_SOURCES = tests/cuda/emulate_test.c
tests_cuda_emulate_test_CPPFLAGS = $(CUDA_CPPFLAGS) $(TEST_CPPFLAGS)
tests_cuda_emulate_test_LDADD = tests/cuda/libemulatekernels.la $(TEST_LDADD)
tests_cuda_libemulaterace_la_SOURCES = tests/cuda/emulate_race.cu tests/cuda/emulate_race.h
tests_cuda_emulate_race_test_SOURCES = tests/cuda/emulate_race_test.c
tests_cuda_emulate_race_test_CPPFLAGS = $(CUDA_CPPFLAGS) $(TEST_CPPFLAGS)
tests_cuda_emulate_race_test_LDADD = tests/cuda/libemulaterace.la $(TEST_LDADD)

# The backend itself, with the device above, and whole runs on whatever device there is.
if WITH_CHECK
if CUDA_EMULATED
check_PROGRAMS += tests/cuda/backend_test tests/cuda/batch_test tests/cuda/checkpoint_test tests/cuda/conv_test tests/cuda/index_test tests/cuda/input_test tests/cuda/lane_test tests/cuda/record_test
check_PROGRAMS += tests/cuda/images_test
endif
endif
tests_cuda_backend_test_SOURCES = tests/cuda/backend_test.c
tests_cuda_backend_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cuda_backend_test_LDADD = $(TEST_LDADD)
tests_cuda_batch_test_SOURCES = tests/cuda/batch_test.c
tests_cuda_batch_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cuda_batch_test_LDADD = $(TEST_LDADD)
tests_cuda_checkpoint_test_SOURCES = tests/cuda/checkpoint_test.c
tests_cuda_checkpoint_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cuda_checkpoint_test_LDADD = $(TEST_LDADD)
tests_cuda_conv_test_SOURCES = tests/cuda/conv_test.c
tests_cuda_conv_test_CPPFLAGS = -I$(top_srcdir)/cuda $(CUDA_CPPFLAGS) $(TEST_CPPFLAGS)
tests_cuda_conv_test_LDADD = $(SUITE_LDADD)
tests_cuda_images_test_SOURCES = tests/cuda/images_test.c
tests_cuda_images_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cuda_images_test_LDADD = $(TEST_LDADD)
tests_cuda_index_test_SOURCES = tests/cuda/index_test.c
tests_cuda_index_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cuda_index_test_LDADD = $(SUITE_LDADD)
tests_cuda_input_test_SOURCES = tests/cuda/input_test.c
tests_cuda_input_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cuda_input_test_LDADD = $(TEST_LDADD)
tests_cuda_lane_test_SOURCES = tests/cuda/lane_test.c
tests_cuda_lane_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cuda_lane_test_LDADD = $(TEST_LDADD)
tests_cuda_record_test_SOURCES = tests/cuda/record_test.c
tests_cuda_record_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cuda_record_test_LDADD = $(TEST_LDADD)

# Spans, and kernels at the sizes at which they change their ways, on whatever device there is.
if WITH_CHECK
if WITH_CUDA
check_PROGRAMS += tests/cuda/dnn_test tests/cuda/norms_test tests/cuda/repeat_test tests/cuda/rows_test
endif
endif
tests_cuda_dnn_test_SOURCES = tests/cuda/dnn_test.c
tests_cuda_dnn_test_CPPFLAGS = -I$(top_srcdir)/cuda $(CUDA_CPPFLAGS) $(TEST_CPPFLAGS)
tests_cuda_dnn_test_LDADD = $(TEST_LDADD) $(CUDA_LIBS)
SLOW_TESTS += tests/cuda/dnn_test
tests_cuda_norms_test_SOURCES = tests/cuda/norms_test.c
tests_cuda_norms_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cuda_norms_test_LDADD = $(SUITE_LDADD)
tests_cuda_repeat_test_SOURCES = tests/cuda/repeat_test.c
tests_cuda_repeat_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cuda_repeat_test_LDADD = $(TEST_LDADD)
tests_cuda_rows_test_SOURCES = tests/cuda/rows_test.c
tests_cuda_rows_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cuda_rows_test_LDADD = $(SUITE_LDADD)
if WITH_CUDA
dist_check_SCRIPTS += tests/cuda/device_test.sh tests/cuda/explain_test.sh tests/cuda/late_test.sh tests/cuda/lost_rank_test.sh \
	tests/cuda/ranks_test.sh tests/cuda/recipes_test.sh tests/cuda/step_test.sh tests/cuda/train_test.sh
check_LTLIBRARIES += tests/cuda/root_model.la
SLOW_TESTS += tests/cuda/device_test.sh tests/cuda/explain_test.sh tests/cuda/lost_rank_test.sh tests/cuda/ranks_test.sh tests/cuda/step_test.sh tests/cuda/train_test.sh
endif
tests_cuda_root_model_la_SOURCES = tests/cuda/root_model.c
tests_cuda_root_model_la_LDFLAGS = $(PLUGIN_LDFLAGS)

# Ranks with a device each. Like tests/mpi/comm_test.
if WITH_CUDA
check_PROGRAMS += tests/cuda/comm_test
dist_check_SCRIPTS += tests/cuda/comm_test.sh
endif
tests_cuda_comm_test_SOURCES = tests/cuda/comm_test.c $(RANKS)
tests_cuda_comm_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cuda_comm_test_LDADD = libmuster.la
