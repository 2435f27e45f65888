nobase_pkginclude_HEADERS += src/core/clock.h src/core/cpus.h src/core/error.h src/core/hash.h src/core/log.h src/core/mem.h \
	src/core/mt19937.h src/core/philox.h src/core/pool.h src/core/tensor.h src/core/text.h src/core/type.h src/core/uuid.h
libmuster_la_SOURCES += src/core/cache.c src/core/cache.h src/core/clock.c src/core/cpus.c src/core/error.c src/core/log.c src/core/mem.c src/core/mt19937.c \
	src/core/philox.c src/core/pool.c src/core/tensor.c src/core/text.c src/core/type.c src/core/uuid.c
