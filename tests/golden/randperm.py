"""Writes randperm.inc: {seed, n, first eight, FNV-1a over the 64-bit elements} of torch.randperm on a CPU.

python3 tests/golden/randperm.py > tests/golden/randperm.inc     (PyTorch 2.15.0)
"""
import torch

CASES = [(0, 1), (0, 2), (42, 100), (1, 10), (2**32 + 5, 1000), (123456789, 9999), (7, 100000), (2**63 - 1, 624)]

for seed, n in CASES:
    perm = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()
    digest = 0xCBF29CE484222325
    for v in perm:
        digest = ((digest ^ v) * 0x100000001B3) % 2**64
    first = ", ".join(map(str, perm[:8]))
    print(f"{{{seed}u, {n}, {{{first}}}, 0x{digest:016x}}},")
