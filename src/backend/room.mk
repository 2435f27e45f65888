nobase_pkginclude_HEADERS += src/backend.h src/backend/device.h
libmuster_la_SOURCES += \
	src/backend/alike.c src/backend/alike.h \
	src/backend/backend.c \
	src/backend/choices.c src/backend/choices.h \
	src/backend/device.c src/backend/device.h \
	src/backend/extents.h \
	src/backend/fallback.c src/backend/fallback.h \
	src/backend/feed.c src/backend/feed.h \
	src/backend/holders.c src/backend/holders.h \
	src/backend/host.c src/backend/host.h \
	src/backend/kernel.c \
	src/backend/lanes.c src/backend/lanes.h \
	src/backend/orders.c src/backend/orders.h \
	src/backend/ranks.c src/backend/ranks.h \
	src/backend/readback.c src/backend/readback.h \
	src/backend/repeat.c src/backend/repeat.h \
	src/backend/trial.c src/backend/trial.h
