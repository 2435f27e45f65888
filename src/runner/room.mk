nobase_pkginclude_HEADERS += src/runner/check.h
libmuster_la_SOURCES += src/runner/check.c
