nobase_pkginclude_HEADERS += src/backend.h
libmuster_la_SOURCES += src/backend/backend.c src/backend/host.c src/backend/host.h src/backend/kernel.c src/backend/ranks.c src/backend/ranks.h
