if WITH_CHECK
check_PROGRAMS += tests/runner/checkpoint_hook_test tests/runner/hook_test tests/runner/hooks_test tests/runner/hub_test tests/runner/log_processor_test tests/runner/run_log_test tests/runner/signals_test tests/runner/work_dir_test
endif
tests_runner_checkpoint_hook_test_SOURCES = tests/runner/checkpoint_hook_test.c tests/runner/run_hook.h
tests_runner_checkpoint_hook_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_checkpoint_hook_test_LDADD = $(TEST_LDADD)
tests_runner_hook_test_SOURCES = tests/runner/hook_test.c
tests_runner_hook_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_hook_test_LDADD = $(TEST_LDADD)
tests_runner_hooks_test_SOURCES = tests/runner/hooks_test.c tests/runner/run_hook.h
tests_runner_hooks_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_hooks_test_LDADD = $(TEST_LDADD) -lm
tests_runner_hub_test_SOURCES = tests/runner/hub_test.c
tests_runner_hub_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_hub_test_LDADD = $(TEST_LDADD) -lm
tests_runner_log_processor_test_SOURCES = tests/runner/log_processor_test.c tests/golden/log_lines.inc
tests_runner_log_processor_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_log_processor_test_LDADD = $(TEST_LDADD) -lm
EXTRA_DIST += tests/golden/log_lines.py
tests_runner_run_log_test_SOURCES = tests/runner/run_log_test.c
tests_runner_run_log_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_run_log_test_LDADD = $(TEST_LDADD)
tests_runner_signals_test_SOURCES = tests/runner/signals_test.c
tests_runner_signals_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_signals_test_LDADD = $(TEST_LDADD)
tests_runner_work_dir_test_SOURCES = tests/runner/work_dir_test.c
tests_runner_work_dir_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_work_dir_test_LDADD = $(TEST_LDADD)
if WITH_CHECK
check_PROGRAMS += tests/runner/tensor_file_test
endif
tests_runner_tensor_file_test_SOURCES = tests/runner/tensor_file_test.c
tests_runner_tensor_file_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_tensor_file_test_LDADD = $(TEST_LDADD) $(HDF5_LIBS)
if WITH_CHECK
check_PROGRAMS += tests/runner/checkpoint_test
endif
tests_runner_checkpoint_test_SOURCES = tests/runner/checkpoint_test.c tests/runner/toy_run.h
tests_runner_checkpoint_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_checkpoint_test_LDADD = $(TEST_LDADD)
if WITH_CHECK
check_PROGRAMS += tests/runner/inspect_test
endif
tests_runner_inspect_test_SOURCES = tests/runner/inspect_test.c
tests_runner_inspect_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_inspect_test_LDADD = $(TEST_LDADD)
if WITH_CHECK
check_PROGRAMS += tests/runner/predict_test
endif
tests_runner_predict_test_SOURCES = tests/runner/predict_test.c
tests_runner_predict_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_predict_test_LDADD = $(TEST_LDADD) -lm
if WITH_CHECK
check_PROGRAMS += tests/runner/straggler_test
endif
tests_runner_straggler_test_SOURCES = tests/runner/straggler_test.c
tests_runner_straggler_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_straggler_test_LDADD = $(TEST_LDADD)
if WITH_CHECK
check_PROGRAMS += tests/runner/ema_test
endif
tests_runner_ema_test_SOURCES = tests/runner/ema_test.c tests/runner/toy_run.h
tests_runner_ema_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_runner_ema_test_LDADD = $(TEST_LDADD)
