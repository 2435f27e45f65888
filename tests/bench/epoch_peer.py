"""The PyTorch side of train_compare.py: LeNet on IDX files, epoch after epoch, a line at the end of each.

Plain: the images lie in memory as one u8 tensor, of which batches are indexed, the fastest form that we know.
--mmengine: the same model, data and recipe in MMEngine's Runner with a DataLoader.
"""
import argparse
import os

import torch
import torch.nn.functional as F

from torch_peer import LeNet

MEAN, STD = 78.6, 78.6


def load(folder):
    def values(name, header):
        with open(os.path.join(folder, name), "rb") as file:
            return torch.frombuffer(bytearray(file.read()[header:]), dtype=torch.uint8)

    return values("images.idx", 16).view(-1, 1, 28, 28), values("labels.idx", 8).long()


def plain(args, images, labels):
    model = LeNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    model.train()
    for _ in range(args.epochs):
        order = torch.randperm(len(images))
        for at in range(0, len(images), args.batch):
            index = order[at:at + args.batch]
            x = images[index].float().sub_(MEAN).div_(STD)
            loss = F.cross_entropy(model(x), labels[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss.item()
        print("epoch", flush=True)


def mmengine(args, images, labels):
    from mmengine.hooks import Hook
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    class Net(BaseModel):
        def __init__(self):
            super().__init__()
            self.net = LeNet()

        def forward(self, x, y, mode="loss"):
            return {"loss": F.cross_entropy(self.net(x.float().sub_(MEAN).div_(STD)), y)}

    class Tell(Hook):
        def after_train_epoch(self, runner):
            print("epoch", flush=True)

    dataset = torch.utils.data.TensorDataset(images, labels)
    loader = torch.utils.data.DataLoader(dataset, batch_size=args.batch, shuffle=True)
    Runner(Net(), work_dir=args.work_dir, train_dataloader=loader,
           train_cfg={"by_epoch": True, "max_epochs": args.epochs},
           optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}},
           default_hooks={"logger": {"type": "LoggerHook", "interval": 100}, "checkpoint": None},
           custom_hooks=[Tell()], log_level="WARNING").train()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder of images.idx and labels.idx, 28x28")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mmengine", action="store_true")
    parser.add_argument("--work-dir", default=os.curdir)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    (mmengine if args.mmengine else plain)(args, *load(args.data))


if __name__ == "__main__":
    main()
