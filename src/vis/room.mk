nobase_pkginclude_HEADERS += src/vis/plot.h src/vis/scalars.h
libmuster_la_SOURCES += src/vis/scalars.c src/vis/scalars.h src/vis/scalars_file.c src/vis/scalars_lines.c \
	src/vis/scalars_read.c src/vis/scalars_store.h src/vis/scalars_writer.c
if WITH_CAIRO
libmuster_la_SOURCES += src/vis/canvas.c src/vis/canvas.h src/vis/plot.c src/vis/plot_confusion.c src/vis/ticks.c src/vis/ticks.h
else
libmuster_la_SOURCES += src/vis/plot_none.c
endif
libmuster_la_LIBADD += $(CAIRO_LIBS)
