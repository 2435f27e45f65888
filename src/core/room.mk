nobase_pkginclude_HEADERS += src/core/error.h src/core/mem.h src/core/type.h src/core/hash.h
libmuster_la_SOURCES += src/core/error.c src/core/mem.c src/core/type.c
