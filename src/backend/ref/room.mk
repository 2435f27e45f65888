# Kernels are compiled twice: in float, and in double with REF_F64.
REF_KERNELS = src/backend/ref/ref.h src/backend/ref/ref.def src/backend/ref/activation.h src/backend/ref/element.h \
	src/backend/ref/index.h src/backend/ref/norm.h src/backend/ref/pool2d.h src/backend/ref/scalar.h \
	src/backend/ref/softmax.h src/backend/ref/update.h \
	src/backend/ref/adam.c \
	src/backend/ref/adaptive_avg_pool2d.c \
	src/backend/ref/adaptive_max_pool2d.c \
	src/backend/ref/argmax.c \
	src/backend/ref/avg_pool2d.c \
	src/backend/ref/batch_norm.c \
	src/backend/ref/batch_norm_inference.c \
	src/backend/ref/binary.c \
	src/backend/ref/broadcast_to.c \
	src/backend/ref/cast.c \
	src/backend/ref/chain.c \
	src/backend/ref/concat.c \
	src/backend/ref/conv2d.c \
	src/backend/ref/cross_entropy.c \
	src/backend/ref/dropout.c \
	src/backend/ref/embedding.c \
	src/backend/ref/gather.c \
	src/backend/ref/group_norm.c \
	src/backend/ref/host.c \
	src/backend/ref/layer_norm.c \
	src/backend/ref/linear.c \
	src/backend/ref/loss.c \
	src/backend/ref/matmul.c \
	src/backend/ref/max_pool2d.c \
	src/backend/ref/normalize.c \
	src/backend/ref/pad.c \
	src/backend/ref/prelu.c \
	src/backend/ref/reduce.c \
	src/backend/ref/resize.c \
	src/backend/ref/sgd.c \
	src/backend/ref/slice.c \
	src/backend/ref/softmax.c \
	src/backend/ref/square_sum.c \
	src/backend/ref/topk.c \
	src/backend/ref/transpose.c \
	src/backend/ref/update_control.c \
	src/backend/ref/unary.c \
	src/backend/ref/where.c

noinst_LTLIBRARIES += libref32.la libref64.la
libref32_la_SOURCES = $(REF_KERNELS)
libref64_la_SOURCES = $(REF_KERNELS)
libref32_la_CPPFLAGS = $(AM_CPPFLAGS)
libref64_la_CPPFLAGS = $(AM_CPPFLAGS) -DREF_F64
libmuster_la_SOURCES += src/backend/ref/ref.c
libmuster_la_LIBADD += libref32.la libref64.la
