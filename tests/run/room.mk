# Whole runs of `muster` under mpirun, on the digits.
check_LTLIBRARIES += tests/run/fault_hook.la tests/run/seen_hook.la
tests_run_fault_hook_la_SOURCES = tests/run/fault_hook.c
tests_run_fault_hook_la_LDFLAGS = $(PLUGIN_LDFLAGS)
tests_run_seen_hook_la_SOURCES = tests/run/seen_hook.c
tests_run_seen_hook_la_LDFLAGS = $(PLUGIN_LDFLAGS)
EXTRA_DIST += tests/run/common.sh tests/run/lenet.yaml tests/run/adamw_bn.yaml tests/run/iterations.yaml
dist_check_SCRIPTS += tests/run/autocast_test.sh tests/run/ranks_test.sh tests/run/outcome_test.sh tests/run/resume_test.sh tests/run/shard_test.sh tests/run/world_test.sh
SLOW_TESTS += tests/run/autocast_test.sh tests/run/ranks_test.sh tests/run/outcome_test.sh tests/run/resume_test.sh tests/run/shard_test.sh tests/run/world_test.sh
dist_check_SCRIPTS += tests/run/recipe_test.sh
SLOW_TESTS += tests/run/recipe_test.sh
dist_check_SCRIPTS += tests/run/preflight_test.sh
SLOW_TESTS += tests/run/preflight_test.sh

# What goes wrong. bad_file is a tool, and no test.
EXTRA_PROGRAMS += tests/run/bad_file
check_DATA += tests/run/bad_file
CLEANFILES += tests/run/bad_file
tests_run_bad_file_SOURCES = tests/run/bad_file.c
tests_run_bad_file_CPPFLAGS = $(TEST_CPPFLAGS)
tests_run_bad_file_LDADD = libmuster.la $(HDF5_LIBS)
EXTRA_DIST += tests/run/failing.sh
dist_check_SCRIPTS += tests/run/input_test.sh tests/run/fault_test.sh
SLOW_TESTS += tests/run/input_test.sh tests/run/fault_test.sh

EXTRA_DIST += tests/run/resnet_sync.yaml
dist_check_SCRIPTS += tests/run/sync_bn_test.sh
SLOW_TESTS += tests/run/sync_bn_test.sh
dist_check_SCRIPTS += tests/run/parts_test.sh
SLOW_TESTS += tests/run/parts_test.sh
dist_check_SCRIPTS += tests/run/hang_test.sh
SLOW_TESTS += tests/run/hang_test.sh
dist_check_SCRIPTS += tests/run/stop_test.sh
SLOW_TESTS += tests/run/stop_test.sh
dist_check_SCRIPTS += tests/run/straggler_test.sh
SLOW_TESTS += tests/run/straggler_test.sh
dist_check_SCRIPTS += tests/run/ema_test.sh
SLOW_TESTS += tests/run/ema_test.sh
