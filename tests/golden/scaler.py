"""Writes scaler.inc: what PyTorch's GradScaler makes of gradients some of which are not finite.

Run with a Python that has torch: python3 scaler.py > scaler.inc
"""
import torch

KINDS = "ggigggggnigggggggigg"  # good, infinite, NaN
GRADIENT = [0.5, -0.25, 1.0]
CASES = (("SGD", dict(lr=0.125, momentum=0.5), dict(init_scale=8.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=3), 0.0),
         ("SGD", dict(lr=0.125, momentum=0.5), dict(init_scale=65536.0, growth_factor=4.0, backoff_factor=0.25, growth_interval=1), 0.75),
         ("AdamW", dict(lr=0.01), dict(init_scale=2.0**123, growth_factor=64.0, backoff_factor=0.125, growth_interval=2), 0.0))


def run(name, options, scaling, max_norm):
    p = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([p], **options)
    scaler = torch.amp.GradScaler("cpu", **scaling)
    for i, kind in enumerate(KINDS):
        g = torch.tensor(GRADIENT, dtype=torch.float64) / (i + 1)
        g[i % 3] = {"g": g[i % 3].item(), "i": float("inf"), "n": float("nan")}[kind]
        before = scaler.get_scale()
        scaler.scale(torch.ones(()))
        p.grad = g * before
        scaler.unscale_(optimizer)
        norm = torch.linalg.vector_norm(p.grad).item()
        if max_norm:
            torch.nn.utils.clip_grad_norm_([p], max_norm)
        scaler.step(optimizer)
        scaler.update()
        yield before, scaler.get_scale(), scaler._get_growth_tracker(), norm if kind == "g" else 0.0, p.tolist()


print(f"/* Made by scaler.py with PyTorch {torch.__version__}. */")
print(f'static const char scaler_kinds[] = "{KINDS}";')
print("static const double scaler_gradient[] = {" + ", ".join(map(str, GRADIENT)) + "};")
print("static const scaler_case scaler_cases[] = {")
for name, options, scaling, max_norm in CASES:
    print(f'    {{"{{type: {name}, ' + ", ".join(f"{k}: {v}" for k, v in options.items()) + '}",')
    print("     {" + ", ".join(f".{k} = {v:.17g}" for k, v in scaling.items()) + f"}}, {max_norm},")
    print("     {")
    for before, after, growth, norm, p in run(name, options, scaling, max_norm):
        print(f"         {{{after:.17g}, {growth}, {norm:.17g}, {{" + ", ".join(f"{v:.17g}" for v in p) + "}},")
    print("     }},")
print("};")
