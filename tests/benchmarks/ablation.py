"""What makes small, noisy data go far, measured: one small network, one ingredient changed at a time, several seeds.

    python tests/benchmarks/ablation.py --data DIR --out runs/ablation            # train what is missing, and the table
    python tests/benchmarks/ablation.py --data DIR --out runs/ablation --table    # the table of what is there

DIR holds mpii/ and lspet/ (or packs of them). Each run is a ``posehg train`` of some minutes on one CPU core; runs that
are done are kept, so that the script can be stopped and started again.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NETWORK = "--stacks 1 --features 64 --stem 16-32-64 --depth 3 --input-size 96 --batch 32 --precision bf16 --threads 1"
RECIPE = "--loss cross-entropy --optimizer adamw --schedule one-cycle --lr 3e-3 --weight-decay 0.01"
BASE = f"{NETWORK} {RECIPE} --dataset mpii:2+lspet --epochs 4"
PRETRAIN = f"{NETWORK} {RECIPE} --dataset synthetic:0.5 --epochs 2 --seed 100"


@dataclass(frozen=True)
class Row:
    name: str
    what: str
    options: str = ""


ROWS = (
    Row("base", "the recipe"),
    Row("mse", "the paper's loss", "--loss mse"),
    Row("weighted-mse", "weighted MSE", "--loss weighted-mse"),
    Row("synthetic", "first trained on synthetic people", "--init PRETRAINED"),
    Row("translation", "random translation", "--translation 0.1"),
    Row("occlusion", "occluders", "--occlusion 0.5"),
    Row("half-body", "half-body crops", "--half-body 0.3"),
    Row("background", "background crops", "--background 0.1"),
    Row("rotation", "rotation up to 60 degrees", "--rotation 60"),
    Row("ema", "moving average of the weights", "--ema 0.999"),
    Row("equal", "no extra weight for MPII", "--dataset mpii+lspet:1.2304"),
    Row("mpii-more", "MPII four times, half of LSPET", "--dataset mpii:4+lspet:0.5390"),
)
"""Each row is the base with these options after its own: the last one counts. An epoch has 13,148 crops in each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rows", nargs="*", default=[row.name for row in ROWS])
    parser.add_argument("--table", action="store_true", help="do not train")
    given = parser.parse_args()
    rows = [row for row in ROWS if row.name in given.rows]
    given.out.mkdir(parents=True, exist_ok=True)
    if not given.table:
        _train_all(rows, given.seeds, given.jobs, given.data, given.out)
    print("\n".join(_table(rows, given.seeds, given.data, given.out)))


# ---- runs --------------------------------------------------------------------------------------------------------


def _train_all(rows: list[Row], seeds: int, jobs: int, data: Path, out: Path) -> None:
    if any("PRETRAINED" in row.options for row in rows):
        _train(PRETRAIN, data, out / "pretrained")
    with ThreadPoolExecutor(jobs) as pool:
        runs = [(row, seed) for seed in range(seeds) for row in rows]
        list(pool.map(lambda run: _train(f"{_command(*run, out)}", data, _folder(out, *run)), runs))


def _command(row: Row, seed: int, out: Path) -> str:
    options = row.options.replace("PRETRAINED", str(out / "pretrained" / "last.safetensors"))
    return f"{BASE} {options} --seed {seed}"


def _folder(out: Path, row: Row, seed: int) -> Path:
    return out / f"{row.name}-{seed}"


def _train(options: str, data: Path, folder: Path) -> None:
    if (folder / "done").exists():
        return
    how = ["--resume"] if (folder / "state.pt").exists() else shlex.split(options)
    command = [sys.executable, "-m", "posehg", "train", *how, "--data", str(data), "--out", str(folder)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode:
        print(f"{folder.name}: {done.stderr[-500:]}", file=sys.stderr)
        return
    (folder / "done").touch()
    print(f"{folder.name}: {done.stderr.splitlines()[-2]}", file=sys.stderr, flush=True)


# ---- figures -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Hits:
    """found, labelled: (N, 12) of each val person's limb joints. scores: (N,). elsewhere: the scores of background."""

    found: Floats
    labelled: Floats
    scores: Floats
    elsewhere: Floats


def _measure(folder: Path, name: str, data: Path) -> Hits:
    """The run's last network on a val split, without flip test; kept in the run's folder."""
    kept = folder / f"hits-{name}.npz"
    if not kept.exists():
        np.savez(kept, **vars(_hits(folder / "last.safetensors", name, data)))
    with np.load(kept) as values:
        return Hits(**{key: values[key] for key in values.files})


def _hits(model: Path, name: str, data: Path) -> Hits:
    from posehg import datasets, metrics
    from posehg.inference import engines, persons
    from posehg.inference.engines import Run
    from posehg.inference.estimator import Estimator

    estimator = Estimator(engines.open_engine(model, Run("cpu")), flip=False)
    annotated = datasets.load(name, data, "val")
    poses, predicted = persons.predicted(estimator, annotated)
    truth = np.stack([person.keypoints for person in annotated.persons])
    unit = metrics.torso_sizes(truth, annotated.skeleton)
    distances = metrics.normalised_distances(predicted, truth, unit)[:, metrics.limb_channels(annotated.skeleton)]
    with np.errstate(invalid="ignore"):
        found = (distances <= 0.2).astype(float)
    scores = np.array([pose.score for pose in poses])
    elsewhere = np.array([pose.score for pose in estimator(_backgrounds(annotated))])
    return Hits(found, np.isfinite(distances).astype(float), scores, elsewhere)


def _backgrounds(annotated: object) -> Iterator[object]:
    """A square beside the annotated people of each picture that has room for one; the same for every network."""
    from posehg.training.views import background_box

    from posehg.inference.estimator import Region

    together: dict[Path, list[object]] = {}
    for person in annotated.persons:  # type: ignore[attr-defined]
        together.setdefault(person.image, []).append(person)
    for number, people in enumerate(together.values()):
        image = annotated.read(people[0])  # type: ignore[attr-defined]
        box = background_box([p.box for p in people], image, np.random.default_rng(number))  # type: ignore[attr-defined]
        if box is not None:
            yield Region(image, box)


def _pck(found: Floats, labelled: Floats) -> float:
    """The mean of the joints' percentages: (S, N, 12) of S runs."""
    return float(100 * (found.sum((0, 1)) / labelled.sum((0, 1))).mean())


def _difference(row: list[Hits], base: list[Hits], draws: int = 2000) -> tuple[float, float, float]:
    """The row's PCK less that of the base, and its 95 % interval: persons, and runs of each, drawn with replacement."""
    rng = np.random.default_rng(0)
    ours, theirs = (np.stack([np.stack((h.found, h.labelled)) for h in hits], axis=1) for hits in (row, base))

    def difference(persons: NDArray[np.int64], mine: NDArray[np.int64], its: NDArray[np.int64]) -> float:
        (found, labelled), (f, n) = ours[:, mine][:, :, persons], theirs[:, its][:, :, persons]
        return _pck(found, labelled) - _pck(f, n)

    count = ours.shape[2]
    drawn = [
        difference(*(rng.integers(0, n, n) for n in (count, ours.shape[1], theirs.shape[1]))) for _ in range(draws)
    ]
    everything = difference(np.arange(count), np.arange(ours.shape[1]), np.arange(theirs.shape[1]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return everything, float(low), float(high)


def _auc(hits: list[Hits]) -> float:
    """How often, in percent, a person's score is above that of a background."""
    return 100 * float(np.mean([(h.scores[:, None] > h.elsewhere[None]).mean() for h in hits]))


def _table(rows: list[Row], seeds: int, data: Path, out: Path) -> list[str]:
    lines = [
        "| | options | seeds | MPII | difference | LSPET | difference | person above background |",
        "|---|---|---|---|---|---|---|---|",
    ]
    base = {name: _all_hits(ROWS[0], seeds, name, data, out) for name in ("mpii", "lspet")}
    for row in rows:
        hits = {name: _all_hits(row, seeds, name, data, out) for name in ("mpii", "lspet")}
        if not hits["mpii"] or not base["mpii"]:
            continue
        cells = [row.what, f"`{row.options}`" if row.options else "", str(len(hits["mpii"]))]
        for name in ("mpii", "lspet"):
            found, labelled = (np.stack([getattr(h, key) for h in hits[name]]) for key in ("found", "labelled"))
            middle, low, high = _difference(hits[name], base[name])
            cells += [
                f"{_pck(found, labelled):.1f}",
                f"{middle:+.1f} ({low:+.1f} to {high:+.1f})" if row.options else "",
            ]
        lines.append(f"| {' | '.join(cells)} | {_auc(hits['mpii']):.1f} |")
    return lines


def _all_hits(row: Row, seeds: int, name: str, data: Path, out: Path) -> list[Hits]:
    folders = [_folder(out, row, seed) for seed in range(seeds)]
    return [_measure(folder, name, data) for folder in folders if (folder / "done").exists()]


if __name__ == "__main__":
    main()
