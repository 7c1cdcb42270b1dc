"""What makes small, noisy data go far, measured: one small network, one ingredient changed at a time, several seeds.

    python tests/benchmarks/ablation.py --data DIR --out runs/ablation    # trains what is missing, prints the table

DIR holds mpii/ and lspet/. Each run is a ``posehg train`` of some minutes on one CPU core; finished runs are kept, so
the script can be stopped and started again.
"""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from posehg import datasets, metrics
from posehg.inference import annotated
from posehg.inference.engines import EngineOptions, open_engine
from posehg.inference.estimator import Estimator, Region
from posehg.training.augment import background_box

NETWORK = "--stacks 1 --features 64 --stem 16-32-64 --depth 3 --input-size 96 --batch 32 --precision bf16 --threads 1"
RECIPE = "--loss cross-entropy --optimizer adamw --schedule one-cycle --lr 3e-3 --weight-decay 0.01"
BASE = f"{NETWORK} {RECIPE} --dataset mpii:2+lspet --epochs 4"
PRETRAIN = f"{NETWORK} {RECIPE} --dataset synthetic:0.5 --epochs 2 --seed 100"
ROWS = {
    "base": ("the recipe", ""),
    "mse": ("the paper's loss", "--loss mse"),
    "synthetic": ("first trained on synthetic people", "--init PRETRAINED"),
    "translation": ("random translation", "--translation 0.1"),
    "occlusion": ("occluders", "--occlusion 0.5"),
    "half-body": ("half-body crops", "--half-body 0.3"),
    "truncation": ("images that end within the person", "--truncation 0.3"),
    "background": ("background crops", "--background 0.1"),
    "rotation": ("rotation up to 60 degrees", "--rotation 60"),
    "ema": ("moving average of the weights", "--ema 0.999"),
    "equal": ("no extra weight for MPII", "--dataset mpii+lspet:1.2304"),
    "mpii-more": ("MPII four times, half of LSPET", "--dataset mpii:4+lspet:0.5390"),
}
"""Each row is the base with these options after its own: the last one counts. An epoch has 13,148 crops in each."""
SETS = ("mpii", "lspet")
Hits = dict[str, np.ndarray]
"""found, labelled: (N, 12) of each val person's limb joints. scores: (N,). elsewhere: the scores of background."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if "synthetic" in given.rows:
        train(PRETRAIN, given.data, given.out / "pretrained")
    pretrained = str(given.out / "pretrained" / "last.safetensors")
    rows = [row for row in ROWS if row == "base" or row in given.rows]
    runs = {row: [given.out / f"{row}-{seed}" for seed in range(given.seeds)] for row in rows}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, folders in runs.items():
            for seed, folder in enumerate(folders):
                options = f"{BASE} {ROWS[row][1].replace('PRETRAINED', pretrained)} --seed {seed}"
                pool.submit(train, options, given.data, folder)
    hits = {
        (row, name): [measure(folder, name, given.data) for folder in folders if (folder / "done").exists()]
        for row, folders in runs.items()
        for name in SETS
    }
    print("| | options | seeds | MPII | difference | LSPET | difference | person above background |")
    print("|---|---|---|---|---|---|---|---|")
    for row in given.rows:
        what, options = ROWS[row]
        if mine := hits[row, "mpii"]:
            cells = [what, f"`{options}`" if options else "", str(len(mine))]
            for name in SETS:
                cells += compared(hits[row, name], hits["base", name] if options else [])
            above = np.mean([(one["scores"][:, None] > one["elsewhere"][None]).mean() for one in mine])
            print(f"| {' | '.join(cells)} | {100 * above:.1f} |")


def train(options: str, data: Path, folder: Path) -> None:
    if (folder / "done").exists():
        return
    how = ["--resume"] if (folder / "state.pt").exists() else shlex.split(options)
    command = [sys.executable, "-m", "posehg", "train", *how, "--data", str(data), "--out", str(folder)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if not done.returncode:
        (folder / "done").touch()
    print(f"{folder.name}: {done.stderr[-500:]}", file=sys.stderr, flush=True)


def measure(folder: Path, name: str, data: Path) -> Hits:
    """The run's last network on a val split, without flip test; kept in the run's folder."""
    kept = folder / f"hits-{name}.npz"
    if not kept.exists():
        estimator = Estimator(open_engine(folder / "last.safetensors", EngineOptions("cpu")), flip=False)
        people = datasets.load(name, data, "val")
        poses, predicted, _ = annotated.predicted(estimator, people)
        distances = metrics.distances(metrics.PCK, predicted, people.persons, people.skeleton)
        distances = distances[:, metrics.limb_channels(people.skeleton, people.skeleton.joints)]
        scores, elsewhere = ([pose.score for pose in some] for some in (poses, estimator(backgrounds(people))))
        np.savez(kept, found=distances <= 0.2, labelled=np.isfinite(distances), scores=scores, elsewhere=elsewhere)
    with np.load(kept) as values:
        return dict(values)


def backgrounds(annotated: Any) -> Iterator[Region]:
    """A square beside the annotated people of each image that has room for one; the same for every network."""
    together: dict[Path, list[Any]] = {}
    for person in annotated.persons:
        together.setdefault(person.image, []).append(person)
    for number, people in enumerate(together.values()):
        image = annotated.read(people[0])
        box = background_box([person.box for person in people], image, np.random.default_rng(number))
        if box is not None:
            yield Region(image, box)


def compared(row: list[Hits], base: list[Hits], draws: int = 2000) -> list[str]:
    """The row's PCK; and less that of the base, with its 95 % interval: persons, and runs, drawn with replacement."""
    rng = np.random.default_rng(0)
    ours, theirs = (np.array([[hits["found"], hits["labelled"]] for hits in some], float) for some in (row, base))

    def pck(values: np.ndarray, runs: np.ndarray, people: np.ndarray) -> float:
        found, labelled = values[runs][:, :, people].sum(axis=(0, 2))
        return float(100 * (found / labelled).mean())

    whole = np.arange(ours.shape[2])
    middle = pck(ours, np.arange(len(ours)), whole)
    if not base:
        return [f"{middle:.1f}", ""]
    drawn = []
    for _ in range(draws):
        people, mine, its = (rng.integers(0, n, n) for n in (len(whole), len(ours), len(theirs)))
        drawn.append(pck(ours, mine, people) - pck(theirs, its, people))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return [f"{middle:.1f}", f"{middle - pck(theirs, np.arange(len(theirs)), whole):+.1f} ({low:+.1f} to {high:+.1f})"]


if __name__ == "__main__":
    main()
