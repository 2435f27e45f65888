nobase_pkginclude_HEADERS += src/io/file.h src/io/tensor_file.h
libmuster_la_SOURCES += src/io/disk.c src/io/disk.h src/io/file.c src/io/file.h src/io/hdf5.c src/io/hdf5.h src/io/scratch.c src/io/scratch.h \
	src/io/tensor_file.c src/io/tensor_file.h src/io/tensor_file_impl.h src/io/tensor_format.c src/io/tensor_format.h src/io/tensor_late.c src/io/tensor_layout.c \
	src/io/tensor_shards.c src/io/tensor_snapshot.c src/io/tensor_snapshot.h src/io/tensor_structure.c src/io/tensor_tree.c \
	src/io/tensor_tree.h src/io/tensor_write.c src/io/tensor_writer.c src/io/tensor_writer.h
nobase_pkginclude_HEADERS += src/io/image.h
libmuster_la_SOURCES += src/io/image.c src/io/image.h src/io/image_codec.h src/io/image_exif.c
if WITH_JPEG
libmuster_la_SOURCES += src/io/image_jpeg.c
endif
if WITH_PNG
libmuster_la_SOURCES += src/io/image_png.c
endif
