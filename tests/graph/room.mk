if WITH_CHECK
check_PROGRAMS += tests/graph/offsets_test tests/graph/params_test tests/graph/autodiff_test tests/graph/plan_test
endif
GRAPH_TOYS = tests/graph/toys.c tests/graph/toys.h tests/graph/blocked.c tests/graph/blocked.h
tests_graph_offsets_test_SOURCES = tests/graph/offsets_test.c
tests_graph_offsets_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_graph_offsets_test_LDADD = $(TEST_LDADD)
tests_graph_params_test_SOURCES = tests/graph/params_test.c $(GRAPH_TOYS)
tests_graph_params_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_graph_params_test_LDADD = $(TEST_LDADD)
tests_graph_autodiff_test_SOURCES = tests/graph/autodiff_test.c $(GRAPH_TOYS)
tests_graph_autodiff_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_graph_autodiff_test_LDADD = $(TEST_LDADD)
tests_graph_plan_test_SOURCES = tests/graph/plan_test.c $(GRAPH_TOYS)
tests_graph_plan_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_graph_plan_test_LDADD = $(TEST_LDADD)
