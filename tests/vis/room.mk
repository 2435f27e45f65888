if WITH_CHECK
check_PROGRAMS += tests/vis/scalars_test
endif
tests_vis_scalars_test_SOURCES = tests/vis/scalars_test.c
tests_vis_scalars_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_vis_scalars_test_LDADD = $(TEST_LDADD) $(HDF5_LIBS)
