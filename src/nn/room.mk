nobase_pkginclude_HEADERS += src/nn/head.h src/nn/init.h src/nn/layer.h src/nn/layers.h src/nn/model.h src/nn/module.h src/nn/preprocessor.h src/nn/trace.h
