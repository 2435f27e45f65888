# tests/config
if WITH_CHECK
check_PROGRAMS += tests/config/value_test tests/config/diagnostic_test tests/config/yaml_test tests/config/json_test \
	tests/config/config_test tests/config/override_test tests/config/dump_test
endif
SLOW_TESTS += tests/config/config_test tests/config/yaml_test
tests_config_value_test_SOURCES = tests/config/value_test.c
tests_config_value_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_config_value_test_LDADD = $(TEST_LDADD)
tests_config_diagnostic_test_SOURCES = tests/config/diagnostic_test.c
tests_config_diagnostic_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_config_diagnostic_test_LDADD = $(TEST_LDADD)
tests_config_yaml_test_SOURCES = tests/config/yaml_test.c tests/config/parse.h
tests_config_yaml_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_config_yaml_test_LDADD = $(TEST_LDADD)
tests_config_json_test_SOURCES = tests/config/json_test.c tests/config/parse.h
tests_config_json_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_config_json_test_LDADD = $(TEST_LDADD)
tests_config_config_test_SOURCES = tests/config/config_test.c tests/config/parse.h
tests_config_config_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_config_config_test_LDADD = $(TEST_LDADD)
tests_config_override_test_SOURCES = tests/config/override_test.c tests/config/parse.h
tests_config_override_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_config_override_test_LDADD = $(TEST_LDADD)
tests_config_dump_test_SOURCES = tests/config/dump_test.c tests/config/parse.h
tests_config_dump_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_config_dump_test_LDADD = $(TEST_LDADD)
