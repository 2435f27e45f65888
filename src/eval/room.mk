nobase_pkginclude_HEADERS += src/eval/dump.h src/eval/evaluator.h src/eval/metric.h
