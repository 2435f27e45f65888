if WITH_CHECK
check_PROGRAMS += tests/nn/backbone_test tests/nn/classifier_test tests/nn/layer_test tests/nn/loss_test tests/nn/model_test tests/nn/preprocessor_test tests/nn/trace_test
endif
tests_nn_backbone_test_SOURCES = tests/nn/backbone_test.c tests/nn/toy.c tests/nn/toy.h
tests_nn_backbone_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nn_backbone_test_LDADD = tests/train/libmodels.la $(TEST_LDADD) $(JANSSON_LIBS)
EXTRA_DIST += tests/golden/backbone.py tests/golden/backbone.json
tests_nn_layer_test_SOURCES = tests/nn/layer_test.c tests/nn/toy.c tests/nn/toy.h
tests_nn_layer_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nn_layer_test_LDADD = $(TEST_LDADD)
tests_nn_loss_test_SOURCES = tests/nn/loss_test.c tests/nn/toy.c tests/nn/toy.h
tests_nn_loss_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nn_loss_test_LDADD = $(TEST_LDADD) $(JANSSON_LIBS)
EXTRA_DIST += tests/golden/loss.py tests/golden/loss.json
tests_nn_preprocessor_test_SOURCES = tests/nn/preprocessor_test.c tests/nn/toy.c tests/nn/toy.h
tests_nn_preprocessor_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nn_preprocessor_test_LDADD = $(TEST_LDADD)
tests_nn_classifier_test_SOURCES = tests/nn/classifier_test.c tests/nn/toy.c tests/nn/toy.h tests/nn/toy_model.c tests/nn/toy_model.h
tests_nn_classifier_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nn_classifier_test_LDADD = $(TEST_LDADD)
tests_nn_model_test_SOURCES = tests/nn/model_test.c tests/nn/toy.c tests/nn/toy.h tests/nn/toy_model.c tests/nn/toy_model.h
tests_nn_model_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nn_model_test_LDADD = $(TEST_LDADD)
tests_nn_trace_test_SOURCES = tests/nn/trace_test.c
tests_nn_trace_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nn_trace_test_LDADD = $(TEST_LDADD)

if WITH_CHECK
check_PROGRAMS += tests/nn/init_test
endif
tests_nn_init_test_SOURCES = tests/nn/init_test.c
tests_nn_init_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nn_init_test_LDADD = $(TEST_LDADD)

if WITH_CHECK
check_PROGRAMS += tests/nn/golden_train_test
endif
tests_nn_golden_train_test_SOURCES = tests/nn/golden_train_test.c
tests_nn_golden_train_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nn_golden_train_test_LDADD = tests/train/libmodels.la $(TEST_LDADD) $(JANSSON_LIBS)
SLOW_TESTS += tests/nn/golden_train_test
EXTRA_DIST += tests/golden/streams.py tests/golden/train.py tests/golden/train.json
dist_check_SCRIPTS += tests/nn/configs_test.sh

# Trains doc/examples/gan.c.
if WITH_CHECK
check_PROGRAMS += tests/nn/parts_test
endif
tests_nn_parts_test_SOURCES = tests/nn/parts_test.c tests/golden/gan.inc
tests_nn_parts_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nn_parts_test_LDADD = tests/train/libmodels.la $(TEST_LDADD)
EXTRA_DIST += tests/golden/gan.py
