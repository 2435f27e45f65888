"""Writes ops.json: outputs and gradients of the conformance suite's small cases, by PyTorch in f64.

tests/ops/golden_test --dump cases.json && python3 tests/golden/ops.py < cases.json > tests/golden/ops.json     (PyTorch 2.15.0)

The cases come from the suite (tests/ops/cases): operands, attributes, and the weights r of the loss sum(out * r).
"""
import json
import sys

import torch
import torch.nn.functional as F

DTYPES = {"f64": torch.float64, "i64": torch.int64, "i32": torch.int32, "bool": torch.bool, "u8": torch.uint8}


def parse(text):
    """"stride=[1,1] groups=1 relu=false mode=mean" -> dict."""
    out = {}
    for pair in text.split():
        key, value = pair.split("=", 1)
        if value.startswith("["):
            value = [float(v) if "." in v or "inf" in v else int(v) for v in value[1:-1].split(",")]
        elif value in ("true", "false"):
            value = value == "true"
        else:
            try:
                value = int(value)
            except ValueError:
                try:
                    value = float(value)
                except ValueError:
                    pass
        out[key] = value
    return out


def tensor(t):
    if t is None:
        return None
    return torch.tensor(t["data"], dtype=DTYPES[t["dtype"]]).reshape(t["shape"])


def pad_of(a):
    top, left, bottom, right = a["padding"]
    return (left, right, top, bottom)


ACTIVATIONS = {
    "none": lambda a, x: x, "relu": lambda a, x: F.relu(x), "relu6": lambda a, x: F.relu6(x),
    "leaky_relu": lambda a, x: F.leaky_relu(x, a["alpha"]), "silu": lambda a, x: F.silu(x), "gelu": lambda a, x: F.gelu(x),
    "gelu_tanh": lambda a, x: F.gelu(x, approximate="tanh"), "sigmoid": lambda a, x: torch.sigmoid(x),
    "hard_sigmoid": lambda a, x: (x / 6 + 0.5).clamp(0, 1), "hard_swish": lambda a, x: F.hardswish(x),
    "tanh": lambda a, x: torch.tanh(x),
}


def activation(a, x):
    return ACTIVATIONS[a["activation"]](a, x)


def conv2d(a, x, w, b=None, residual=None):
    y = F.conv2d(F.pad(x, pad_of(a)), w, b, stride=a["stride"], dilation=a["dilation"], groups=a["groups"])
    return activation(a, y if residual is None else y + residual)


def conv2d_grad_input(a, dy, w, b=None):
    """Asymmetric padding: the full transpose, cut."""
    top, left, _, _ = a["padding"]
    full = F.conv_transpose2d(dy, w, b, stride=a["stride"], dilation=a["dilation"], groups=a["groups"])
    height, width = a["input"]
    full = F.pad(full, (0, max(0, left + width - full.shape[3]), 0, max(0, top + height - full.shape[2])))
    if b is not None and (left + width > full.shape[3] or top + height > full.shape[2]):
        raise NotImplementedError
    return full[:, :, top:top + height, left:left + width]


def max_pool2d(a, x):
    if a["padding"][:2] != a["padding"][2:]:
        if a["ceil_mode"]:
            return None
        return F.max_pool2d(F.pad(x, pad_of(a), value=-torch.inf), a["kernel"], a["stride"], 0, a["dilation"])
    return F.max_pool2d(x, a["kernel"], a["stride"], a["padding"][:2], a["dilation"], a["ceil_mode"])


def avg_pool2d(a, x):
    if a["padding"][:2] != a["padding"][2:]:
        return None
    return F.avg_pool2d(x, a["kernel"], a["stride"], a["padding"][:2], a["ceil_mode"], a["count_include_pad"])


def batch_norm(a, x, gamma, beta, mean, var, residual=None):
    y = F.batch_norm(x, mean.clone(), var.clone(), gamma, beta, True, a["momentum"], a["eps"])
    y = y if residual is None else y + residual
    return F.relu(y) if a["relu"] else y


def group_norm(a, x, gamma=None, beta=None):
    return F.group_norm(x, a["groups"], gamma, beta, a["eps"])


def layer_norm(a, x, gamma=None, beta=None):
    return F.layer_norm(x, x.shape[-a["normalized_ndim"]:], gamma, beta, a["eps"])


def dims_of(a, x):
    return [d for d in range(x.ndim) if a["dims"] == 0 or a["dims"] >> d & 1]


def reduce(fn):
    return lambda a, x: fn(x, dim=dims_of(a, x), keepdim=a["keepdim"]) if x.ndim else fn(x.reshape(1), dim=[0])



def cross_entropy(a, x, t, weight=None):
    t = t.long() if t.dtype == torch.int32 else t
    return F.cross_entropy(x, t, weight, ignore_index=a["ignore_index"], reduction=a["reduction"],
                           label_smoothing=a["label_smoothing"])


def bce(a, x, t, weight=None, pos_weight=None):
    return F.binary_cross_entropy_with_logits(x, t, weight, reduction=a["reduction"], pos_weight=pos_weight)


def focal(a, x, t):
    """torchvision's sigmoid_focal_loss."""
    p = torch.sigmoid(x)
    p_t = p * t + (1 - p) * (1 - t)
    y = F.binary_cross_entropy_with_logits(x, t, reduction="none") * (1 - p_t) ** a["gamma"]
    if a["alpha"] >= 0:
        y = (a["alpha"] * t + (1 - a["alpha"]) * (1 - t)) * y
    return {"none": y, "mean": y.mean(), "sum": y.sum()}[a["reduction"]]


def matmul(a, x, y):
    return torch.matmul(x.mT if a["trans_a"] else x, y.mT if a["trans_b"] else y)


def slice_of(a, x):
    return x[tuple(slice(s, s + (n - 1) * p + 1 if n else s, p) for s, n, p in
                   zip(a["start"][:x.ndim], a["size"], a["step"]))]


def slice_grad(a, dy):
    full = torch.zeros(a["full"][:dy.ndim], dtype=dy.dtype)
    view = tuple(slice(s, s + (n - 1) * p + 1, p) for s, n, p in zip(a["start"][:dy.ndim], a["size"], a["step"]))
    full[view] = dy
    return full


def pad(a, x):
    before, after, n = a["before"], a["after"], x.ndim
    if a["mode"] == "constant":
        return F.pad(x, [v for d in reversed(range(n)) for v in (before[d], after[d])], value=a["value"])
    for d in range(n):
        i = torch.arange(-before[d], x.shape[d] + after[d])
        last = x.shape[d] - 1
        i = i.abs() if a["mode"] == "reflect" else i.clamp(0, last)
        i = torch.where(i > last, 2 * last - i, i)
        x = x.index_select(d, i)
    return x


def resize(a, x):
    if a["mode"] == "nearest":
        return F.interpolate(x, a["size"], mode="nearest")
    return F.interpolate(x, a["size"], mode="bilinear", align_corners=a["align_corners"])


def topk(a, x):
    return torch.topk(x, a["k"], a["dim"], a["largest"])


OPS = {
    "abs": lambda a, x: x.abs(), "neg": lambda a, x: -x, "exp": lambda a, x: x.exp(), "log": lambda a, x: x.log(),
    "sqrt": lambda a, x: x.sqrt(), "relu": lambda a, x: F.relu(x), "relu6": lambda a, x: F.relu6(x),
    "leaky_relu": lambda a, x: F.leaky_relu(x, a["alpha"]), "silu": lambda a, x: F.silu(x),
    "gelu": lambda a, x: F.gelu(x, approximate="tanh" if a["alpha"] else "none"),
    # F.hardsigmoid's backward has 1/6 in single precision
    "sigmoid": lambda a, x: torch.sigmoid(x), "hard_sigmoid": lambda a, x: (x / 6 + 0.5).clamp(0, 1),
    "hard_swish": lambda a, x: F.hardswish(x), "tanh": lambda a, x: torch.tanh(x),
    "clamp": lambda a, x: x.clamp(a["alpha"], a["beta"]), "prelu": lambda a, x, s: F.prelu(x, s),
    "add": lambda a, x, y: x + y, "sub": lambda a, x, y: x - y, "mul": lambda a, x, y: x * y,
    "div": lambda a, x, y: x / y, "power": lambda a, x, y: x ** y,
    "maximum": lambda a, x, y: torch.maximum(x, y), "minimum": lambda a, x, y: torch.minimum(x, y),
    "equal": lambda a, x, y: x == y, "not_equal": lambda a, x, y: x != y, "less": lambda a, x, y: x < y,
    "less_equal": lambda a, x, y: x <= y, "greater": lambda a, x, y: x > y, "greater_equal": lambda a, x, y: x >= y,
    "where": lambda a, c, x, y: torch.where(c, x, y),
    "conv2d": conv2d, "conv2d_grad_input": conv2d_grad_input, "conv2d_grad_weight": conv2d,
    "linear": lambda a, x, w, b=None: activation(a, F.linear(x, w, b)), "matmul": matmul,
    "batch_norm": batch_norm, "sync_batch_norm": batch_norm, "layer_norm": layer_norm, "group_norm": group_norm,
    "batch_norm_inference": lambda a, x, g, b, m, v: F.batch_norm(x, m, v, g, b, False, 0, a["eps"]),
    "max_pool2d": max_pool2d, "avg_pool2d": avg_pool2d,
    "adaptive_avg_pool2d": lambda a, x: F.adaptive_avg_pool2d(x, a["output"]),
    "adaptive_max_pool2d": lambda a, x: F.adaptive_max_pool2d(x, a["output"]),
    "sum": reduce(torch.sum), "mean": reduce(torch.mean), "max": reduce(torch.amax), "min": reduce(torch.amin),
    "argmax": lambda a, x: torch.argmax(x, a["dim"], a["keepdim"]), "topk": topk,
    "softmax": lambda a, x: F.softmax(x, a["dim"]), "log_softmax": lambda a, x: F.log_softmax(x, a["dim"]),
    "reshape": lambda a, x: x.reshape(a["dim"][:a["ndim"]]),
    "broadcast_to": lambda a, x: x.broadcast_to(a["dim"][:a["ndim"]]),
    "transpose": lambda a, x: x.permute((a.get("perm") or a["dim"])[:x.ndim]),
    "concat": lambda a, *x: torch.cat(x, a["dim"]), "slice": slice_of, "slice_grad": slice_grad, "pad": pad,
    "gather": lambda a, x, i: torch.gather(x, a["dim"], i.long()),
    "embedding": lambda a, t, i: F.embedding(i.long(), t), "resize": resize,
    "cross_entropy": cross_entropy, "bce_with_logits": bce, "focal_loss": focal,
    "mse_loss": lambda a, x, t: F.mse_loss(x, t, reduction=a["reduction"]),
    "l1_loss": lambda a, x, t: F.l1_loss(x, t, reduction=a["reduction"]),
    "smooth_l1_loss": lambda a, x, t: F.smooth_l1_loss(x, t, reduction=a["reduction"], beta=a["beta"]),
    "kl_div": lambda a, x, t: F.kl_div(x, t, reduction=a["reduction"], log_target=a["log_target"]),
}


def short(t):
    """Enough digits for 1e-10."""
    t = t.detach()
    if not t.dtype.is_floating_point:
        return [int(v) for v in t.reshape(-1).tolist()]
    return [float(f"{v:.12g}") for v in t.reshape(-1).tolist()]


def main():
    out = {}
    for case in json.load(sys.stdin):
        ins = [tensor(t) for t in case["in"]]
        for t, wanted in zip(ins, case["grad"]):
            if wanted:
                t.requires_grad_()
        given = ins[:max((i + 1 for i, t in enumerate(ins) if t is not None), default=0)]
        if case["op"] not in OPS:
            print("no rule for", case["key"], file=sys.stderr)
            continue
        try:
            y = OPS[case["op"]](parse(case["attrs"]), *given)
        except Exception as e:
            print(f"{case['key']}: {type(e).__name__}: {e}", file=sys.stderr)
            continue
        if y is None:
            out[case["key"]] = None  # PyTorch has no such form
            continue
        if isinstance(y, tuple):
            y = y[case["out"]]
        r = tensor(case["r"])
        entry = {"in_sum": float(f"{sum(t.detach().double().sum().item() for t in ins + [r] if t is not None):.12g}"),
                 "out": short(y)}
        if r is not None:
            (y * r.reshape(y.shape)).sum().backward()
            for i, t in enumerate(ins):
                if t is not None and t.requires_grad:
                    entry[f"dx{i}"] = short(t.grad if t.grad is not None else torch.zeros_like(t))
        out[case["key"]] = entry
    lines = [json.dumps(k) + ":" + json.dumps(v, separators=(",", ":")) for k, v in out.items()]
    print("{\n" + ",\n".join(lines) + "\n}")


main()
