# src/config
nobase_pkginclude_HEADERS += src/config/config.h src/config/diagnostic.h src/config/value.h
libmuster_la_SOURCES += src/config/diagnostic.c src/config/value.c
