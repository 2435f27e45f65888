"""Writes backbone.json: features, gradients and states of backbones with each of their options, by PyTorch.

python3 tests/golden/backbone.py > tests/golden/backbone.json     (PyTorch 2.15.0)

One training pass in f64 of a small network. Of every tensor two numbers are kept: its product with a stream of its name, and its
Euclidean norm. The loss is the sum over the features of their mean product with such a stream. The parts that are not torchvision's
(which convolution has the stride, what is frozen) follow MMPretrain.
"""
import json

import torch
import torch.nn as nn
import torch.nn.functional as F

from streams import initialise, numbers
from train import LeNet, ResNet

ACTIVATIONS = {  # F.hardsigmoid rounds 1/6 to f32 also in f64
    "none": lambda x: x, "relu": F.relu, "relu6": F.relu6, "leaky_relu": F.leaky_relu, "silu": F.silu, "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "sigmoid": torch.sigmoid, "hard_sigmoid": lambda x: F.relu6(x + 3) / 6,
    "hard_swish": F.hardswish, "tanh": torch.tanh,
}


class MLP(nn.Module):
    def __init__(self, inputs, hidden, act="relu"):
        super().__init__()
        self.act, self.n = ACTIVATIONS[act], len(hidden)
        for i, (a, b) in enumerate(zip([inputs] + hidden, hidden), 1):
            setattr(self, f"fc{i}", nn.Linear(a, b))

    def forward(self, x):
        x = x.flatten(1)
        for i in range(1, self.n + 1):
            x = self.act(getattr(self, f"fc{i}")(x))
        return x


def small(depth, **more):
    return ResNet(depth, width=4, channels=2, **more)


SMALL = "base_channels: 4, stem_channels: 4, in_channels: 2"
CASES = [  # options, images, module
    *((f"MLP, hidden: [7, 5], act: {act}", (3, 2, 3, 4), lambda act=act: MLP(24, [7, 5], act)) for act in ACTIVATIONS),
    ("MLP, hidden: 6", (3, 5), lambda: MLP(5, [6])),
    ("LeNet, in_channels: 2, width: 3, kernel: 3, hidden: 5", (4, 2, 8, 8), lambda: LeNet(8, 2, 3, 3, 5)),
    ("LeNet, width: 2, norm: false, hidden: 6", (3, 1, 9, 9), lambda: LeNet(9, 1, 2, 5, 6, norm=False)),
    ("LeNet, in_channels: 3, width: 2, kernel: 1, hidden: 4", (3, 3, 6, 6), lambda: LeNet(6, 3, 2, 1, 4)),
    (f"ResNet, depth: 18, {SMALL}, out_indices: [0, 1, 2, 3]", (3, 2, 40, 40), lambda: small(18, out=(0, 1, 2, 3))),
    ("ResNet, depth: 18, base_channels: 4, stem_channels: 6, num_stages: 2, strides: [2, 1], out_indices: [0, 1]",
     (3, 3, 17, 17), lambda: ResNet(18, width=4, stem=6, stages=2, strides=(2, 1), out=(0, 1))),
    (f"ResNet, depth: 34, {SMALL}, num_stages: 1", (3, 2, 12, 12), lambda: small(34, stages=1, out=(0,))),
    (f"ResNet, depth: 50, {SMALL}, num_stages: 2, out_indices: [1]", (3, 2, 17, 17), lambda: small(50, stages=2, out=(1,))),
    (f"ResNet, depth: 50, {SMALL}, num_stages: 2, style: caffe", (3, 2, 17, 17), lambda: small(50, stages=2, out=(1,), caffe=True)),
    (f"ResNet_CIFAR, depth: 18, {SMALL}, num_stages: 3", (3, 2, 8, 8), lambda: small(18, stages=3, out=(2,), cifar=True)),
    (f"ResNet_CIFAR, depth: 18, {SMALL}, num_stages: 3, norm_eval: true", (3, 2, 8, 8),
     lambda: small(18, stages=3, out=(2,), cifar=True, norm_eval=True)),
    *((f"ResNet_CIFAR, depth: 18, {SMALL}, num_stages: 3, frozen_stages: {n}", (3, 2, 8, 8),
       lambda n=n: small(18, stages=3, out=(2,), cifar=True, frozen=n)) for n in (0, 1, 2)),
    (f"ResNet, depth: 50, {SMALL}, num_stages: 2, frozen_stages: 1", (3, 2, 17, 17), lambda: small(50, stages=2, out=(1,), frozen=1)),
]


def sketch(name, x):
    x = x.detach()
    return [float(f"{v:.13g}") for v in ((x.flatten() * torch.from_numpy(numbers(name, x.numel()))).sum(), x.norm())]


def run(options, images, build):
    model = nn.Module()
    model.backbone = build().double()
    initialise(model)
    for name, state in model.named_buffers():
        if not name.endswith("num_batches_tracked"):
            values = torch.from_numpy(numbers(name, state.numel())) / 4
            state.copy_(values + 1 if name.endswith("var") else values)
    model.train()
    x = torch.from_numpy(numbers("img", torch.Size(images).numel())).reshape(images)
    features = model.backbone(x)
    features = [features] if torch.is_tensor(features) else features
    loss = 0
    for i, f in enumerate(features):
        probe = torch.from_numpy(numbers(f"probe{i}", f.numel())).reshape(f.shape)
        loss = loss + (f * probe).mean()
    loss.backward()
    state = [(n, v) for n, v in model.state_dict().items() if not n.endswith("num_batches_tracked")]
    parameters = dict(model.named_parameters())
    return {
        "options": options, "images": images, "loss": loss.item(),
        "features": [[list(f.shape), *sketch(f"feat{i}", f)] for i, f in enumerate(features)],
        "list": [[n, list(v.shape), n in parameters and parameters[n].requires_grad] for n, v in state],
        "gradients": {n: sketch(n, p.grad) for n, p in parameters.items() if p.requires_grad},
        "states": {n: sketch(n, v) for n, v in state if n not in parameters},
    }


def main():
    print("[" + ",\n".join(json.dumps(run(*case), separators=(",", ":")) for case in CASES) + "]")


main()
