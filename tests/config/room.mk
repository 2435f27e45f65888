# tests/config
if WITH_CHECK
check_PROGRAMS += tests/config/value_test tests/config/diagnostic_test tests/config/yaml_test tests/config/json_test
endif
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
