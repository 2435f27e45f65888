nobase_pkginclude_HEADERS += src/vis/plot.h src/vis/scalars.h
libmuster_la_SOURCES += src/vis/scalars.c src/vis/scalars.h src/vis/scalars_file.c src/vis/scalars_lines.c \
	src/vis/scalars_read.c src/vis/scalars_store.h src/vis/scalars_writer.c
