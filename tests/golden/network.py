"""Writes network.json: 100 training steps of the network "tiny" of tests/train/models.c, by PyTorch in f64.

python3 tests/golden/network.py > tests/golden/network.json     (PyTorch 2.15.0)

Weights, images and targets come from a formula that tests/train/models.c has too (model_number).
"""
import json

import torch
import torch.nn as nn
import torch.nn.functional as F

from streams import initialise, numbers

STEPS, BATCHES, N, CHANNELS, SIDE, CLASSES = 100, 4, 16, 3, 9, 5


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(CHANNELS, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.fc = nn.Linear(12 * 2 * 2, CLASSES)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.avg_pool2d(self.conv2(x), 3, 1, 1, count_include_pad=True)
        return self.fc(x.flatten(1))


def batch(i):
    x = numbers(f"batch{i}", N * CHANNELS * SIDE * SIDE).reshape(N, CHANNELS, SIDE, SIDE)
    return torch.from_numpy(x), (torch.arange(N) * 3 + i) % CLASSES


def main():
    model = Tiny().double()
    initialise(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-3)
    losses = []
    for step in range(STEPS):
        x, target = batch(step % BATCHES)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        logits = model(batch(0)[0]).reshape(-1).tolist()
    digits = lambda values: [float(f"{v:.15g}") for v in values]
    print(json.dumps({"losses": digits(losses), "running_mean": digits(model.bn1.running_mean.tolist()),
                      "running_var": digits(model.bn1.running_var.tolist()), "logits": digits(logits)}, indent=1))


main()
