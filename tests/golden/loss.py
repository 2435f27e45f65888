"""Writes loss.json: values and gradients of losses with each of their options, by PyTorch in f64.

python3 tests/golden/loss.py > tests/golden/loss.json     (PyTorch 2.15.0)

Scores and targets are those of tests/nn/loss_test.c. Means are MMPretrain's, whose heads divide by the number of samples: of all
elements only for the losses of differences.
"""
import json

import numpy as np
import torch
import torch.nn.functional as F

f32 = lambda values: torch.tensor(np.array(values, dtype=np.float32).astype(np.float64))
X = f32([[0.5, -1.25, 2, 0.125], [-0.5, 3, 0.25, 1], [-2, 0.75, 0.1, -0.3]])
TARGETS = {
    "label": torch.tensor([2, 0, 3]),
    "ignoring": torch.tensor([2, 255, 3]),
    "soft": f32([[0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25]]),
    "multi": torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]]),
}
W = "[0.5, 1, 2, 3]"
w = torch.tensor([0.5, 1, 2, 3], dtype=torch.float64)


def over_samples(per_sample, reduction, n=len(X)):
    """Of losses [N]; none: what is logged, their mean."""
    return per_sample.sum() if reduction == "sum" else per_sample.sum() / n


def cross_entropy(x, t, reduction, ignore=-100, **options):
    per_sample = F.cross_entropy(x, t, reduction="none", ignore_index=ignore, **options)
    kept = len(t) if t.is_floating_point() or reduction == "none" else int((t != ignore).sum())
    return over_samples(per_sample, reduction, kept)


def one_hot(x, t):
    return (F.one_hot(t, x.shape[1]) if t.ndim == 1 else t).to(x.dtype)


def by_class(elements, reduction):
    """Of losses [N,C]."""
    return elements.mean() if reduction == "none" else over_samples(elements.sum(1), reduction)


def sigmoid(x, t, reduction, weight=None, pos_weight=None, low=0.0, high=1.0):
    t = one_hot(x, t) * (high - low) + low
    return by_class(F.binary_cross_entropy_with_logits(x, t, weight, reduction="none", pos_weight=pos_weight), reduction)


def smooth(x, t, reduction, e, classy=False, weight=None):
    e = e / (1 + e) if classy else e
    t = one_hot(x, t) * (1 - e) + e / x.shape[1]
    return cross_entropy(x, t, reduction, weight=weight)


def focal(x, t, reduction, gamma=2.0, alpha=0.25):
    t = one_hot(x, t)
    p = torch.sigmoid(x)
    missed = (1 - p) * t + p * (1 - t)
    factor = (alpha * t + (1 - alpha) * (1 - t)) * missed**gamma
    return by_class(F.binary_cross_entropy_with_logits(x, t, reduction="none") * factor, reduction)


def difference(fn, **options):
    return lambda x, t, reduction: fn(x, t, reduction="mean" if reduction == "none" else reduction, **options)


CASES = [  # options, target, function; each with every reduction and a loss_weight
    ("CrossEntropyLoss", "label", cross_entropy),
    ("CrossEntropyLoss, label_smoothing: 0.2", "label", lambda *a: cross_entropy(*a, label_smoothing=0.2)),
    (f"CrossEntropyLoss, class_weight: {W}", "label", lambda *a: cross_entropy(*a, weight=w)),
    (f"CrossEntropyLoss, class_weight: {W}, label_smoothing: 0.3", "label",
     lambda *a: cross_entropy(*a, weight=w, label_smoothing=0.3)),
    ("CrossEntropyLoss, ignore_index: 255", "ignoring", lambda *a: cross_entropy(*a, ignore=255)),
    ("CrossEntropyLoss, ignore_index: 255, label_smoothing: 0.2", "ignoring",
     lambda *a: cross_entropy(*a, ignore=255, label_smoothing=0.2)),
    (f"CrossEntropyLoss, ignore_index: 255, class_weight: {W}", "ignoring", lambda *a: cross_entropy(*a, ignore=255, weight=w)),
    ("CrossEntropyLoss, use_soft: true", "soft", cross_entropy),
    (f"CrossEntropyLoss, use_soft: true, class_weight: {W}", "soft", lambda *a: cross_entropy(*a, weight=w)),
    ("CrossEntropyLoss, use_soft: true, label_smoothing: 0.2", "soft", lambda *a: cross_entropy(*a, label_smoothing=0.2)),
    ("CrossEntropyLoss, use_sigmoid: true", "label", sigmoid),
    ("CrossEntropyLoss, use_sigmoid: true", "multi", sigmoid),
    (f"CrossEntropyLoss, use_sigmoid: true, class_weight: {W}", "multi", lambda *a: sigmoid(*a, weight=w)),
    (f"CrossEntropyLoss, use_sigmoid: true, pos_weight: {W}", "multi", lambda *a: sigmoid(*a, pos_weight=w)),
    ("LabelSmoothLoss, label_smooth_val: 0.1", "label", lambda *a: smooth(*a, 0.1)),
    ("LabelSmoothLoss, label_smooth_val: 0.1, num_classes: 4, mode: original", "label", lambda *a: smooth(*a, 0.1)),
    ("LabelSmoothLoss, label_smooth_val: 0.25, mode: classy_vision", "label", lambda *a: smooth(*a, 0.25, classy=True)),
    (f"LabelSmoothLoss, label_smooth_val: 0.1, class_weight: {W}", "label", lambda *a: smooth(*a, 0.1, weight=w)),
    ("LabelSmoothLoss, label_smooth_val: 0.1, use_sigmoid: true", "label", lambda *a: sigmoid(*a, low=0.025, high=0.925)),
    ("LabelSmoothLoss, label_smooth_val: 0.1, mode: multi_label", "multi", lambda *a: sigmoid(*a, low=0.1, high=0.9)),
    (f"LabelSmoothLoss, label_smooth_val: 0.1, mode: multi_label, pos_weight: {W}", "multi",
     lambda *a: sigmoid(*a, pos_weight=w, low=0.1, high=0.9)),
    ("FocalLoss", "label", focal),
    ("FocalLoss", "multi", focal),
    ("FocalLoss, gamma: 1.5, alpha: 0.75", "label", lambda *a: focal(*a, gamma=1.5, alpha=0.75)),
    ("MSELoss", "soft", difference(F.mse_loss)),
    ("L1Loss", "soft", difference(F.l1_loss)),
    ("SmoothL1Loss", "soft", difference(F.smooth_l1_loss)),
    ("SmoothL1Loss, beta: 0.5", "soft", difference(F.smooth_l1_loss, beta=0.5)),
]
MORE = [("", "mean", 1), (", reduction: sum, loss_weight: 0.5", "sum", 0.5), (", reduction: none, loss_weight: 3", "none", 3)]


def run(options, target, reduction, factor, fn):
    x = X.clone().requires_grad_()
    loss = fn(x, TARGETS[target], reduction) * factor
    loss.backward()
    digits = lambda v: float(f"{v:.13g}")
    return {"options": options, "target": target, "loss": digits(loss.item()),
            "gradient": [digits(v) for v in x.grad.flatten().tolist()]}


def main():
    cases = [run(options + more, target, reduction, factor, fn) for options, target, fn in CASES
             for more, reduction, factor in MORE]
    print("[" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "]")


main()
