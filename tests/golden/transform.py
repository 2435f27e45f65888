"""Writes transform.inc: images resized by PyTorch in f64.

python3 tests/golden/transform.py > tests/golden/transform.inc     (PyTorch 2.15.0)

RESIZE(interpolation, height, width, new height, new width, values [2, new height, new width])
The pixel (channel, y, x) is the highest byte of ((131 channel + 17 y + 29 x + 1) * 2654435761) mod 2^32.
"""
import torch
import torch.nn.functional as F

SIZES = [(5, 7, 8, 3), (4, 4, 9, 9), (9, 6, 4, 5), (3, 5, 1, 1), (1, 1, 3, 2), (8, 8, 4, 4), (7, 7, 7, 10), (2, 13, 5, 6), (6, 9, 2, 3)]


def image(height, width):
    c, y, x = torch.meshgrid(torch.arange(2), torch.arange(height), torch.arange(width), indexing="ij")
    return (((131 * c + 17 * y + 29 * x + 1) * 2654435761) % 2**32 >> 24).double()


for mode in ("nearest", "bilinear", "area"):
    for h, w, oh, ow in SIZES:
        options = {"align_corners": False} if mode == "bilinear" else {}
        out = F.interpolate(image(h, w)[None], (oh, ow), mode=mode, **options)[0]
        print(f"RESIZE({mode}, {h}, {w}, {oh}, {ow},")
        values = [f"{v:.12g}" for v in out.flatten().tolist()]
        for i in range(0, len(values), 8):
            print("       " + ", ".join(values[i:i + 8]) + (")" if i + 8 >= len(values) else ","))
