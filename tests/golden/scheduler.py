"""Golden learning rates of chains of parameter schedulers, from MMEngine: python scheduler.py > scheduler.inc

A case is the list `param_scheduler` of a config as JSON, the iterations of an epoch, and the learning rate in each iteration as
MMEngine's classes give it, called as its ParamSchedulerHook calls them. Needs mmengine 0.10.7 and PyTorch."""
import copy
import json

import mmengine
import torch
from mmengine.optim.scheduler import (ConstantLR, CosineAnnealingLR, ExponentialLR, LinearLR, MultiStepLR, PolyLR,
                                      StepLR)

CLASSES = {c.__name__: c for c in (ConstantLR, CosineAnnealingLR, ExponentialLR, LinearLR, MultiStepLR, PolyLR, StepLR)}
LR = 0.1


def cases():
    """(schedulers, epoch_length, iterations)"""
    single = [
        dict(type="LinearLR", end=5),
        dict(type="LinearLR", start_factor=0.001, end=30, by_epoch=False),
        dict(type="LinearLR", start_factor=1.0, end_factor=0.0, begin=2, end=12, by_epoch=False),
        dict(type="LinearLR", start_factor=0.5, end=1, by_epoch=False),
        dict(type="LinearLR", start_factor=0.25, end_factor=0.75, begin=1, end=6, convert_to_iter_based=True),
        dict(type="MultiStepLR", milestones=[2, 5]),
        dict(type="MultiStepLR", milestones=[3, 3, 7], gamma=0.5, by_epoch=False),
        dict(type="MultiStepLR", milestones=[1, 4], gamma=0.3, begin=2, end=6),
        dict(type="MultiStepLR", milestones=[2, 4], gamma=0.3, begin=1, convert_to_iter_based=True),
        dict(type="CosineAnnealingLR", T_max=10),
        dict(type="CosineAnnealingLR", T_max=10, eta_min=0.01, by_epoch=False),
        dict(type="CosineAnnealingLR", T_max=7, eta_min_ratio=0.2, by_epoch=False),
        dict(type="CosineAnnealingLR", eta_min=0.001, begin=3, end=20, by_epoch=False),
        dict(type="CosineAnnealingLR", begin=2, end=9, eta_min=1e-5),
        dict(type="CosineAnnealingLR", T_max=8, convert_to_iter_based=True),
        dict(type="CosineAnnealingLR", begin=2, end=8, eta_min=0.02, convert_to_iter_based=True),
        dict(type="CosineAnnealingLR", T_max=1, by_epoch=False),
        dict(type="StepLR", step_size=3),
        dict(type="StepLR", step_size=2, gamma=0.7, begin=1, end=7, convert_to_iter_based=True),
        dict(type="ConstantLR", end=4),
        dict(type="ConstantLR", factor=0.5, begin=2, end=9, by_epoch=False),
        dict(type="ConstantLR", factor=0.125, begin=1, end=3, convert_to_iter_based=True),
        dict(type="ConstantLR", factor=0.25),
        dict(type="ExponentialLR", gamma=0.9),
        dict(type="ExponentialLR", gamma=0.97, begin=5, end=25, by_epoch=False),
        dict(type="PolyLR", power=0.9, end=10),
        dict(type="PolyLR", eta_min=1e-4, power=2.0, begin=4, end=30, by_epoch=False),
        dict(type="PolyLR", power=0.9, eta_min=0.01, begin=1, end=9, convert_to_iter_based=True),
    ]
    for one in single:
        yield [one], 4, 48
    for epoch_length in (1, 3, 7):
        yield [dict(type="LinearLR", start_factor=0.01, end=8, by_epoch=False),
               dict(type="MultiStepLR", milestones=[3, 6, 9])], epoch_length, 11 * epoch_length
        yield [dict(type="LinearLR", start_factor=0.1, end=2, convert_to_iter_based=True),
               dict(type="CosineAnnealingLR", T_max=8, eta_min=0.001, begin=2, end=10,
                    convert_to_iter_based=True)], epoch_length, 12 * epoch_length
    yield [dict(type="LinearLR", start_factor=0.1, end=10, by_epoch=False),
           dict(type="CosineAnnealingLR", T_max=6, convert_to_iter_based=True)], 5, 75
    yield [dict(type="ConstantLR", factor=0.5, end=3), dict(type="CosineAnnealingLR", T_max=4, eta_min_ratio=0.05),
           dict(type="StepLR", step_size=6, gamma=0.5)], 3, 54
    yield [dict(type="PolyLR", power=0.9, end=20, by_epoch=False), dict(type="ExponentialLR", gamma=0.8, begin=2)], 4, 40
    yield [], 4, 8


def build(optimizer, cfg, epoch_length):
    cfg = copy.deepcopy(cfg)
    cls = CLASSES[cfg.pop("type")]
    if cfg.pop("convert_to_iter_based", False):
        return cls.build_iter_from_epoch(optimizer=optimizer, **cfg, epoch_length=epoch_length)
    return cls(optimizer, **cfg)


def run(cfgs, epoch_length, n):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    schedulers = [build(optimizer, cfg, epoch_length) for cfg in cfgs]
    values = []
    for i in range(n):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for s in schedulers:
            if not s.by_epoch:
                s.step()
        for s in schedulers:
            if s.by_epoch and (i + 1) % epoch_length == 0:
                s.step()
    return values


print(f"/* Made by scheduler.py with MMEngine {mmengine.__version__}. */")
print("static const golden_case golden_cases[] = {")
for cfgs, epoch_length, n in cases():
    text = json.dumps(cfgs).replace('"', '\\"')
    values = ", ".join(f"{v:.17g}" for v in run(cfgs, epoch_length, n))
    print(f'    {{"{text}",\n     {epoch_length}, {n}, {{{values}}}}},')
print("};")
