EXTRA_DIST += configs/_base_/default_runtime.yaml configs/_base_/models/resnet18_cifar.yaml configs/_base_/models/resnet50.yaml \
	configs/digits/lenet.yaml configs/resnet/resnet18_cifar.yaml configs/resnet/resnet50_imagenet.yaml
