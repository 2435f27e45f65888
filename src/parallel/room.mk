nobase_pkginclude_HEADERS += src/parallel/courier.h src/parallel/parallel.h
libmuster_la_SOURCES += src/parallel/bucket.c src/parallel/bucket.h src/parallel/courier.c src/parallel/courier_device.c src/parallel/courier_impl.h src/parallel/courier_thread.c src/parallel/ddp.c src/parallel/fsdp.c src/parallel/parallel.c src/parallel/separate.c src/parallel/sums.c src/parallel/sums.h
