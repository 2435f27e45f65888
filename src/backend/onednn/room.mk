if WITH_ONEDNN
noinst_LTLIBRARIES += libmuonednn.la
libmuonednn_la_SOURCES = \
	src/backend/onednn/attr.c \
	src/backend/onednn/backend.c \
	src/backend/onednn/compat.c \
	src/backend/onednn/compat.h \
	src/backend/onednn/conv.c \
	src/backend/onednn/conv.h \
	src/backend/onednn/conv2d.c \
	src/backend/onednn/conv2d_grad_input.c \
	src/backend/onednn/conv2d_grad_weight.c \
	src/backend/onednn/kernel.c \
	src/backend/onednn/layout.c \
	src/backend/onednn/linear.c \
	src/backend/onednn/matmul.c \
	src/backend/onednn/onednn.def \
	src/backend/onednn/onednn.h \
	src/backend/onednn/product.c \
	src/backend/onednn/product.h \
	src/backend/onednn/reorder.c \
	src/backend/onednn/tune.c \
	src/backend/onednn/tune.h \
	src/backend/onednn/winograd.c \
	src/backend/onednn/winograd.h
libmuonednn_la_CPPFLAGS = $(AM_CPPFLAGS) $(ONEDNN_CFLAGS)
libmuonednn_la_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
libmuonednn_la_LIBADD = $(ONEDNN_LIBS)
libmuster_la_LIBADD += libmuonednn.la
endif
