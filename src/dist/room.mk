nobase_pkginclude_HEADERS += src/dist/binding.h src/dist/collect.h src/dist/collective.h \
	src/dist/comm.h src/dist/delay.h src/dist/hierarchy.h src/dist/launch.h
libmuster_la_SOURCES += src/dist/agree.c src/dist/blobs.c src/dist/check.c src/dist/check.h src/dist/collect.c src/dist/comm.c \
	src/dist/delay.c src/dist/dict.c src/dist/doing.h src/dist/hierarchy.c src/dist/host.c src/dist/host.h src/dist/launch.c src/dist/params.c src/dist/reduce.c \
	src/dist/reduce.h src/dist/self.c
libmuster_la_SOURCES += src/dist/binding.c src/dist/binding_map.c src/dist/machine.c
nobase_pkginclude_HEADERS += src/dist/probe.h
libmuster_la_SOURCES += src/dist/probe.c
nobase_pkginclude_HEADERS += src/dist/watch.h
libmuster_la_SOURCES += src/dist/board.c src/dist/board.h src/dist/verdict.c src/dist/verdict.h src/dist/watch.c
