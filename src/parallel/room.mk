nobase_pkginclude_HEADERS += src/parallel/courier.h src/parallel/parallel.h
