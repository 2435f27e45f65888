# A fuzz target replays and mutates a small corpus in `make check`; with -DMU_LIBFUZZER it is a target for libFuzzer:
#   clang -fsanitize=fuzzer,address,undefined -DMU_LIBFUZZER -Isrc tests/fuzz/config_fuzz.c ...
EXTRA_DIST += tests/fuzz/fuzz.h
check_PROGRAMS += tests/fuzz/config_fuzz tests/fuzz/h5_dataset_fuzz tests/fuzz/hub_fuzz tests/fuzz/scalars_fuzz tests/fuzz/tensor_file_fuzz
tests_fuzz_config_fuzz_SOURCES = tests/fuzz/config_fuzz.c
tests_fuzz_config_fuzz_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_config_fuzz_LDADD = $(TEST_LDADD)
tests_fuzz_h5_dataset_fuzz_SOURCES = tests/fuzz/h5_dataset_fuzz.c
tests_fuzz_h5_dataset_fuzz_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_h5_dataset_fuzz_LDADD = $(TEST_LDADD)
tests_fuzz_hub_fuzz_SOURCES = tests/fuzz/hub_fuzz.c
tests_fuzz_hub_fuzz_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_hub_fuzz_LDADD = $(TEST_LDADD)
tests_fuzz_scalars_fuzz_SOURCES = tests/fuzz/scalars_fuzz.c
tests_fuzz_scalars_fuzz_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_scalars_fuzz_LDADD = $(TEST_LDADD)
tests_fuzz_tensor_file_fuzz_SOURCES = tests/fuzz/tensor_file_fuzz.c
tests_fuzz_tensor_file_fuzz_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_tensor_file_fuzz_LDADD = $(TEST_LDADD)
if WITH_JPEG
if WITH_PNG
check_PROGRAMS += tests/fuzz/image_fuzz
endif
endif
tests_fuzz_image_fuzz_SOURCES = tests/fuzz/image_fuzz.c tests/data/encode.h
tests_fuzz_image_fuzz_CPPFLAGS = $(TEST_CPPFLAGS) -I$(top_srcdir)/tests/data
tests_fuzz_image_fuzz_LDADD = $(TEST_LDADD) $(JPEG_LIBS) $(PNG_LIBS)
