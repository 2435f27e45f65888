nobase_pkginclude_HEADERS += src/data/csv.h src/data/idx.h src/data/sample.h src/data/sampler.h \
	src/data/transform.h
libmuster_la_SOURCES += src/data/csv.c src/data/csv.h src/data/idx.c src/data/idx.h src/data/sampler.c src/data/sampler.h \
	src/data/sample.c src/data/sample.h src/data/transform.c src/data/transform.h
libmuster_la_SOURCES += src/data/transforms/compose.c
nobase_pkginclude_HEADERS += src/data/h5_dataset.h
libmuster_la_SOURCES += src/data/h5_dataset.c src/data/h5_format.c src/data/h5_format.h src/data/h5_writer.c
