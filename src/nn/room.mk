nobase_pkginclude_HEADERS += src/nn/head.h src/nn/init.h src/nn/layer.h src/nn/layers.h src/nn/model.h src/nn/module.h src/nn/preprocessor.h src/nn/trace.h
libmuster_la_SOURCES += src/nn/init.c src/nn/init_record.c src/nn/init_record.h src/nn/weight_fill.c \
	src/nn/weight_init/caffe2_xavier.c src/nn/weight_init/constant.c src/nn/weight_init/kaiming.c src/nn/weight_init/normal.c \
	src/nn/weight_init/pretrained.c src/nn/weight_init/trunc_normal.c src/nn/weight_init/uniform.c src/nn/weight_init/xavier.c
libmuster_la_SOURCES += src/nn/container.c src/nn/head.c src/nn/layer.c src/nn/layers.c src/nn/layers_impl.h src/nn/model.c src/nn/model_impl.h \
	src/nn/model_plan.c src/nn/module.c src/nn/module_impl.h src/nn/preprocessor.c src/nn/trace.c src/nn/trace_impl.h
libmuster_la_SOURCES += src/nn/heads/linear_cls_head.c \
	src/nn/losses/cross_entropy_loss.c src/nn/losses/difference_loss.c src/nn/losses/focal_loss.c \
	src/nn/losses/label_smooth_loss.c src/nn/losses/loss_impl.c src/nn/losses/loss_impl.h \
	src/nn/models/image_classifier.c src/nn/necks/global_average_pooling.c src/nn/preprocessors/img_data_preprocessor.c
libmuster_la_SOURCES += src/nn/layers/activation.c src/nn/layers/basic.c src/nn/layers/conv2d.c src/nn/layers/linear.c \
	src/nn/layers/norm.c src/nn/layers/pool2d.c
libmuster_la_SOURCES += src/nn/backbones/lenet.c src/nn/backbones/mlp.c src/nn/backbones/resnet.c
