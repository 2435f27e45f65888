"""What tests/train/models.c computes too: numbers, and initial weights from them."""
import numpy as np
import torch

MASK = (1 << 64) - 1


def numbers(name, count):
    """Element i of the stream of a name, in [-1, 1)."""
    h = 0xCBF29CE484222325
    for c in name.encode():
        h = (h ^ c) * 0x100000001B3 & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1


def initialise(model):
    with torch.no_grad():
        for name, p in model.named_parameters():
            bound = np.sqrt(6.0 / (p.numel() / p.shape[0])) if p.ndim > 1 else 0.1
            gain = 1 if p.ndim == 1 and name.endswith("weight") else 0
            values = (numbers(name, p.numel()) * bound + gain).astype(np.float32).astype(np.float64)
            p.copy_(torch.from_numpy(values).reshape(p.shape))
