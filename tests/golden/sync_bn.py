"""Writes sync_bn.inc: PyTorch's BatchNorm2d in training on a whole batch, in f64, alone and with residual and ReLU behind it.

Run with a Python that has torch: python3 sync_bn.py > sync_bn.inc
"""
import torch

SHAPE = (6, 3, 2, 5)


def write(name, tensor):
    values = ", ".join(f"{v:.17g}" for v in tensor.detach().flatten().tolist())
    print(f"static const double golden_{name}[] = {{{values}}};")


def main():
    generator = torch.Generator().manual_seed(11)
    draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)
    x, residual, weight = draw(*SHAPE) * 2 + 3, draw(*SHAPE), draw(*SHAPE)
    gamma, beta, mean, var = draw(3) + 1, draw(3), draw(3), draw(3).abs() + 0.5
    print(f"/* Made by sync_bn.py with PyTorch {torch.__version__}. */")
    for name, tensor in dict(x=x, residual=residual, weight=weight, gamma=gamma, beta=beta, mean=mean, var=var).items():
        write(name, tensor)
    for fused in (False, True):
        norm = torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.2, dtype=torch.float64)
        for to, value in ((norm.weight, gamma), (norm.bias, beta), (norm.running_mean, mean), (norm.running_var, var)):
            to.data.copy_(value)
        leaf, shortcut = x.clone().requires_grad_(), residual.clone().requires_grad_()
        y = norm(leaf)
        if fused:
            y = torch.relu(y + shortcut)
        (y * weight).sum().backward()
        end = "_fused" if fused else ""
        for part, tensor in dict(y=y, dx=leaf.grad, dgamma=norm.weight.grad, dbeta=norm.bias.grad,
                                 new_mean=norm.running_mean, new_var=norm.running_var).items():
            write(part + end, tensor)
    write("dresidual_fused", shortcut.grad)


main()
