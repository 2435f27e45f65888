# A fuzz target replays and mutates a small corpus in `make check`; with -DMU_LIBFUZZER it is a target for libFuzzer:
#   clang -fsanitize=fuzzer,address,undefined -DMU_LIBFUZZER -Isrc tests/fuzz/config_fuzz.c ...
check_PROGRAMS += tests/fuzz/config_fuzz
tests_fuzz_config_fuzz_SOURCES = tests/fuzz/config_fuzz.c
tests_fuzz_config_fuzz_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_config_fuzz_LDADD = $(TEST_LDADD)
