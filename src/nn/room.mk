nobase_pkginclude_HEADERS += src/nn/head.h src/nn/init.h src/nn/layer.h src/nn/layers.h src/nn/model.h src/nn/module.h src/nn/preprocessor.h src/nn/trace.h
libmuster_la_SOURCES += src/nn/layer.c src/nn/layers.c src/nn/layers_impl.h src/nn/module.c src/nn/module_impl.h src/nn/trace.c \
	src/nn/trace_impl.h
