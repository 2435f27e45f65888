"""Writes gan.inc: the first 50 losses of both parts of doc/examples/gan.c, by PyTorch in f64.

Run with a Python that has torch: python3 gan.py > gan.inc. Weights, images and noise come from a formula that tests/nn/parts_test.c has too.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from streams import initialise, numbers

STEPS, BATCHES, N, SIDE, LATENT, HIDDEN = 50, 3, 6, 4, 5, 7
torch.set_num_threads(1)


class Perceptron(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, outputs)

    def forward(self, x):
        return self.fc2(F.leaky_relu(self.fc1(x), 0.2))


class GAN(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator, self.discriminator = Perceptron(LATENT, SIDE * SIDE), Perceptron(SIDE * SIDE, 1)


def values(name, *shape):
    return torch.from_numpy(numbers(name, int(torch.tensor(shape).prod()))).reshape(shape)


def main():
    model = GAN().double()
    initialise(model)
    generator = torch.optim.Adam(model.generator.parameters(), lr=0.01, betas=(0.5, 0.999))
    discriminator = torch.optim.SGD(model.discriminator.parameters(), lr=0.05, momentum=0.5)
    rows = []
    for step in range(STEPS):
        real = values(f"img{step % BATCHES}", N, SIDE * SIDE)
        noise = values(f"noise{step}", N, LATENT)
        ones, zeros = torch.ones(N, 1, dtype=torch.float64), torch.zeros(N, 1, dtype=torch.float64)
        loss = F.binary_cross_entropy_with_logits(model.discriminator(torch.tanh(model.generator(noise))), ones)
        generator.zero_grad()
        loss.backward()
        generator.step()
        fake = torch.tanh(model.generator(noise)).detach()
        loss_real = F.binary_cross_entropy_with_logits(model.discriminator(real), ones)
        loss_fake = F.binary_cross_entropy_with_logits(model.discriminator(fake), zeros)
        discriminator.zero_grad()
        (loss_real + loss_fake).backward()
        discriminator.step()
        rows.append((loss.item(), loss_real.item(), loss_fake.item()))
    print(f"/* Made by gan.py with PyTorch {torch.__version__}: loss_generator, loss_real, loss_fake. */")
    print(f"static const double golden_gan[{STEPS}][3] = {{")
    for row in rows:
        print("    {" + ", ".join(f"{v:.17g}" for v in row) + "},")
    print("};")


main()
