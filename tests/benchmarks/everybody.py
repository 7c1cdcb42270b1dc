"""How many of the people on a picture are found, and how many of those found are there, measured on annotated pictures.

    python tests/benchmarks/everybody.py --data DIR --model NAME --sets coco mpii --precision 0.7

DIR holds coco/ and mpii/. The pictures are halved by a hash of their names. On one half of the first set the threshold
is chosen: the lowest that reaches the precision asked for. The table of the other half has the figures at it and at the
default one. Somebody counts who is taller than 80 pixels. Found is who has a pose of OKS 0.5 or more, on the joints
that network and annotation have in common; each person and each pose counts once, the most prominent pose first.

A pose of somebody smaller, or of somebody annotated without joints, counts neither way. People who are not annotated at
all count as wrong where they are found, so that the precision is a lower bound: hardly on COCO, much on MPII.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from posehg import datasets, images
from posehg.errors import NotAvailable
from posehg.geometry import Box
from posehg.inference.engines import Run
from posehg.inference.estimator import Estimator, opened
from posehg.inference.person_search import AllSearch, clearness, find_all
from posehg.poses import Person, Pose
from posehg.skeletons import Skeleton

TALL = 80
SIMILAR = 0.5
_AREA_OF_BOX = 0.53
"""Of somebody whose outline is not annotated: the share of the box that COCO's people fill."""
_PRECISIONS = (0.9, 0.8, 0.7, 0.6, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--sets", nargs="+", default=["coco", "mpii"], choices=["coco", "mpii"])
    parser.add_argument("--precision", type=float, default=0.7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=0, help="pictures of each set; 0: all")
    parser.add_argument("--tune-only", action="store_true", help="leave the half of the report alone")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    estimator = opened(given.model, Run("cpu"))
    halves = {name: halved(frames(name, given.data)[: given.limit or None]) for name in given.sets}
    tuned = {name: measured(estimator, tune) for name, (tune, _) in halves.items()}
    for name, tally in _with_all(tuned).items():
        print(f"\n{name}, the half to tune on: {tally}")
        print("\n".join(_curve(tally)))
    threshold = tuned[given.sets[0]].threshold(given.precision)
    print(f"\nchosen on {given.sets[0]} for a precision of {given.precision:.0%}: min_clearness = {threshold:.3f}")
    if not given.tune_only:
        _report({name: measured(estimator, rest) for name, (_, rest) in halves.items()}, threshold)


# ---- pictures ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """A picture with those who count, and the boxes of people who do not."""

    image: Path
    skeleton: Skeleton
    people: tuple[Person, ...]


def frames(name: str, data: Path) -> list[Frame]:
    """COCO's pictures of whatever split is there; of MPII those with a person of the val split, and all on them."""
    loaded = list(_splits(name, data))
    wanted = {person.image for person in (loaded[-1] if name == "mpii" else [p for part in loaded for p in part])}
    together: dict[Path, list[Person]] = {image: [] for image in sorted(wanted)}
    for person in (person for part in loaded for person in part):
        if person.image in together:
            together[person.image].append(person)
    skeleton = datasets.load(name, data, "val" if name == "mpii" else "train").skeleton
    return [Frame(image, skeleton, tuple(people)) for image, people in together.items()]


def _splits(name: str, data: Path) -> Iterable[list[Person]]:
    for split in ("train", "val"):
        try:
            loaded = datasets.load(name, data, split)
        except NotAvailable:
            continue
        yield [*loaded.persons, *loaded.ignored]


def halved(everything: Sequence[Frame]) -> tuple[list[Frame], list[Frame]]:
    """The same two halves on every machine."""
    sides = [int(hashlib.sha256(frame.image.name.encode()).hexdigest(), 16) % 2 for frame in everything]
    first, second = ([f for f, side in zip(everything, sides, strict=True) if side == which] for which in (0, 1))
    return first, second


# ---- who is found ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tally:
    """right: (prominence, whether somebody is there) of each pose that counts. people: who should be found."""

    right: list[tuple[float, bool]] = field(default_factory=list)
    people: int = 0
    pictures: int = 0
    seconds: float = 0.0

    def plus(self, other: Tally) -> Tally:
        return Tally(
            self.right + other.right,
            self.people + other.people,
            self.pictures + other.pictures,
            self.seconds + other.seconds,
        )

    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Threshold, recall and precision, from the most prominent pose on."""
        ranked = sorted(self.right, key=lambda pose: -pose[0])
        found = np.cumsum([there for _, there in ranked])
        count = np.arange(1, len(ranked) + 1)
        return np.array([score for score, _ in ranked]), found / max(self.people, 1), found / count

    def threshold(self, precision: float) -> float:
        """The lowest of at least that precision; infinite where none has it."""
        scores, _, precisions = self.curve()
        return float(scores[precisions >= precision].min(initial=np.inf))

    def at(self, threshold: float) -> tuple[float, float]:
        """Recall and precision; the latter is NaN where nobody is found."""
        there = [right for score, right in self.right if score >= threshold]
        return sum(there) / max(self.people, 1), sum(there) / len(there) if there else float("nan")

    def __str__(self) -> str:
        return f"{self.pictures} pictures, {self.people} people, {self.seconds / max(self.pictures, 1):.2f} s a picture"


def measured(estimator: Estimator, some: Iterable[Frame]) -> Tally:
    total = Tally()
    search = replace(AllSearch(), min_clearness=0.0)
    for frame in some:
        image = images.read(frame.image)
        start = time.perf_counter()
        poses = find_all(estimator, image, search)
        seconds = time.perf_counter() - start
        scores = [clearness(pose, image, search.size) for pose in poses]
        right, people = matched(poses, scores, frame, estimator.config.skeleton.joints)
        total = total.plus(Tally(right, people, 1, seconds))
    return total


def matched(
    poses: Sequence[Pose], scores: Sequence[float], frame: Frame, joints: Sequence[str]
) -> tuple[list[tuple[float, bool]], int]:
    """Each pose that counts with its score and whether it is somebody's; and how many people count.

    joints: those that the network has.
    """
    annotated = [_on(frame.skeleton, person, joints) for person in frame.people]
    people = [person for person in annotated if person.labelled]
    elsewhere = [person.box for person in annotated if not person.labelled]
    result: list[tuple[float, bool]] = []
    for pose, score in zip(poses, scores, strict=True):  # the most prominent first
        alike = sorted(people, key=lambda person: (person.tall, person.oks(pose)), reverse=True)
        mine = next((person for person in alike if person.oks(pose) >= SIMILAR), None)
        if mine is not None:
            people.remove(mine)
            result += [(score, True)] if mine.tall else []
        elif not any(_middle_in(pose, box) for box in elsewhere):
            result.append((score, False))
    return result, sum(person.tall for person in annotated if person.labelled)


@dataclass(frozen=True, eq=False)
class _Annotated:
    """Somebody, and what OKS needs. joints: name -> point, of those labelled."""

    box: Box
    joints: dict[str, np.ndarray]
    area: float
    sigmas: dict[str, float]

    @property
    def tall(self) -> bool:
        return self.box.h > TALL

    @property
    def labelled(self) -> bool:
        return bool(self.joints)

    def oks(self, pose: Pose) -> float:
        near = []
        for joint, point in self.joints.items():
            away = float(((pose.keypoints[pose.skeleton.index(joint)] - point) ** 2).sum())
            near.append(np.exp(-away / (2 * (2 * self.sigmas[joint]) ** 2 * self.area)))
        return float(np.mean(near))


def _on(skeleton: Skeleton, person: Person, known: Sequence[str]) -> _Annotated:
    """known: the joints that the network has."""
    # MPII's own boxes are squares that its scale makes: the body is where its joints are.
    body = person.box if person.area else (Box.bounding(person.keypoints) or person.box)
    joints = {
        joint: point
        for joint, point in zip(skeleton.joints, person.keypoints, strict=True)
        if np.isfinite(point).all() and joint in known and not person.crowd
    }
    sigmas = dict(zip(skeleton.joints, skeleton.oks_sigmas, strict=True))
    return _Annotated(body, joints, person.area or _AREA_OF_BOX * body.w * body.h, sigmas)


def _middle_in(pose: Pose, box: Box) -> bool:
    x, y = pose.box.center
    return box.x <= x <= box.x + box.w and box.y <= y <= box.y + box.h


# ---- tables ------------------------------------------------------------------------------------------------------


def _with_all(tallies: dict[str, Tally]) -> dict[str, Tally]:
    total = Tally()
    for tally in tallies.values():
        total = total.plus(tally)
    return {**tallies, "all": total}


def _curve(tally: Tally) -> Iterable[str]:
    yield f"{'precision':>10} {'recall':>7} {'threshold':>10}"
    for precision in _PRECISIONS:
        threshold = tally.threshold(precision)
        yield f"{precision:>10.0%} {tally.at(threshold)[0]:>7.1%} {threshold:>10.3f}"


def _report(tallies: dict[str, Tally], threshold: float) -> None:
    print("\nthe other half")
    print(f"{'':8} {'pictures':>8} {'people':>7} {'threshold':>10} {'recall':>7} {'precision':>10} {'s/picture':>10}")
    for name, tally in _with_all(tallies).items():
        for at in (threshold, AllSearch().min_clearness):
            recall, precision = tally.at(at)
            figures = f"{at:>10.3f} {recall:>7.1%} {precision:>10.1%} {tally.seconds / max(tally.pictures, 1):>10.2f}"
            print(f"{name:8} {tally.pictures:>8} {tally.people:>7} {figures}")


if __name__ == "__main__":
    main()
