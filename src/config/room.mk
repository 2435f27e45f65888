# src/config
nobase_pkginclude_HEADERS += src/config/collect.h src/config/config.h src/config/diagnostic.h src/config/value.h
libmuster_la_SOURCES += src/config/builder.c src/config/collect.c src/config/config.c src/config/diagnostic.c src/config/diff.c src/config/diff.h \
	src/config/dump.c src/config/file.c src/config/file.h src/config/json_read.c src/config/literal.c src/config/literal.h \
	src/config/load.c src/config/load.h src/config/merge.c src/config/merge.h src/config/override.c src/config/override.h \
	src/config/reader.h src/config/scalar.c src/config/scalar.h src/config/value.c src/config/variables.c \
	src/config/variables.h src/config/yaml_read.c
