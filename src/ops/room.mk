nobase_pkginclude_HEADERS += src/ops/ops.h src/ops/ops.def
libmuster_la_SOURCES += src/ops/ops.c \
	src/ops/binary.c src/ops/binary.h \
	src/ops/loss.c src/ops/loss.h \
	src/ops/norm.c src/ops/norm.h \
	src/ops/operand.c src/ops/operand.h \
	src/ops/pool2d.c src/ops/pool2d.h \
	src/ops/reduce.c src/ops/reduce.h \
	src/ops/unary.c src/ops/unary.h \
	src/ops/update.c src/ops/update.h \
	src/ops/abs.c \
	src/ops/adam.c \
	src/ops/adaptive_avg_pool2d.c \
	src/ops/adaptive_max_pool2d.c \
	src/ops/add.c \
	src/ops/argmax.c \
	src/ops/avg_pool2d.c \
	src/ops/batch_norm.c \
	src/ops/batch_norm_inference.c \
	src/ops/bce_with_logits.c \
	src/ops/broadcast_to.c \
	src/ops/cast.c \
	src/ops/chain.c \
	src/ops/clamp.c \
	src/ops/compare.c \
	src/ops/concat.c \
	src/ops/conv2d.c \
	src/ops/conv_transpose2d.c \
	src/ops/cross_entropy.c \
	src/ops/div.c \
	src/ops/dropout.c \
	src/ops/embedding.c \
	src/ops/exp.c \
	src/ops/focal_loss.c \
	src/ops/gather.c \
	src/ops/gelu.c \
	src/ops/group_norm.c \
	src/ops/hard_sigmoid.c \
	src/ops/hard_swish.c \
	src/ops/host.c \
	src/ops/kl_div.c \
	src/ops/l1_loss.c \
	src/ops/layer_norm.c \
	src/ops/leaky_relu.c \
	src/ops/linear.c \
	src/ops/log.c \
	src/ops/log_softmax.c \
	src/ops/matmul.c \
	src/ops/max.c \
	src/ops/max_pool2d.c \
	src/ops/maximum.c \
	src/ops/mean.c \
	src/ops/min.c \
	src/ops/minimum.c \
	src/ops/mse_loss.c \
	src/ops/mul.c \
	src/ops/neg.c \
	src/ops/normalize.c \
	src/ops/pad.c src/ops/pad.h \
	src/ops/power.c \
	src/ops/prelu.c \
	src/ops/relu.c \
	src/ops/relu6.c \
	src/ops/reshape.c \
	src/ops/resize.c src/ops/resize.h \
	src/ops/sgd.c \
	src/ops/sigmoid.c \
	src/ops/silu.c \
	src/ops/slice.c \
	src/ops/smooth_l1_loss.c \
	src/ops/softmax.c src/ops/softmax.h \
	src/ops/split.c \
	src/ops/sqrt.c \
	src/ops/square_sum.c \
	src/ops/sub.c \
	src/ops/sum.c \
	src/ops/tanh.c \
	src/ops/topk.c \
	src/ops/transpose.c \
	src/ops/update_control.c \
	src/ops/where.c
