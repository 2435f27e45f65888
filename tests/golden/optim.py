"""Writes optim.inc: parameters after 20 steps of PyTorch's SGD, Adam and AdamW, in f64 and f32.

Run with a Python that has torch: python3 optim.py > optim.inc
"""
import itertools

import torch

STEPS = 20
SHAPES = ((7,), (2, 3))


def cases():
    flags = (False, True)
    for momentum, dampening, nesterov, decay, maximize in itertools.product((0.0, 0.9), (0.0, 0.3), flags, (0.0, 0.01), flags):
        if (momentum == 0 and dampening) or (nesterov and (momentum == 0 or dampening)):
            continue
        yield "SGD", dict(lr=0.05, momentum=momentum, dampening=dampening, nesterov=nesterov, weight_decay=decay,
                          maximize=maximize), {}
    for name, amsgrad, decay, maximize in itertools.product(("Adam", "AdamW"), flags, (0.0, 0.02), flags):
        options = dict(lr=0.01, amsgrad=amsgrad, weight_decay=decay, maximize=maximize)
        if amsgrad:
            options |= dict(betas=(0.8, 0.95), eps=1e-6)
        yield name, options, {}
    yield "SGD", dict(lr=0.05, momentum=0.9), dict(max_norm=2.0)
    yield "SGD", dict(lr=0.05, momentum=0.9), dict(max_norm=100.0)
    yield "SGD", dict(lr=0.05, momentum=0.9), dict(max_value=0.5)
    yield "AdamW", dict(lr=0.01), dict(gradient_scale=0.25, max_norm=0.5)
    yield "SGD", dict(lr=0.05), dict(gradient_scale=0.25, max_value=0.2)
    yield "SGD", dict(lr=0.05, momentum=0.9), dict(max_norm=2.0, max_value=0.5)


def data():
    generator = torch.Generator().manual_seed(7)
    draw = lambda: [torch.randn(s, generator=generator, dtype=torch.float64) for s in SHAPES]
    return draw(), [draw() for _ in range(STEPS)]


def train(name, options, step, dtype):
    start, gradients = data()
    params = [p.to(dtype).requires_grad_() for p in start]
    optimizer = getattr(torch.optim, name)(params, **options)
    norm = 0.0
    for drawn in gradients:
        for p, g in zip(params, drawn):
            p.grad = g.to(dtype) * step.get("gradient_scale", 1.0)
        norm = torch.linalg.vector_norm(torch.cat([p.grad.flatten() for p in params])).item()
        if "max_norm" in step:
            torch.nn.utils.clip_grad_norm_(params, step["max_norm"])
        if "max_value" in step:
            torch.nn.utils.clip_grad_value_(params, step["max_value"])
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in params]).tolist(), norm


def row(values, digits=17):
    return "{" + ", ".join(f"{v:.{digits}g}" for v in values) + "}"


def c(value):
    return str(value).lower() if isinstance(value, bool) else repr(value)


start, gradients = data()
print(f"/* Made by optim.py with PyTorch {torch.__version__}. */")
print("static const double golden_start[] = " + row(torch.cat([p.flatten() for p in start]).tolist()) + ";")
print("static const double golden_gradients[][13] = {")
for drawn in gradients:
    print("    " + row(torch.cat([g.flatten() for g in drawn]).tolist()) + ",")
print("};")
print("static const golden_case golden_cases[] = {")
for name, options, step in cases():
    betas = options.get("betas")
    plain = {k: v for k, v in options.items() if k != "betas"}
    print(f'    {{"{name}",')
    print("     {" + ", ".join(f'{{"{k}", {c(v)}, {c(isinstance(v, bool))}}}' for k, v in plain.items()) + "},")
    print("     " + (row(betas, 3) if betas else "{0, 0}") + ",")
    print("     {" + ", ".join(f".{k} = {c(v)}" for k, v in step.items() or {"gradient_scale": 1.0}.items()) + "},")
    f64, norm = train(name, options, step, torch.float64)
    f32, _ = train(name, options, step, torch.float32)
    print(f"     {norm:.17g},")
    print("     " + row(f64) + ",")
    print("     " + row(f32, 9) + "},")
print("};")
