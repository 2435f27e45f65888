"""The tables of doc/scaling.md, on a quiet machine with two cores or more.

  python3 tests/bench/predict_compare.py --build BUILD [--rounds 3] [--only compare scale] [--json FILE]

compare: `muster check --net` against `muster train` on 1, 2 and 4 ranks of one thread, ResNet-18 and LeNet, in turns. A round measures the
network between two ranks (`muster bench comm`), predicts from a step measured alone and from one measured on two ranks at the same time, and
trains on 1, 2 and 4 ranks. Medians; the ratio is that of a round. About 2 minutes a round.

scale: what 64, 1,024 and 16,384 ranks would do on the cluster of doc/examples/cluster.yaml, ranks of two threads. About 5 minutes.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

import train_compare

RANKS = (1, 2, 4)
CLUSTER = os.path.join(train_compare.HERE, "..", "..", "doc", "examples", "cluster.yaml")


class Compare(train_compare.Bench):
    def launch(self, ranks):
        return ["mpirun", "--bind-to", "none", "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []

    def run(self, ranks, *arguments):
        return subprocess.run([*self.launch(ranks), self.muster, *arguments], env=self.environment(1), cwd=self.folder, check=True,
                              capture_output=True, text=True).stdout

    def network(self):
        """Measured between two ranks; the file lets four share the node."""
        self.run(2, "bench", "comm", "--folder", ".", "-o", "net2.yaml")
        with open(os.path.join(self.folder, "net.yaml"), "w", encoding="utf-8") as file:
            file.write("_base_: net2.yaml\nranks_per_node: 4\n")
        return "net.yaml"

    def predictions(self, config, together):
        text = self.run(together, "check", config, "--ranks", ",".join(map(str, RANKS)), "--net", self.network(), "--json")
        return json.loads(text)["predictions"]

    def trained(self, model, ranks, iters):
        """Median seconds of an iteration after the first ones."""
        config = self.config(model, iters=iters, interval=1, window=1)
        self.run(ranks, *self.command(config)[1:])
        folder = os.path.join(config[:-5])
        [run] = [e.path for e in os.scandir(folder) if e.is_dir() and os.path.isdir(os.path.join(e.path, "vis_data"))]
        with open(os.path.join(run, "vis_data", "scalars.jsonl"), encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        return statistics.median(r["time"] for r in records[iters // 4:])


def compare(bench, model, iters):
    config = bench.config(model, iters=iters)
    rounds = []
    for number in range(bench.args.rounds):
        train = {}
        alone = bench.predictions(config, 1)
        for ranks in RANKS if number % 2 == 0 else RANKS[::-1]:
            train[ranks] = bench.trained(model, ranks, iters)
        both = bench.predictions(config, 2)
        rounds.append({"alone": alone, "both": both, "train": [train[r] for r in RANKS]})
    rows = []
    for i, ranks in enumerate(RANKS):
        predicted = [r["alone" if ranks == 1 else "both"][i] for r in rounds]
        ratios = [p["step"] / r["train"][i] for p, r in zip(predicted, rounds)]
        rows.append({
            "ranks": ranks, "step_alone": statistics.median(r["alone"][i]["step"] for r in rounds),
            "step": statistics.median(p["step"] for p in predicted), "trained": statistics.median(r["train"][i] for r in rounds),
            "ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios),
            "communication": statistics.median(p["communication"] for p in predicted),
            "predicted_efficiency": statistics.median(r["alone"][0]["step"] / p["step"] for p, r in zip(predicted, rounds)),
            "efficiency": statistics.median(r["train"][0] / r["train"][i] for r in rounds)})
    return rows


def comparison(bench):
    print("| model, batch of a rank | ranks | predicted ms, measured alone | predicted ms | trained ms | predicted / trained (min to max) "
          "| of it communication ms | efficiency, predicted | efficiency, trained |\n|---|---|---|---|---|---|---|---|---|")
    results = {}
    for name, model, iters in (("ResNet-18, 64", train_compare.RESNET, 16), ("LeNet 28x28, 128", train_compare.LENET, 80)):
        results[name] = compare(bench, model, iters)
        for r in results[name]:
            print(f"| {name} | {r['ranks']} | {1e3 * r['step_alone']:.1f} | {1e3 * r['step']:.1f} | {1e3 * r['trained']:.1f} | "
                  f"{r['ratio']:.2f} ({r['ratio_min']:.2f} to {r['ratio_max']:.2f}) | {1e3 * r['communication']:.1f} | "
                  f"{r['predicted_efficiency']:.2f} | {r['efficiency']:.2f} |")
            sys.stdout.flush()
    return results


def slower(bench, factor, algorithms):
    """The cluster's network, slowed down: for ranks that compute faster by as much. Returns the file's name."""
    text = subprocess.run([bench.muster, "config", "dump", CLUSTER, "--format", "json"], check=True, capture_output=True, text=True).stdout
    net = json.loads(text)
    for link in ("inside", "between"):
        net[link]["latency"] *= factor
        net[link]["bandwidth"] /= factor
    if factor > 1:  # accelerators do not lose cores to communication
        net["inside"]["by_cores"] = False
    net["algorithms"] = algorithms
    with open(os.path.join(bench.folder, "slower.json"), "w", encoding="utf-8") as file:
        json.dump(net, file)
    return "slower.json"


def scale(bench):
    print("| model | batch | ranks of | all-reduce | step ms | communication ms, of it not hidden, at 64 / 1,024 / 16,384 | efficiency |\n"
          "|---|---|---|---|---|---|---|")
    rows = []
    environment = bench.environment(2)
    for name, config, batch, shape in (("ResNet-50", "resnet50_imagenet", 32, "3,224,224"), ("ResNet-50", "resnet50_imagenet", 2, "3,224,224"),
                                       ("ResNet-18", "resnet18_cifar", 64, "3,32,32")):
        path = os.path.join(train_compare.HERE, "..", "..", "configs", "resnet", config + ".yaml")
        for factor, kind in ((1, "2 cores"), (50, "50 times that")):
            for what, algorithms in (("tree", ["tree"]), ("tree between nodes", ["tree", "hierarchical"]), ("ring", ["ring"]),
                                     ("Rabenseifner between nodes", ["rabenseifner", "hierarchical"])):
                text = subprocess.run([bench.muster, "check", path, "--json", "--input-shape", shape, "--ranks", "64,1024,16384", "--net",
                                       slower(bench, factor, ["recursive_doubling", *algorithms]), "--cfg-options", f"train_dataloader.batch_size={batch}"],
                                      env=environment, cwd=bench.folder, check=True, capture_output=True, text=True).stdout
                d = json.loads(text)
                p = d["predictions"]
                rows.append({"model": name, "batch": batch, "faster": factor, "algorithms": algorithms, "step": d["measured"]["step"] / factor,
                             "predictions": p})
                ms = ", ".join(f"{1e3 * x['communication'] / factor:.1f} ({1e3 * x['exposed'] / factor:.1f})" for x in p)
                print(f"| {name} | {batch} | {kind} | {what} | {1e3 * d['measured']['step'] / factor:.1f} | {ms} | "
                      + ", ".join(f"{x['efficiency']:.3f}" for x in p) + " |")
                sys.stdout.flush()
    return rows


PARTS = {"compare": comparison, "scale": scale}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=".", help="the build folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", help="where the data is put (default: a temporary folder)")
    parser.add_argument("--json", help="also write the results here")
    args = parser.parse_args()
    args.images = 12800

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    folder = tempfile.mkdtemp(prefix="muster-bench-", dir=args.folder)
    try:
        bench = Compare(args, folder)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start\n")
        train_compare.make_data(bench)
        for name in args.only:
            bench.results[name] = PARTS[name](bench)
            print()
        if args.json:
            with open(args.json, "w", encoding="utf-8") as file:
                json.dump(bench.results, file, indent=1)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
