nobase_pkginclude_HEADERS += src/ops/ops.h src/ops/ops.def
libmuster_la_SOURCES += src/ops/ops.c \
	src/ops/operand.c src/ops/operand.h \
	src/ops/pool2d.c src/ops/pool2d.h \
	src/ops/reduce.c src/ops/reduce.h \
	src/ops/unary.c src/ops/unary.h \
	src/ops/adaptive_avg_pool2d.c \
	src/ops/adaptive_max_pool2d.c \
	src/ops/avg_pool2d.c \
	src/ops/batch_norm.c \
	src/ops/broadcast_to.c \
	src/ops/cast.c \
	src/ops/conv2d.c \
	src/ops/conv_transpose2d.c \
	src/ops/linear.c \
	src/ops/matmul.c \
	src/ops/max_pool2d.c \
	src/ops/relu.c \
	src/ops/reshape.c \
	src/ops/sum.c
