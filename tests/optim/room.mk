if WITH_CHECK
check_PROGRAMS += tests/optim/paramwise_test tests/optim/scheduler_test tests/optim/wrapper_test
endif
tests_optim_paramwise_test_SOURCES = tests/optim/paramwise_test.c tests/optim/build.h
tests_optim_paramwise_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_optim_paramwise_test_LDADD = $(TEST_LDADD)
tests_optim_scheduler_test_SOURCES = tests/optim/scheduler_test.c tests/optim/build.h tests/golden/scheduler.inc
tests_optim_scheduler_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_optim_scheduler_test_LDADD = $(TEST_LDADD)
tests_optim_wrapper_test_SOURCES = tests/optim/wrapper_test.c tests/optim/build.h tests/optim/shared.h tests/optim/toy.h
tests_optim_wrapper_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_optim_wrapper_test_LDADD = $(TEST_LDADD)
EXTRA_DIST += tests/golden/scheduler.py
if WITH_CHECK
check_PROGRAMS += tests/optim/averaged_model_test
endif
tests_optim_averaged_model_test_SOURCES = tests/optim/averaged_model_test.c tests/optim/build.h tests/golden/averaged_model.inc
tests_optim_averaged_model_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_optim_averaged_model_test_LDADD = $(TEST_LDADD) -lm
EXTRA_DIST += tests/golden/averaged_model.py
if WITH_CHECK
check_PROGRAMS += tests/optim/control_test
endif
tests_optim_control_test_SOURCES = tests/optim/control_test.c tests/optim/build.h tests/golden/scaler.inc
tests_optim_control_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_optim_control_test_LDADD = $(TEST_LDADD) -lm
EXTRA_DIST += tests/golden/scaler.py
