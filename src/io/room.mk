nobase_pkginclude_HEADERS += src/io/file.h src/io/tensor_file.h
libmuster_la_SOURCES += src/io/file.c src/io/file.h src/io/hdf5.c src/io/hdf5.h src/io/scratch.c src/io/scratch.h \
	src/io/tensor_file.c src/io/tensor_file.h src/io/tensor_format.c src/io/tensor_format.h src/io/tensor_tree.c \
	src/io/tensor_tree.h src/io/tensor_writer.c
