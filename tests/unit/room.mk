if WITH_CHECK
check_PROGRAMS += tests/unit/error_test tests/unit/log_test tests/unit/mem_test tests/unit/pool_test \
	tests/unit/rng_test tests/unit/text_test tests/unit/type_test tests/unit/registry_test tests/unit/plugin_test \
	tests/unit/build_test tests/unit/runner_check_test tests/unit/binding_test tests/unit/preflight_test
endif
tests_unit_error_test_SOURCES = tests/unit/error_test.c
tests_unit_error_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_error_test_LDADD = $(TEST_LDADD)
tests_unit_log_test_SOURCES = tests/unit/log_test.c
tests_unit_log_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_log_test_LDADD = $(TEST_LDADD)
tests_unit_mem_test_SOURCES = tests/unit/mem_test.c
tests_unit_mem_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_mem_test_LDADD = $(TEST_LDADD)
tests_unit_pool_test_SOURCES = tests/unit/pool_test.c
tests_unit_pool_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_pool_test_LDADD = $(TEST_LDADD)
tests_unit_rng_test_SOURCES = tests/unit/rng_test.c tests/golden/randperm.inc
tests_unit_rng_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_rng_test_LDADD = $(TEST_LDADD)
tests_unit_text_test_SOURCES = tests/unit/text_test.c
tests_unit_text_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_text_test_LDADD = $(TEST_LDADD)
tests_unit_type_test_SOURCES = tests/unit/type_test.c
tests_unit_type_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_type_test_LDADD = $(TEST_LDADD)
EXTRA_DIST += tests/golden/randperm.py

tests_unit_registry_test_SOURCES = tests/unit/registry_test.c
tests_unit_registry_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_registry_test_LDADD = $(TEST_LDADD)
tests_unit_plugin_test_SOURCES = tests/unit/plugin_test.c
tests_unit_plugin_test_CPPFLAGS = $(TEST_CPPFLAGS) -DMU_TEST_BUILDDIR='"$(abs_top_builddir)/tests"'
tests_unit_plugin_test_LDADD = $(TEST_LDADD)
tests_unit_build_test_SOURCES = tests/unit/build_test.c
tests_unit_build_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_build_test_LDADD = $(TEST_LDADD)
tests_unit_runner_check_test_SOURCES = tests/unit/runner_check_test.c
tests_unit_runner_check_test_CPPFLAGS = $(TEST_CPPFLAGS) -DMU_TEST_BUILDDIR='"$(abs_top_builddir)/tests"'
tests_unit_runner_check_test_LDADD = $(TEST_LDADD)
dist_check_SCRIPTS += tests/unit/cli_test.sh
EXTRA_DIST += tests/unit/cli/base.yaml tests/unit/cli/mistakes.err tests/unit/cli/mistakes.yaml tests/unit/cli/sound.yaml

# Plug-ins for tests: one that works, and one for each way of not working. They take the library from the program.
check_LTLIBRARIES += tests/unit/demo_plugin.la tests/unit/version_plugin.la tests/unit/nosymbol_plugin.la \
	tests/unit/undefined_plugin.la tests/unit/failing_plugin.la tests/unit/silent_plugin.la
PLUGIN_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
tests_unit_demo_plugin_la_SOURCES = tests/unit/plugins/demo.c
tests_unit_demo_plugin_la_LDFLAGS = $(PLUGIN_LDFLAGS)
tests_unit_version_plugin_la_SOURCES = tests/unit/plugins/bad.c
tests_unit_version_plugin_la_CPPFLAGS = $(AM_CPPFLAGS) -DBAD=1
tests_unit_version_plugin_la_LDFLAGS = $(PLUGIN_LDFLAGS)
tests_unit_nosymbol_plugin_la_SOURCES = tests/unit/plugins/bad.c
tests_unit_nosymbol_plugin_la_CPPFLAGS = $(AM_CPPFLAGS) -DBAD=2
tests_unit_nosymbol_plugin_la_LDFLAGS = $(PLUGIN_LDFLAGS)
tests_unit_undefined_plugin_la_SOURCES = tests/unit/plugins/bad.c
tests_unit_undefined_plugin_la_CPPFLAGS = $(AM_CPPFLAGS) -DBAD=3
tests_unit_undefined_plugin_la_LDFLAGS = $(PLUGIN_LDFLAGS)
tests_unit_failing_plugin_la_SOURCES = tests/unit/plugins/bad.c
tests_unit_failing_plugin_la_CPPFLAGS = $(AM_CPPFLAGS) -DBAD=4
tests_unit_failing_plugin_la_LDFLAGS = $(PLUGIN_LDFLAGS)
tests_unit_silent_plugin_la_SOURCES = tests/unit/plugins/bad.c
tests_unit_silent_plugin_la_CPPFLAGS = $(AM_CPPFLAGS) -DBAD=5
tests_unit_silent_plugin_la_LDFLAGS = $(PLUGIN_LDFLAGS)

if WITH_CHECK
check_PROGRAMS += tests/unit/ir_test
endif
tests_unit_ir_test_SOURCES = tests/unit/ir_test.c
tests_unit_ir_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_ir_test_LDADD = $(TEST_LDADD)

if WITH_CHECK
check_PROGRAMS += tests/unit/optim_test
endif
tests_unit_optim_test_SOURCES = tests/unit/optim_test.c tests/golden/optim.inc
tests_unit_optim_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_optim_test_LDADD = $(TEST_LDADD)
EXTRA_DIST += tests/golden/optim.py
EXTRA_PROGRAMS += tests/unit/make_images
if WITH_JPEG
check_DATA += tests/unit/make_images
endif
CLEANFILES += tests/unit/make_images
tests_unit_make_images_SOURCES = tests/unit/make_images.c tests/data/encode.h
tests_unit_make_images_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/data
tests_unit_make_images_LDADD = $(JPEG_LIBS) $(PNG_LIBS)
dist_check_SCRIPTS += tests/unit/cli_check_test.sh
dist_check_SCRIPTS += tests/unit/cli_predict_test.sh
tests_unit_binding_test_SOURCES = tests/unit/binding_test.c
tests_unit_binding_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_binding_test_LDADD = $(TEST_LDADD)
tests_unit_preflight_test_SOURCES = tests/unit/preflight_test.c src/cli/preflight_judge.c
tests_unit_preflight_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_preflight_test_LDADD = $(TEST_LDADD)
