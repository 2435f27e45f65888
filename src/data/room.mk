nobase_pkginclude_HEADERS += src/data/batch.h src/data/csv.h src/data/dataset.h src/data/idx.h src/data/loader.h \
	src/data/sample.h src/data/sampler.h src/data/transform.h
libmuster_la_SOURCES += src/data/csv.c src/data/csv.h src/data/idx.c src/data/idx.h src/data/sampler.c src/data/sampler.h \
	src/data/pixels.c src/data/pixels.h src/data/resample.c src/data/resample.h src/data/sample.c src/data/sample.h \
	src/data/transform.c src/data/transform.h
libmuster_la_SOURCES += src/data/transforms/center_crop.c src/data/transforms/color_jitter.c src/data/transforms/compose.c \
	src/data/transforms/decode_image.c src/data/transforms/decode_image.h src/data/transforms/load_image_from_file.c \
	src/data/transforms/normalize.c src/data/transforms/pad.c src/data/transforms/random_crop.c \
	src/data/transforms/random_flip.c src/data/transforms/random_resized_crop.c src/data/transforms/resize.c \
	src/data/transforms/resize_edge.c src/data/transforms/size.h
libmuster_la_SOURCES += src/data/batch.c src/data/batch.h src/data/collate.c src/data/dataset.c src/data/dataset.h
libmuster_la_SOURCES += src/data/concat_dataset.c src/data/hdf5_dataset.c src/data/loader.c src/data/loader.h \
	src/data/repeat_dataset.c
nobase_pkginclude_HEADERS += src/data/h5_dataset.h
libmuster_la_SOURCES += src/data/h5_dataset.c src/data/h5_format.c src/data/h5_format.h src/data/h5_writer.c
