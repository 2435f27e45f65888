"""Golden averages of a parameter's values, from MMEngine: python averaged_model.py > averaged_model.inc

A case is an averaged model's config as JSON, and the average after each of STEPS updates, of values that are sin(1 + 5 * step + i) for i < N. Needs
mmengine 0.10.7 and PyTorch."""
import copy
import json
import math

import mmengine
import torch
from mmengine.model import ExponentialMovingAverage, MomentumAnnealingEMA, StochasticWeightAverage

CLASSES = {c.__name__: c for c in (ExponentialMovingAverage, MomentumAnnealingEMA, StochasticWeightAverage)}
N, STEPS = 5, 12
CASES = [
    dict(type="ExponentialMovingAverage"),
    dict(type="ExponentialMovingAverage", momentum=0.3),
    dict(type="ExponentialMovingAverage", momentum=0.05, interval=3),
    dict(type="MomentumAnnealingEMA"),
    dict(type="MomentumAnnealingEMA", gamma=4, momentum=0.4),
    dict(type="MomentumAnnealingEMA", gamma=2, momentum=0.001, interval=4),
    dict(type="StochasticWeightAverage"),
    dict(type="StochasticWeightAverage", interval=3),
]


def averages(case):
    options = copy.deepcopy(case)
    model = torch.nn.Module()
    model.values = torch.nn.Parameter(torch.zeros(N, dtype=torch.float64))
    average = CLASSES[options.pop("type")](model, **options)
    rows = []
    for step in range(STEPS):
        model.values.data.copy_(torch.tensor([math.sin(1 + 5 * step + i) for i in range(N)], dtype=torch.float64))
        average.update_parameters(model)
        rows.append(average.module.values.tolist())
    return rows


print(f"/* Made by averaged_model.py with MMEngine {mmengine.__version__}. */")
print("static const golden_case golden_cases[] = {")
for case in CASES:
    rows = ",\n      ".join("{" + ", ".join(f"{x:.17g}" for x in row) + "}" for row in averages(case))
    print(f"    {{{json.dumps(json.dumps(case))},\n     {{{rows}}}}},")
print("};")
