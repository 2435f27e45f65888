"""Writes train.json: the first 100 losses of LeNet and of ResNet-18, and the parameters of ResNets, by PyTorch.

python3 tests/golden/train.py > tests/golden/train.json     (PyTorch 2.15.0)

Training is in f64: SGD with momentum and weight decay over a few batches in a fixed order. Weights, images and labels come from a formula
that tests/train/models.c has too. Names and shapes are torchvision's, below "backbone." and "head.".
"""
import json
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from streams import initialise, numbers

STEPS = 100
torch.set_num_threads(1)


class LeNet(nn.Module):
    def __init__(self, side, channels=1, width=32, kernel=5, hidden=128, norm=True):
        super().__init__()
        for i, (a, b) in enumerate([(channels, width), (width, 2 * width)], 1):
            setattr(self, f"conv{i}", nn.Conv2d(a, b, kernel, padding=kernel // 2, bias=not norm))
            if norm:
                setattr(self, f"bn{i}", nn.BatchNorm2d(b))
        self.norm = norm
        self.fc1 = nn.Linear(2 * width * (side // 4) ** 2, hidden)

    def forward(self, x):
        for i in (1, 2):
            x = getattr(self, f"conv{i}")(x)
            x = F.max_pool2d(F.relu(getattr(self, f"bn{i}")(x) if self.norm else x), 2)
        return F.relu(self.fc1(x.flatten(1)))


class Block(nn.Module):
    """BasicBlock, or Bottleneck with the stride in its 3x3 convolution (caffe: in its first)."""

    def __init__(self, inputs, width, stride, bottleneck, caffe=False):
        super().__init__()
        out = width * 4 if bottleneck else width
        first, second = (stride, 1) if caffe else (1, stride)
        sizes = [(inputs, width, 1, first), (width, width, 3, second), (width, out, 1, 1)] if bottleneck else \
            [(inputs, width, 3, stride), (width, width, 3, 1)]
        self.n = len(sizes)
        for i, (a, b, kernel, s) in enumerate(sizes, 1):
            setattr(self, f"conv{i}", nn.Conv2d(a, b, kernel, s, kernel // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(b))
        self.downsample = None
        if stride != 1 or inputs != out:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for i in range(1, self.n + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = F.relu(y) if i < self.n else y
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Gives the mean of the last map, or with `out` the maps of these stages. frozen: the stem (0), also so many stages."""

    BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

    def __init__(self, depth, width=64, cifar=False, channels=3, stem=None, stages=4, strides=(1, 2, 2, 2), out=(), caffe=False,
                 frozen=-1, norm_eval=False):
        super().__init__()
        self.cifar, self.stages, self.given, self.frozen, self.norm_eval = cifar, stages, out, frozen, norm_eval
        inputs, bottleneck = stem or width, depth >= 50
        self.conv1 = nn.Conv2d(channels, inputs, 3, 1, 1, bias=False) if cifar else \
            nn.Conv2d(channels, inputs, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        for s, n in enumerate(self.BLOCKS[depth][:stages]):
            blocks = []
            for i in range(n):
                blocks.append(Block(inputs, width << s, 1 if i else strides[s], bottleneck, caffe))
                inputs = (width << s) * (4 if bottleneck else 1)
            setattr(self, f"layer{s + 1}", nn.Sequential(*blocks))
        self.out = inputs

    def train(self, mode=True):
        super().train(mode)
        parts = [self.conv1, self.bn1] if self.frozen >= 0 else []
        parts += [getattr(self, f"layer{s}") for s in range(1, self.frozen + 1)]
        for part in parts:
            part.eval().requires_grad_(False)
        for m in self.modules():
            if self.norm_eval and isinstance(m, nn.BatchNorm2d):
                m.eval()
        return self

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if not self.cifar:
            x = F.max_pool2d(x, 3, 2, 1)
        maps = []
        for s in range(self.stages):
            x = getattr(self, f"layer{s + 1}")(x)
            maps.append(x)
        return [maps[s] for s in self.given] if self.given else x.mean((2, 3))


class Classifier(nn.Module):
    def __init__(self, backbone, features, classes):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Module()
        self.head.fc = nn.Linear(features, classes)

    def forward(self, x):
        return self.head.fc(self.backbone(x))


def batch(i, run, dtype):
    n, channels, side = run["images"]
    x = numbers(f"batch{i}", n * channels * side * side).reshape(n, channels, side, side)
    return torch.from_numpy(x).to(dtype), (torch.arange(n) * 3 + i) % run["classes"]


RUNS = {
    "lenet": {"images": (16, 1, 28), "classes": 10, "batches": 4, "lr": 0.001, "momentum": 0.9, "weight_decay": 1e-3},
    "resnet18": {"images": (32, 3, 16), "classes": 10, "batches": 4, "lr": 0.001, "momentum": 0.9, "weight_decay": 1e-3},
}


def build(name):
    if name == "lenet":
        return Classifier(LeNet(28), 128, 10)
    backbone = ResNet(18, width=16, cifar=True)
    return Classifier(backbone, backbone.out, 10)


def train(name, dtype=torch.float64):
    run, model = RUNS[name], build(name).double()
    initialise(model)
    for m in model.modules():
        if isinstance(m, Block):  # zero_init_residual
            nn.init.zeros_(m.bn2.weight)
    model.to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=run["lr"], momentum=run["momentum"], weight_decay=run["weight_decay"])
    losses = []
    for step in range(STEPS):
        x, target = batch(step % run["batches"], run, dtype)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def parameters(depth, listed):
    """Of a ResNet for 1000 classes: their number, and the list of parameters and states."""
    backbone = ResNet(depth)
    model = Classifier(backbone, backbone.out, 1000)
    out = {"count": sum(p.numel() for p in model.parameters())}
    if listed:
        out["list"] = [[name, list(v.shape)] for name, v in model.state_dict().items() if not name.endswith("num_batches_tracked")]
    return out


def main():
    if sys.argv[1:] == ["--drift"]:  # of PyTorch's own f32 from its f64
        for name in RUNS:
            a, b = train(name), train(name, torch.float32)
            drift = [abs(x - y) / abs(x) for x, y in zip(a, b)]
            print(name, f"{a[0]:.4f} -> {a[-1]:.4f}, least {min(a):.4g};", "drift",
                  *(f"{max(drift[:n]):.1e}" for n in (1, 10, 25, 50, 75, 100)))
        return
    digits = lambda values: [float(f"{v:.12g}") for v in values]
    out = {name: {**run, "losses": digits(train(name))} for name, run in RUNS.items()}
    out["parameters"] = {f"resnet{d}": parameters(d, d in (18, 50)) for d in ResNet.BLOCKS}
    print(json.dumps(out, separators=(",", ":")).replace("],[", "],\n[").replace('"losses"', '\n"losses"'))


if __name__ == "__main__":
    main()
