nobase_pkginclude_HEADERS += src/io/file.h
libmuster_la_SOURCES += src/io/file.c src/io/file.h src/io/hdf5.c src/io/hdf5.h
