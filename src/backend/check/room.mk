# The distrustful backend around another one.
libmuster_la_SOURCES += src/backend/check/check.c src/backend/check/check.h \
	src/backend/check/compare.c src/backend/check/compare.h
