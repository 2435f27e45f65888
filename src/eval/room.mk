nobase_pkginclude_HEADERS += src/eval/dump.h src/eval/evaluator.h src/eval/metric.h
libmuster_la_SOURCES += src/eval/evaluator.c src/eval/evaluator.h src/eval/metric.c src/eval/metric.h src/eval/results.c \
	src/eval/metrics/accuracy.c src/eval/metrics/class_pair.c src/eval/metrics/class_pair.h \
	src/eval/dump.c src/eval/dump.h src/eval/metrics/confusion_matrix.c src/eval/metrics/dump_results.c src/eval/metrics/single_label_metric.c
