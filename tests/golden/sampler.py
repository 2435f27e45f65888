"""Writes sampler.inc: what each rank reads, from torch.randperm on a CPU.

DEFAULT(seed, epoch, samples, ranks, rank, round_up, length, first, second, FNV-1a over the 64-bit indices)
INFINITE(seed, samples, ranks, rank, count, first, second, the same digest of the first `count` indices)

python3 tests/golden/sampler.py > tests/golden/sampler.inc     (PyTorch 2.15.0)
"""
import math

import torch


def digest(indices):
    h = 0xCBF29CE484222325
    for v in indices:
        h = ((h ^ v) * 0x100000001B3) % 2**64
    return f"0x{h:016x}"


def generator(seed):
    return torch.Generator().manual_seed(seed)


def show(indices):
    return f"{indices[0] if indices else -1}, {indices[1] if len(indices) > 1 else -1}, {digest(indices)}"


for seed, epoch, n in [(42, 0, 100), (42, 7, 100), (0, 3, 7), (123, 1, 1), (2**31 - 1, 2, 1000), (5, 299, 60000)]:
    order = torch.randperm(n, generator=generator(seed + epoch)).tolist()
    for world in [1, 2, 3, 4, 8]:
        for round_up in [0, 1]:
            total = math.ceil(n / world) * world if round_up else n
            tiled = (order * math.ceil(total / n))[:total]
            for rank in {0, world // 2, world - 1}:
                mine = tiled[rank:total:world]
                print(f"DEFAULT({seed}u, {epoch}, {n}, {world}, {rank}, {round_up}, {len(mine)}, {show(mine)})")

for seed, n in [(42, 100), (9, 7), (2**31 - 1, 1000)]:
    for world in [1, 3, 4]:
        for rank in {0, world - 1}:
            count = 3 * n // world + 5
            g, stream = generator(seed), []
            while len(stream) < count * world:
                stream += torch.randperm(n, generator=g).tolist()
            mine = stream[rank::world][:count]
            print(f"INFINITE({seed}u, {n}, {world}, {rank}, {count}, {show(mine)})")
