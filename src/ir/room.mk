nobase_pkginclude_HEADERS += src/ir/op.h src/ir/graph.h
libmuster_la_SOURCES += src/ir/attrs.c src/ir/call.c src/ir/graph.c
