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
check_PROGRAMS += tests/ops/simd_elementwise_test tests/ops/simd_rows_test tests/ops/simd_update_test tests/ops/simd_batch_norm_test tests/ops/simd_pool2d_test
if X86_LEVELS
check_PROGRAMS += tests/ops/winograd_test
endif
endif
tests_ops_winograd_test_SOURCES = tests/ops/winograd_test.c
tests_ops_winograd_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ops_winograd_test_LDADD = $(TEST_LDADD)
EXTRA_DIST += tests/ops/simd_case.h
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
