nobase_pkginclude_HEADERS += src/runner/check.h src/runner/hook.h src/runner/message_hub.h src/runner/run_log.h src/runner/signals.h \
	src/runner/work_dir.h
libmuster_la_SOURCES += src/runner/check.c
libmuster_la_SOURCES += src/runner/history.c src/runner/history.h
libmuster_la_SOURCES += src/runner/hook.c
libmuster_la_SOURCES += src/runner/message_hub.c
libmuster_la_SOURCES += src/runner/run_log.c
libmuster_la_SOURCES += src/runner/signals.c
libmuster_la_SOURCES += src/runner/work_dir.c
