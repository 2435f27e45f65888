"""Training and inference steps of Muster against PyTorch, side by side: alternating runs in two living processes.

  python3 tests/bench/compare.py --bench build/tests/bench/step_bench [--only resnet18] [--rounds 7] [--json FILE]

Needs a python with torch (newest that installs). Prints one JSON object per comparison, then a Markdown table.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# name, model, batch, mode, dtype, extra options of ours, extra options of the peer, steps a round, bound on the ratio
CASES = [
    ("ResNet-18 train, fastest", "resnet18", 64, "train", "f32", [], [], 2, 0.60),
    ("ResNet-18 train, direct", "resnet18", 64, "train", "f32", ["--conv-algorithm", "direct"], [], 2, 0.85),
    ("ResNet-18 train, fastest, peer channels_last", "resnet18", 64, "train", "f32", [], ["--channels-last"], 2, None),
    ("ResNet-50 train", "resnet50", 8, "train", "f32", [], [], 1, 0.75),
    ("LeNet train", "lenet", 128, "train", "f32", [], [], 20, 0.60),
    ("ResNet-18 infer", "resnet18", 64, "infer", "f32", [], [], 5, 0.60),
    ("ResNet-50 infer", "resnet50", 8, "infer", "f32", [], [], 3, 0.60),
    ("ResNet-18 train, bf16", "resnet18", 64, "train", "bf16", [], [], 2, 0.70),
    ("ResNet-50 train, bf16", "resnet50", 8, "train", "bf16", [], [], 1, 0.70),
    ("ResNet-18 infer, bf16", "resnet18", 64, "infer", "bf16", [], [], 5, 0.70),
]


class Side:
    """One living process that runs steps on request."""

    def __init__(self, command, threads):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), OMP_PROC_BIND="false")
        if threads == 1:
            command = ["taskset", "-c", "0", *command]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def ask(self, request):
        self.process.stdin.write(f"{request}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.process.args}: ended with status {self.process.wait()}")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(case, threads, args):
    name, model, batch, mode, dtype, ours, peers, steps, bound = case
    common = ["--model", model, "--batch", str(batch), "--threads", str(threads), "--dtype", dtype, "--mode", mode]
    sides = [
        Side([args.bench, *common, *ours], threads),
        Side([args.python, os.path.join(HERE, "torch_peer.py"), *common, *peers], threads),
    ]
    for side in sides:
        side.ask(max(2, steps))
    times = [[], []]
    for _ in range(args.rounds):
        for side, seconds in zip(sides, times):
            seconds.append(statistics.median(side.ask(steps)))
    rss = [side.ask("rss") for side in sides]
    for side in sides:
        side.close()
    ratios = [a / b for a, b in zip(*times)]
    return {
        "name": name, "threads": threads, "batch": batch, "dtype": dtype, "mode": mode,
        "muster_ms": 1e3 * statistics.median(times[0]), "torch_ms": 1e3 * statistics.median(times[1]),
        "ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios), "bound": bound,
        "muster_rss_mb": rss[0] / 2**20, "torch_rss_mb": rss[1] / 2**20, "rss_ratio": rss[0] / rss[1],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the built step_bench")
    parser.add_argument("--python", default=sys.executable, help="a python that has torch")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", help="cases whose name contains this, case ignored")
    parser.add_argument("--json", help="also write the results here")
    args = parser.parse_args()

    results = []
    for case in CASES:
        if args.only and args.only.lower() not in case[0].lower():
            continue
        for threads in args.threads:
            results.append(compare(case, threads, args))
            print(json.dumps(results[-1]), flush=True)
    print("\n| case | threads | Muster ms | PyTorch ms | ratio (min to max) | bound | memory MB | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for r in results:
        print(f"| {r['name']} | {r['threads']} | {r['muster_ms']:.1f} | {r['torch_ms']:.1f} | "
              f"{r['ratio']:.2f} ({r['ratio_min']:.2f} to {r['ratio_max']:.2f}) | {r['bound'] or ''} | "
              f"{r['muster_rss_mb']:.0f} / {r['torch_rss_mb']:.0f} | {r['rss_ratio']:.2f} |")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
