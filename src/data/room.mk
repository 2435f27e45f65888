nobase_pkginclude_HEADERS += src/data/sampler.h
libmuster_la_SOURCES += src/data/sampler.c src/data/sampler.h
