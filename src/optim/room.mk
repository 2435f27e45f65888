nobase_pkginclude_HEADERS += src/optim/optim.h
libmuster_la_SOURCES += src/optim/optim.c src/optim/optim.h src/optim/adam.c src/optim/sgd.c
