nobase_pkginclude_HEADERS += src/vis/plot.h src/vis/scalars.h
