"""The PyTorch side of gpu_compare.py: training steps on a GPU as fast as PyTorch makes them, or eager ones; driven line by line like train_bench.c.

Reads lines, answers each with a line of JSON:
  N        N steps without waiting in between, then waits: the seconds between the beginnings of steps, the last up to the end of all
  host N   N steps, each begun by an idle device: seconds until the host could do something else, {"step": [...], "load": [...]}
  loss     of the last step
  memory   bytes of device memory that were allocated at most
  rss      peak resident set, bytes

The batch stays in device memory, normalised, which costs the least; with --feed u8 batches come from pinned host memory and are normalised at each step.
"""
import argparse
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F

from torch_peer import MODELS


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--image", help="C,H,W instead of the model's own")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--tf32", action="store_true", help="products of f32 in TF32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--graphs", action="store_true", help="the whole step is a CUDA graph")
    parser.add_argument("--feed", action="store_true")
    args = parser.parse_args()

    torch.manual_seed(0)
    device = torch.device(args.device)
    gpu = device.type == "cuda"
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.tf32
    build, shape, classes = MODELS[args.model]
    shape = tuple(int(n) for n in args.image.split(",")) if args.image else shape
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    model = build().to(device, memory_format=layout).train()
    raw = [torch.randint(0, 256, (args.batch, *shape), dtype=torch.uint8) for _ in range(3)]
    if gpu:
        raw = [x.pin_memory() for x in raw]
    landed = raw[0].to(device)
    images = torch.randn(args.batch, *shape, device=device).to(memory_format=layout)
    labels = torch.arange(args.batch, device=device) % classes
    mean = torch.full((1, shape[0], 1, 1), 116.0, device=device)
    std = torch.full((1, shape[0], 1, 1), 57.0, device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=gpu or None)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=args.dtype == "bf16")
    done = 0

    def learn():
        x = ((landed.float() - mean) / std).to(memory_format=layout) if args.feed else images
        with autocast:
            loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def eager():
        optimizer.zero_grad(set_to_none=True)
        return learn()

    def capture():
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(4):
                eager()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            loss = learn()

        def replay():
            graph.replay()
            return loss

        return replay

    def wait():
        if gpu:
            torch.cuda.synchronize()

    step = capture() if args.graphs and gpu else eager

    def load():
        nonlocal done
        if args.feed:
            landed.copy_(raw[done % 3], non_blocking=True)
        done += 1

    loss = None
    for line in sys.stdin:
        words = line.split()
        if words[0] == "rss":
            answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        elif words[0] == "memory":
            answer = {"peak": torch.cuda.max_memory_allocated() if gpu else 0}
        elif words[0] == "loss":
            answer = loss.item()
        elif words[0] == "host":
            answer = {"step": [], "load": []}
            for _ in range(int(words[1])):
                wait()
                begun = time.perf_counter()
                load()
                answer["load"].append(time.perf_counter() - begun)
                loss = step()
                answer["step"].append(time.perf_counter() - begun)
            wait()
        else:
            at = []
            for _ in range(int(words[0])):
                at.append(time.perf_counter())
                load()
                loss = step()
            wait()
            at.append(time.perf_counter())
            answer = [b - a for a, b in zip(at, at[1:])]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
