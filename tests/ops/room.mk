# tests/ops
if WITH_CHECK
check_PROGRAMS += tests/ops/edge_test tests/ops/shape_test
endif
tests_ops_edge_test_SOURCES = tests/ops/edge_test.c
tests_ops_edge_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_edge_test_LDADD = $(TEST_LDADD) -lm
tests_ops_shape_test_SOURCES = tests/ops/shape_test.c
tests_ops_shape_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_shape_test_LDADD = $(TEST_LDADD)
# The conformance suite: one list of cases, four programs.
if WITH_CHECK
check_LTLIBRARIES += tests/ops/libsuite.la
check_PROGRAMS += tests/ops/conform_test tests/ops/gradient_test tests/ops/graph_test tests/ops/golden_test
SLOW_TESTS += tests/ops/conform_test tests/ops/gradient_test tests/ops/graph_test tests/ops/golden_test
endif
if WITH_CHECK
check_PROGRAMS += tests/ops/check_test
endif
tests_ops_check_test_SOURCES = tests/ops/check_test.c
tests_ops_check_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_check_test_LDADD = $(TEST_LDADD)
EXTRA_DIST += tests/golden/ops.py tests/golden/ops.json
tests_ops_libsuite_la_SOURCES = tests/ops/suite.c tests/ops/suite.h tests/ops/rules.c tests/ops/run.c \
	tests/ops/program.c tests/ops/program.h tests/ops/oracle.c tests/ops/oracle.h \
	tests/ops/cases/trace.h \
	tests/ops/cases/activation.c tests/ops/cases/binary.c tests/ops/cases/conv.c tests/ops/cases/loss.c \
	tests/ops/cases/matrix.c tests/ops/cases/norm.c tests/ops/cases/other.c tests/ops/cases/pool.c \
	tests/ops/cases/reduce.c tests/ops/cases/shape.c tests/ops/cases/update.c
tests_ops_libsuite_la_CPPFLAGS = $(TEST_CPPFLAGS)
SUITE_LDADD = tests/ops/libsuite.la $(TEST_LDADD)
tests_ops_conform_test_SOURCES = tests/ops/conform_test.c
tests_ops_conform_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_conform_test_LDADD = $(SUITE_LDADD)
tests_ops_gradient_test_SOURCES = tests/ops/gradient_test.c
tests_ops_gradient_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_gradient_test_LDADD = $(SUITE_LDADD)
tests_ops_graph_test_SOURCES = tests/ops/graph_test.c
tests_ops_graph_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_graph_test_LDADD = $(SUITE_LDADD)
tests_ops_golden_test_SOURCES = tests/ops/golden_test.c
tests_ops_golden_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_golden_test_LDADD = $(SUITE_LDADD) $(JANSSON_LIBS)


if WITH_CHECK
if WITH_ONEDNN
check_PROGRAMS += tests/ops/onednn_backend_test tests/ops/onednn_conv_test tests/ops/onednn_product_test
endif
endif
EXTRA_DIST += tests/ops/onednn_run.h
tests_ops_onednn_backend_test_SOURCES = tests/ops/onednn_backend_test.c
tests_ops_onednn_backend_test_CPPFLAGS = $(TEST_CPPFLAGS) $(ONEDNN_CFLAGS)
tests_ops_onednn_backend_test_LDADD = $(TEST_LDADD) $(ONEDNN_LIBS)
tests_ops_onednn_conv_test_SOURCES = tests/ops/onednn_conv_test.c
tests_ops_onednn_conv_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_onednn_conv_test_LDADD = $(TEST_LDADD)
tests_ops_onednn_product_test_SOURCES = tests/ops/onednn_product_test.c
tests_ops_onednn_product_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_onednn_product_test_LDADD = $(TEST_LDADD)

if WITH_CHECK
check_PROGRAMS += tests/ops/simd_elementwise_test tests/ops/simd_rows_test tests/ops/simd_update_test tests/ops/simd_batch_norm_test tests/ops/simd_pool2d_test tests/ops/simd_move_test tests/ops/simd_image_test tests/ops/simd_loss_test
if X86_LEVELS
check_PROGRAMS += tests/ops/winograd_test
endif
endif
tests_ops_winograd_test_SOURCES = tests/ops/winograd_test.c
tests_ops_winograd_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_winograd_test_LDADD = $(TEST_LDADD)
EXTRA_DIST += tests/ops/simd_case.h
tests_ops_simd_loss_test_SOURCES = tests/ops/simd_loss_test.c
tests_ops_simd_loss_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_simd_loss_test_LDADD = $(TEST_LDADD)
tests_ops_simd_image_test_SOURCES = tests/ops/simd_image_test.c
tests_ops_simd_image_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_simd_image_test_LDADD = $(TEST_LDADD)
tests_ops_simd_move_test_SOURCES = tests/ops/simd_move_test.c
tests_ops_simd_move_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_simd_move_test_LDADD = $(TEST_LDADD)
tests_ops_simd_batch_norm_test_SOURCES = tests/ops/simd_batch_norm_test.c
tests_ops_simd_batch_norm_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_simd_batch_norm_test_LDADD = $(TEST_LDADD)
tests_ops_simd_pool2d_test_SOURCES = tests/ops/simd_pool2d_test.c
tests_ops_simd_pool2d_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_simd_pool2d_test_LDADD = $(TEST_LDADD)
tests_ops_simd_update_test_SOURCES = tests/ops/simd_update_test.c
tests_ops_simd_update_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_simd_update_test_LDADD = $(TEST_LDADD)
tests_ops_simd_rows_test_SOURCES = tests/ops/simd_rows_test.c
tests_ops_simd_rows_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_simd_rows_test_LDADD = $(TEST_LDADD)
tests_ops_simd_elementwise_test_SOURCES = tests/ops/simd_elementwise_test.c
tests_ops_simd_elementwise_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_simd_elementwise_test_LDADD = $(TEST_LDADD)

if WITH_CHECK
check_PROGRAMS += tests/ops/element_test
endif
tests_ops_element_test_SOURCES = tests/ops/element_test.c
tests_ops_element_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_element_test_LDADD = $(TEST_LDADD)
