"""Speed of `muster train`: epochs against PyTorch, start, loader, decoding, ranks, the runner's share, checkpoints.

  python3 tests/bench/train_compare.py --build BUILD --python PYTHON_WITH_TORCH [--mmengine PYTHON_WITH_MMENGINE]
      [--only epoch start ...] [--json FILE]

Needs `make bench` in the build folder and about 7 minutes. Prints Markdown tables. Two programs that are compared take
turns: an epoch of one while the other is stopped (SIGSTOP), or a run each. The data is made up.
"""
import argparse
import glob
import json
import os
import random
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BATCH = 128
TURN = 6  # steps that one of two trainings does while the other stands still

CONFIG = """
model:
  type: ImageClassifier
  data_preprocessor: {{type: ImgDataPreprocessor, mean: {mean}, std: {std}}}
  backbone: {backbone}
  {neck}
  head: {{type: LinearClsHead, num_classes: 10, loss: {{type: CrossEntropyLoss}}}}
train_dataloader:
  batch_size: {batch}
  num_workers: 1
  dataset: {{type: HDF5Dataset, path: {data}}}
  sampler: {{type: DefaultSampler, shuffle: true}}
optim_wrapper: {{optimizer: {{type: SGD, lr: 0.01, momentum: 0.9, weight_decay: 0.0001}}}}
train_cfg: {train}
log_processor: {{window_size: {window}, by_epoch: {by_epoch}}}
default_hooks:
  logger: {{type: LoggerHook, interval: {interval}, ignore_last: false}}
  checkpoint: {{type: CheckpointHook, interval: 1000000, save_last: false}}
randomness: {{seed: 0}}
"""

def model(scale, backbone, batch, data):
    return {"mean": scale, "std": scale, "backbone": f"{{type: {backbone}}}", "batch": batch, "data": data}


LENET = model("[78.6]", "LeNet", BATCH, "mnist.h5")
DIGITS = model("[8.0]", "LeNet, kernel: 3", 32, "digits.h5")
TINY = model("[8.0]", "MLP, hidden: [1]", 1, "digits.h5")
RESNET = model("[120.0, 120.0, 120.0]", "ResNet_CIFAR, depth: 18", 64, "cifar.h5") | {
    "neck": "neck: {type: GlobalAveragePooling}"}


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder, self.n_runs = args, folder, 0
        self.muster = os.path.join(os.path.abspath(args.build), "muster")
        self.results = {}

    def environment(self, threads, **more):
        return os.environ | {
            "OMP_NUM_THREADS": str(threads), "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_btl": "self,vader", "MUSTER_CACHE_DIR": os.path.join(self.folder, "cache")} | more

    def config(self, model, iters=None, epochs=None, interval=100, window=10):
        """A config on one of the data sets; returns its file's path."""
        train = f"{{by_epoch: false, max_iters: {iters}}}" if iters else f"{{by_epoch: true, max_epochs: {epochs}}}"
        values = {"neck": "", "train": train, "by_epoch": str(not iters).lower(), "interval": interval,
                  "window": window, **model}
        self.n_runs += 1
        path = os.path.join(self.folder, f"run{self.n_runs}.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(**values))
        return path

    def command(self, config):
        return [self.muster, "train", config, "--work-dir", config[:-5]]

    def train(self, config, ranks, **env):
        """Runs a training to its end, with one thread a rank; the records of its log."""
        subprocess.run(["mpirun", "--bind-to", "core", "-n", str(ranks), *self.command(config)], check=True,
                       env=self.environment(1, **env), cwd=self.folder, capture_output=True)
        [path] = glob.glob(os.path.join(config[:-5], "*", "vis_data", "scalars.jsonl"))
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]


# ---- data ----

def write_idx(path, shape, data):
    with open(path, "wb") as file:
        file.write(struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + data)


def make_data(bench):
    """Dataset files of noise. The colour images are IDX images of 96 rows, seen as three times 32."""
    draw = random.Random(0)
    for name, n, rows, columns, top, more in (("mnist", bench.args.images, 28, 28, 256, []), ("digits", 1437, 8, 8, 17, []),
                                              ("cifar", 4096, 96, 32, 256, ["--shape", "3,32,32"])):
        size = rows * columns
        # Windows of one long noise: quick to make, and all differ.
        noise = bytes(draw.choices(range(top), k=size * 64 + 4096))
        images = b"".join(noise[at:at + size] for at in (draw.randrange(len(noise) - size) for _ in range(n)))
        write_idx(os.path.join(bench.folder, "images.idx"), (n, rows, columns), images)
        write_idx(os.path.join(bench.folder, "labels.idx"), (n,), bytes(draw.choices(range(10), k=n)))
        subprocess.run([bench.muster, "data", "pack", "--images", "images.idx", "--labels", "labels.idx", *more,
                        f"{name}.h5"], cwd=bench.folder, check=True, capture_output=True)
        if name == "mnist":
            os.makedirs(os.path.join(bench.folder, "mnist"))
            for part in ("images.idx", "labels.idx"):
                os.rename(os.path.join(bench.folder, part), os.path.join(bench.folder, "mnist", part))


# ---- epochs against PyTorch ----

class Trainer:
    """A process that trains; it is stopped between the epochs that are asked for."""

    def __init__(self, name, command, end, stream, cores, env, cwd):
        pipe = {stream: subprocess.PIPE, "stdout" if stream == "stderr" else "stderr": subprocess.DEVNULL}
        self.name, self.end, self.command = name, re.compile(end), command
        self.process = subprocess.Popen(["taskset", "-c", cores, *command], text=True, env=env, cwd=cwd, **pipe)
        self.lines = getattr(self.process, stream)
        self.process.send_signal(signal.SIGSTOP)

    def epoch(self):
        begun = time.perf_counter()
        self.process.send_signal(signal.SIGCONT)
        while not self.end.search(line := self.lines.readline()):
            if not line:
                sys.exit(f"{self.command}: ended with status {self.process.wait()}")
        seconds = time.perf_counter() - begun
        self.process.send_signal(signal.SIGSTOP)
        return seconds

    def close(self):
        self.process.kill()
        self.process.wait()


def epochs(bench):
    rounds, images = bench.args.rounds, bench.args.images
    iters = -(-images // BATCH)
    rows = []
    for threads in bench.args.threads:
        env, cores = bench.environment(threads), "0" if threads == 1 else f"0-{threads - 1}"
        config = bench.config(LENET, epochs=rounds + 2, interval=100000)
        peer = [os.path.join(HERE, "epoch_peer.py"), "mnist", "--epochs", str(rounds + 2), "--batch", str(BATCH),
                "--threads", str(threads)]
        sides = [("muster train", bench.command(config), rf"\[{iters}/{iters}\]", "stderr")]
        sides += [("PyTorch", [bench.args.python, *peer], "^epoch", "stdout")]
        if bench.args.mmengine:
            mmengine = [bench.args.mmengine, *peer, "--mmengine", "--work-dir", "mmengine"]
            sides += [("MMEngine", mmengine, "^epoch", "stdout")]
        times, trainers = [[] for _ in sides], []
        try:
            for side in sides:
                trainers.append(Trainer(*side, cores, env, bench.folder))
            for number in range(rounds + 1):
                for trainer, seconds in zip(trainers, times):
                    took = trainer.epoch()
                    if number > 0:  # the first has the start in it
                        seconds.append(took)
        finally:
            for trainer in trainers:
                trainer.close()
        for (name, *_), seconds in list(zip(sides, times))[1:]:
            ratios = [a / b for a, b in zip(times[0], seconds)]
            rows.append({"peer": name, "threads": threads, "muster_s": statistics.median(times[0]),
                         "peer_s": statistics.median(seconds), "ratio": statistics.median(ratios),
                         "ratio_min": min(ratios), "ratio_max": max(ratios), "bound": 0.7})
    print(f"\nAn epoch of LeNet with BN on {images} images of 28x28, batch {BATCH}; epochs after the first, {rounds} "
          "pairs\n")
    print("| peer | threads | muster train s | peer s | ratio (min to max) | bound |\n|---|---|---|---|---|---|")
    for r in rows:
        print(f"| {r['peer']} | {r['threads']} | {r['muster_s']:.2f} | {r['peer_s']:.2f} | {r['ratio']:.2f} "
              f"({r['ratio_min']:.2f} to {r['ratio_max']:.2f}) | {r['bound']} |")
    return rows


# ---- from the start of the process to the end of the first step ----

def first_step(bench, model, ranks, cache):
    config = bench.config(model, iters=1, interval=1)
    run = ["mpirun", "--bind-to", "core", "-n", str(ranks)] if ranks > 1 else []
    env = bench.environment(1 if ranks > 1 else min(2, os.cpu_count()), MUSTER_CACHE_DIR=cache)
    begun = time.perf_counter()
    process = subprocess.Popen(run + bench.command(config), stderr=subprocess.PIPE, text=True, env=env,
                               cwd=bench.folder)
    seconds = None
    for line in process.stderr:
        if seconds is None and "(train)" in line:
            seconds = time.perf_counter() - begun
    if process.wait() != 0 or seconds is None:
        sys.exit(f"{config}: no step was logged")
    return seconds


def start(bench):
    rows = []
    for name, model in (("digits LeNet", DIGITS), ("LeNet 28x28", LENET)):
        for ranks in (1, 2):
            cold = []
            for number in range(3):
                cache = os.path.join(bench.folder, f"cache-{name[0]}-{ranks}-{number}")
                cold.append(first_step(bench, model, ranks, cache))
            warm = [first_step(bench, model, ranks, cache) for _ in range(5)]
            rows.append({"model": name, "ranks": ranks, "cold_s": statistics.median(cold),
                         "warm_s": statistics.median(warm), "warm_max_s": max(warm), "bound": 1.0})
    print("\nStart of the process (of mpirun) to the log line of the first step; medians of 3 starts with an empty\n"
          "cache of algorithms, of 5 with a full one; two ranks with one thread each, one rank with two\n")
    print("| model | ranks | empty cache s | full cache s (max) | bound, full |\n|---|---|---|---|---|")
    for r in rows:
        print(f"| {r['model']} | {r['ranks']} | {r['cold_s']:.2f} | {r['warm_s']:.2f} ({r['warm_max_s']:.2f}) | "
              f"{r['bound']} |")
    return rows


# ---- parts ----

def program(bench, name, *more, ranks=0):
    run = ["mpirun", "-n", str(ranks)] if ranks else []
    path = os.path.join(os.path.abspath(bench.args.build), "tests", "bench", name)
    return subprocess.run([*run, path, *more], env=bench.environment(1), cwd=bench.folder, check=True,
                          capture_output=True, text=True).stdout


def loader(bench):
    rows = []
    for line in program(bench, "loader_bench", bench.folder).splitlines():
        name, threads, _, images, _, out, _, _, copy, _, _, ratio = line.split()
        rows.append({"images": name, "threads": int(threads), "images_s": float(images), "out_gb_s": float(out),
                     "in_gb_s": float(out) / 4, "memcpy_gb_s": float(copy), "ratio": float(ratio), "bound": 0.5})
    print("\nLoader from HDF5 u8 to normalised f32 batches, random order, the file in the page cache. The ratio\n"
          "counts the f32 bytes that come out (the u8 bytes that go in are a quarter) against the bytes that memcpy\n"
          "copies of 64 MiB; a batch stays in the caches, memcpy's arrays do not\n")
    print("| images | loader threads | images/s | f32 out GB/s | u8 in GB/s | memcpy GB/s | ratio | bound |")
    print("|---|---|---|---|---|---|---|---|")
    for r in rows:
        print(f"| {r['images']} | {r['threads']} | {r['images_s']:.0f} | {r['out_gb_s']:.1f} | {r['in_gb_s']:.1f} | "
              f"{r['memcpy_gb_s']:.1f} | {r['ratio']:.2f} | {r['bound']} |")
    return rows


def decoding(bench):
    r = json.loads(program(bench, "decode_bench"))
    rate = r["images_per_second"]
    print(f"\nJPEG of {r['height']}x{r['width']}, {r['bytes']} bytes, decoded, cropped, flipped: {rate['1']:.0f} "
          f"images/s with one thread, {rate['2']:.0f} with two: {r['gain']:.2f} times (bound: 2)")
    return r


class Steps:
    """A training on so many ranks that is stopped (SIGSTOP) but for the steps that are asked for."""

    def __init__(self, bench, ranks, **env):
        iters = 3 * (bench.args.turns + 1) * (TURN + 2)  # more than enough: it is ended
        config = bench.config(RESNET | {"batch": bench.args.batch}, iters=iters, interval=1, window=1)
        self.process = subprocess.Popen(["mpirun", "--bind-to", "core", "-n", str(ranks), *bench.command(config)], cwd=bench.folder,
                                        env=bench.environment(1, **env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.log, self.seen, self.ranks = os.path.join(config[:-5], "*", "vis_data", "scalars.jsonl"), 0, []
        self.go(4)  # chooses kernels, warms up

    def send(self, number):
        for pid in self.ranks:
            os.kill(pid, number)

    def records(self):
        lines = [line for path in glob.glob(self.log) for line in open(path, encoding="utf-8") if line.endswith("\n")]
        return [json.loads(line) for line in lines]

    def go(self, n):
        """Median seconds of n steps; the one that was cut by the pause before does not count."""
        self.send(signal.SIGCONT)
        while len(self.records()) < self.seen + n + 1:
            if self.process.poll() is not None:
                sys.exit(f"training ended with status {self.process.returncode}")
            time.sleep(0.02)
        self.ranks = self.ranks or [int(pid) for pid in subprocess.check_output(["pgrep", "-P", str(self.process.pid)]).split()]
        self.send(signal.SIGSTOP)
        new = self.records()[self.seen + 1:]
        self.seen += len(new) + 1
        return statistics.median(r["time"] for r in new)

    def end(self):
        self.send(signal.SIGCONT)
        self.process.terminate()
        self.process.wait()


def in_turns(bench, runs):
    """Seconds of a step of both runs, a few steps of one and then of the other: the clock of a shared machine drifts."""
    seconds = [[], []]
    for i in range(bench.args.turns):
        for k in (i % 2, 1 - i % 2):
            seconds[k].append(runs[k].go(TURN))
    return seconds


def scaling(bench):
    runs = [Steps(bench, 1), Steps(bench, 2)]
    one, two = in_turns(bench, runs)
    for run in runs:
        run.end()
    ratios = [a / b for a, b in zip(one, two)]
    r = {"one_ms": 1e3 * statistics.median(one), "two_ms": 1e3 * statistics.median(two),
         "efficiency": statistics.median(ratios), "min": min(ratios), "max": max(ratios), "bound": 0.92}
    print(f"\nResNet-18 for 32x32, batch {bench.args.batch} and one thread a rank, weak scaling: {bench.args.turns} pairs of {TURN} steps\n")
    print("| one rank, ms a step | two ranks | efficiency (min to max) | bound |\n|---|---|---|---|")
    print(f"| {r['one_ms']:.0f} | {r['two_ms']:.0f} | {r['efficiency']:.3f} ({r['min']:.3f} to {r['max']:.3f}) | {r['bound']} |")
    return r


def overlap(bench):
    """A network that takes so long for the gradients of ResNet-18 as a step takes for itself, at several shares of it."""
    mib, rows = 42.6, []
    plain = Steps(bench, 2)
    for share in (0.25, 0.5):
        delay = share * plain.go(TURN) / mib  # seconds a MiB
        slow = Steps(bench, 2, MUSTER_COMM_DELAY=f"0,{1e6 * delay:.0f}")
        without, with_delay = in_turns(bench, [plain, slow])
        slow.end()
        hidden = [1 - (b - a) / (mib * delay) for a, b in zip(without, with_delay)]
        rows.append({"share": share, "plain_ms": 1e3 * statistics.median(without), "slow_ms": 1e3 * statistics.median(with_delay),
                     "added_ms": 1e3 * mib * delay, "hidden": statistics.median(hidden), "min": min(hidden), "max": max(hidden),
                     "bound": 0.5})
    plain.end()
    print(f"\nResNet-18 for 32x32, batch {bench.args.batch}, two ranks of one thread, gradients slowed down by MUSTER_COMM_DELAY: the share of the "
          f"added time that is hidden behind backward; {bench.args.turns} pairs of {TURN} steps\n")
    print("| ms a step | added to the network, ms | ms a step then | hidden (min to max) | bound |\n|---|---|---|---|---|")
    for r in rows:
        print(f"| {r['plain_ms']:.0f} | {r['added_ms']:.0f} | {r['slow_ms']:.0f} | {r['hidden']:.2f} ({r['min']:.2f} to {r['max']:.2f}) | "
              f"{r['bound']} |")
    return rows


def overhead(bench):
    rows = []
    for ranks in (1, 2):
        for interval in (1000, 10):
            last = bench.train(bench.config(TINY, iters=4000, interval=interval, window=1000), ranks)[-1]
            rows.append({"ranks": ranks, "interval": interval, "us": 1e6 * last["time"],
                         "data_us": 1e6 * last["data_time"]})
    print("\nAn iteration of a model of 85 parameters with batch 1, one thread a rank: what the runner costs\n")
    print("| ranks | iterations between log lines | us | of it waiting for data |\n|---|---|---|---|")
    for r in rows:
        print(f"| {r['ranks']} | {r['interval']} | {r['us']:.1f} | {r['data_us']:.1f} |")
    return rows


def checkpoints(bench):
    text = program(bench, "ckpt_bench", bench.folder, "195", "3", ranks=1).strip()
    print(f"\nCheckpoint as large as ResNet-50 with momentum (`ckpt_bench FOLDER 195`): {text}")
    return text


PARTS = {"epoch": epochs, "start": start, "loader": loader, "decode": decoding, "scaling": scaling, "overlap": overlap,
         "overhead": overhead, "checkpoint": checkpoints}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=".", help="the build folder")
    parser.add_argument("--python", default=sys.executable, help="a python that has torch")
    parser.add_argument("--mmengine", help="a python that also has mmengine")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--images", type=int, default=60000, help="28x28 ones; fewer for a quick look")
    parser.add_argument("--rounds", type=int, default=2, help="measured epochs of each side")
    parser.add_argument("--turns", type=int, default=15, help="pairs of turns, for scaling and overlap")
    parser.add_argument("--batch", type=int, default=64, help="of a rank, for scaling and overlap")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", help="where the data is put (default: a temporary folder)")
    parser.add_argument("--json", help="also write the results here")
    args = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    folder = tempfile.mkdtemp(prefix="muster-bench-", dir=args.folder)
    try:
        bench = Bench(args, folder)
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            cpu = re.search(r"model name\s*:\s*(.*)", file.read())
        print(f"{os.cpu_count()} cores, {cpu[1] if cpu else 'unknown processor'}, load {os.getloadavg()[0]:.1f} "
              "at the start")
        make_data(bench)
        for name in args.only:
            bench.results[name] = PARTS[name](bench)
            sys.stdout.flush()
        if args.json:
            with open(args.json, "w", encoding="utf-8") as file:
                json.dump(bench.results, file, indent=1)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
