"""Training steps of Muster on a GPU beside PyTorch's: alternating runs in two living processes.

  python3 gpu_compare.py [--only NAME] [--rounds 5] [--device cuda] [--tiny] [--json FILE]

In the folder that gpu_build.sh packed. Muster brings a batch of bytes to the device at every step and normalises it there; PyTorch's batch lies there already
but for "fed". Prints one JSON object per comparison, then a table: medians over the rounds of the seconds of a step in a run of many, so of what the
device can do; images a second; and what a step costs the host. --tiny: a few small steps on whatever device there is, to try the script itself.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FASTEST = ["--channels-last", "--graphs"]

# name, model, batch, options of both, of ours, of the peer, steps a round, what the ratio of times is to be at most
CASES = [
    ("ResNet-50 bf16", "resnet50", 256, ["--dtype", "bf16"], [], FASTEST, 20, 1.0),
    ("ResNet-50 bf16, fed", "resnet50", 256, ["--dtype", "bf16"], [], FASTEST + ["--feed"], 20, 1.0),
    ("ResNet-50 f32", "resnet50", 256, [], [], FASTEST, 8, 1.0),
    ("ResNet-50 TF32", "resnet50", 256, ["--tf32"], [], FASTEST, 12, 1.0),
    ("LeNet f32, eager", "lenet", 128, [], [], [], 200, 1 / 3),
    ("LeNet f32, graphs", "lenet", 128, [], [], ["--graphs"], 200, None),
    ("ResNet-18 bf16", "resnet18", 128, ["--dtype", "bf16"], [], FASTEST, 50, 1.0),
]


class Side:
    """One living process that runs steps on request."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE)

    def ask(self, request):
        try:
            self.process.stdin.write(f"{request}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"{' '.join(self.process.args)}: ended with status {self.process.wait()}")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(case, args):
    name, model, batch, both, ours, peers, steps, bound = case
    if args.tiny:
        batch, steps = 2, 2
        both = both + (["--image", "3,32,32"] if model == "resnet50" else [])
    common = ["--model", model, "--batch", str(batch), *both]
    commands = [
        [os.path.join(HERE, "on"), "train_bench", "--device", args.device, *common, *ours],
        [args.python, os.path.join(HERE, "gpu_peer.py"), "--device", args.peer_device or args.device, *common, *peers],
    ]
    sides = [Side(command) for command in commands]
    try:
        for side in sides:
            side.ask(max(5, steps // 2) if not args.tiny else 1)
        times = [[], []]
        for _ in range(args.rounds):
            for side, seconds in zip(sides, times):
                answer = side.ask(steps)
                seconds.append(sum(answer) / len(answer))
        hosts = [side.ask(f"host {2 if args.tiny else 20}") for side in sides]
        memory = [side.ask("memory")["peak"] for side in sides]
        losses = [side.ask("loss") for side in sides]
    finally:
        for side in sides:
            side.close()
    ratios = [a / b for a, b in zip(*times)]
    ms = [1e3 * statistics.median(t) for t in times]
    host = [1e6 * statistics.median(s - l for s, l in zip(h["step"], h["load"])) for h in hosts]
    return {
        "name": name, "batch": batch, "muster_ms": ms[0], "torch_ms": ms[1], "muster_images_per_s": 1e3 * batch / ms[0],
        "torch_images_per_s": 1e3 * batch / ms[1], "ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios),
        "bound": bound, "muster_host_us": host[0], "torch_host_us": host[1], "muster_load_us": 1e6 * statistics.median(hosts[0]["load"]),
        "muster_memory_mb": memory[0] / 2**20, "torch_memory_mb": memory[1] / 2**20, "muster_loss": losses[0], "torch_loss": losses[1],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="cases whose name contains this, case ignored")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--peer-device", help="PyTorch's, if it is another one")
    parser.add_argument("--python", default=sys.executable, help="a python that has torch")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--json", help="also write the results here")
    args = parser.parse_args()
    if args.tiny:
        args.rounds = 1

    results, failed = [], False
    for case in CASES:
        if args.only and args.only.lower() not in case[0].lower():
            continue
        try:
            results.append(compare(case, args))
            print(json.dumps(results[-1]), flush=True)
        except (RuntimeError, ValueError) as error:
            failed = True
            print(f"{case[0]}: {error}", flush=True)
        if args.json:
            with open(args.json, "w", encoding="utf-8") as file:
                json.dump(results, file, indent=1)
    print("\n| case | Muster ms | PyTorch ms | ratio (min to max) | bound | Muster images/s | PyTorch images/s | host us a step | of PyTorch | batch copied, us | memory MB |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for r in results:
        print(f"| {r['name']} | {r['muster_ms']:.3f} | {r['torch_ms']:.3f} | {r['ratio']:.3f} ({r['ratio_min']:.3f} to {r['ratio_max']:.3f}) | "
              f"{'' if r['bound'] is None else round(r['bound'], 2)} | {r['muster_images_per_s']:.0f} | {r['torch_images_per_s']:.0f} | "
              f"{r['muster_host_us']:.0f} | {r['torch_host_us']:.0f} | {r['muster_load_us']:.0f} | "
              f"{r['muster_memory_mb']:.0f} / {r['torch_memory_mb']:.0f} |")
    sys.exit(failed)


if __name__ == "__main__":
    main()
