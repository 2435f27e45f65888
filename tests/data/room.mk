if WITH_CHECK
check_PROGRAMS += tests/data/dataset_test tests/data/elastic_test tests/data/h5_dataset_test tests/data/image_test tests/data/loader_test tests/data/sample_test \
	tests/data/sampler_test tests/data/transform_test tests/data/color_test tests/data/pipeline_test
endif
tests_data_image_test_SOURCES = tests/data/image_test.c tests/data/encode.h
tests_data_image_test_CPPFLAGS = $(TEST_CPPFLAGS) -I$(top_srcdir)/tests/data
tests_data_image_test_LDADD = $(TEST_LDADD) $(JPEG_LIBS) $(PNG_LIBS)
tests_data_dataset_test_SOURCES = tests/data/dataset_test.c tests/data/toy_set.h
tests_data_dataset_test_CPPFLAGS = $(TEST_CPPFLAGS) -I$(top_srcdir)/tests/data
tests_data_dataset_test_LDADD = $(TEST_LDADD)
tests_data_elastic_test_SOURCES = tests/data/elastic_test.c tests/data/toy_set.h
tests_data_elastic_test_CPPFLAGS = $(TEST_CPPFLAGS) -I$(top_srcdir)/tests/data
tests_data_elastic_test_LDADD = $(TEST_LDADD)
tests_data_loader_test_SOURCES = tests/data/loader_test.c tests/data/toy_set.h
tests_data_loader_test_CPPFLAGS = $(TEST_CPPFLAGS) -I$(top_srcdir)/tests/data
tests_data_loader_test_LDADD = $(TEST_LDADD)
tests_data_sample_test_SOURCES = tests/data/sample_test.c
tests_data_sample_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_data_sample_test_LDADD = $(TEST_LDADD)
tests_data_sampler_test_SOURCES = tests/data/sampler_test.c tests/golden/sampler.inc
tests_data_sampler_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_data_sampler_test_LDADD = $(TEST_LDADD)
tests_data_h5_dataset_test_SOURCES = tests/data/h5_dataset_test.c
tests_data_h5_dataset_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_data_h5_dataset_test_LDADD = $(TEST_LDADD) $(HDF5_LIBS)
tests_data_color_test_SOURCES = tests/data/color_test.c tests/data/transformed.h
tests_data_color_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_data_color_test_LDADD = $(TEST_LDADD)
tests_data_pipeline_test_SOURCES = tests/data/pipeline_test.c tests/data/transformed.h
tests_data_pipeline_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_data_pipeline_test_LDADD = $(TEST_LDADD)
tests_data_transform_test_SOURCES = tests/data/transform_test.c tests/data/transformed.h tests/golden/transform.inc
tests_data_transform_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_data_transform_test_LDADD = $(TEST_LDADD)
EXTRA_DIST += tests/golden/sampler.py tests/golden/transform.py
EXTRA_DIST += data/digits/README.md data/digits/digits.csv.gz
dist_check_SCRIPTS += tests/data/data_test.sh
