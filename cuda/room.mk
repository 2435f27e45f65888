# The CUDA backend. C sources go to libmucuda_la_SOURCES, those of kernels (C++17, no library of C++) to CUDA_SOURCES.
CUDA_SOURCES = \
	cuda/argmax.cu \
	cuda/avg_pool2d.cu \
	cuda/batch_norm.cu \
	cuda/batch_norm_inference.cu \
	cuda/broadcast_to.cu \
	cuda/cast.cu \
	cuda/chain.cu \
	cuda/conv_own.cu \
	cuda/copy.cu \
	cuda/cross_entropy.cu \
	cuda/dropout.cu \
	cuda/elementwise.cu \
	cuda/embedding.cu \
	cuda/gather.cu \
	cuda/group_norm.cu \
	cuda/layer_norm.cu \
	cuda/loss.cu \
	cuda/mail.cu \
	cuda/max.cu \
	cuda/max_pool2d.cu \
	cuda/normalize.cu \
	cuda/pad.cu \
	cuda/prelu.cu \
	cuda/reduce.cu \
	cuda/reorder.cu \
	cuda/resize.cu \
	cuda/softmax.cu \
	cuda/square_sum.cu \
	cuda/sync_batch_norm.cu \
	cuda/topk.cu \
	cuda/update.cu \
	cuda/update_control.cu
EXTRA_DIST += cuda/nvcc.sh

if CUDA_EMULATED
CUDA_COMPILE = $(CXX) -x c++ $(MU_CXXFLAGS) -fno-exceptions -fno-rtti -fno-threadsafe-statics -O1 -g $(CXXFLAGS)
else
CUDA_COMPILE = $(SHELL) $(top_srcdir)/cuda/nvcc.sh $(NVCC) -std=c++17 -O3 $(NVCC_ARCH) $(NVCC_FLAGS) \
	--compiler-options -Wall,-Wextra,-fno-exceptions,-fno-threadsafe-statics
endif

# libtool does not know the suffix, but takes any compiler that understands gcc's -c and -o.
SUFFIXES = .cu
.cu.lo:
	$(AM_V_at)$(MKDIR_P) $(@D)
	$(AM_V_CC)$(LIBTOOL) $(AM_V_lt) --tag=CC $(AM_LIBTOOLFLAGS) --mode=compile $(CUDA_COMPILE) $(DEFS) -I. $(CUDA_CPPFLAGS) \
		-I$(top_srcdir)/src -MMD -MP -MF $*.d -MT $@ -c -o $@ $<

if WITH_CUDA
noinst_LTLIBRARIES += libmucuda.la libmucudakernels.la
libmucuda_la_SOURCES = \
	cuda/activation.c \
	cuda/activation.h \
	cuda/backend.c \
	cuda/batch_norm.cuh \
	cuda/channels.cuh \
	cuda/comm.c \
	cuda/comm.h \
	cuda/concat.c \
	cuda/conv.c \
	cuda/conv.h \
	cuda/conv2d.c \
	cuda/conv2d_grad_input.c \
	cuda/conv2d_grad_weight.c \
	cuda/conv_choice.c \
	cuda/conv_graph.c \
	cuda/conv_graph.h \
	cuda/copy.h \
	cuda/cuda.def \
	cuda/cuda.h \
	cuda/device.cuh \
	cuda/devices.c \
	cuda/dnn.c \
	cuda/dnn.h \
	cuda/element.cuh \
	cuda/error.c \
	cuda/flat.cuh \
	cuda/lane.c \
	cuda/layout.c \
	cuda/linear.c \
	cuda/matmul.c \
	cuda/memory.c \
	cuda/order.cuh \
	cuda/pool2d.cuh \
	cuda/product.c \
	cuda/product.h \
	cuda/record.c \
	cuda/reduce.cuh \
	cuda/slice.c \
	cuda/table.c \
	cuda/transpose.c \
	cuda/tune.c \
	cuda/tune.h
libmucuda_la_CPPFLAGS = $(CUDA_CPPFLAGS) $(AM_CPPFLAGS)
libmucuda_la_LIBADD = libmucudakernels.la
libmucudakernels_la_SOURCES = $(CUDA_SOURCES)
libmuster_la_LIBADD += libmucuda.la $(CUDA_LIBS)
CLEANFILES += $(CUDA_SOURCES:.cu=.d)
-include $(CUDA_SOURCES:.cu=.d)
endif
