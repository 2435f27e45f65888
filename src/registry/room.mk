nobase_pkginclude_HEADERS += src/registry/option.h src/registry/registry.h
libmuster_la_SOURCES += src/registry/build.c src/registry/builtin.c src/registry/builtin.def src/registry/describe.c \
	src/registry/kinds.c src/registry/option.c src/registry/plugin.c src/registry/registry.c src/registry/state.h \
	src/registry/traverse.c
