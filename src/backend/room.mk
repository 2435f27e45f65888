nobase_pkginclude_HEADERS += src/backend.h
libmuster_la_SOURCES += src/backend/alike.c src/backend/alike.h src/backend/backend.c src/backend/choices.c src/backend/choices.h src/backend/fallback.c src/backend/fallback.h src/backend/host.c src/backend/host.h src/backend/kernel.c src/backend/ranks.c src/backend/ranks.h
