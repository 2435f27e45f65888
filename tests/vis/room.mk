if WITH_CHECK
check_PROGRAMS += tests/vis/scalars_test
endif
tests_vis_scalars_test_SOURCES = tests/vis/scalars_test.c
tests_vis_scalars_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_vis_scalars_test_LDADD = $(TEST_LDADD) $(HDF5_LIBS)
if WITH_CHECK
check_PROGRAMS += tests/vis/plot_test
endif
tests_vis_plot_test_SOURCES = tests/vis/plot_test.c
tests_vis_plot_test_CPPFLAGS = $(TEST_CPPFLAGS) $(CAIRO_CFLAGS)
tests_vis_plot_test_LDADD = $(TEST_LDADD) $(CAIRO_LIBS)
dist_check_SCRIPTS += tests/vis/plot_cli_test.sh
