nobase_pkginclude_HEADERS += src/io/file.h
libmuster_la_SOURCES += src/io/file.c src/io/file.h
if WITH_HDF5
libmuster_la_SOURCES += src/io/hdf5.c src/io/hdf5.h
endif
