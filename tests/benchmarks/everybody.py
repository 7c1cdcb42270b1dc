"""How many of the people on an image are found, and how many of those found are there, measured on annotated images.

    python tests/benchmarks/everybody.py --data DIR --model NAME --sets coco mpii --precision 0.7

DIR holds coco/ and mpii/. The images are halved by a hash of their names. On one half of the first set the threshold is
chosen: the lowest that reaches the given precision. The table of the other half has the figures at it and at the
default. A person counts if taller than 80 pixels. A person is found if a pose has an OKS of at least 0.5 on the joints
that network and annotation share; each person and each pose counts once, the most prominent pose first.

A pose of a smaller person, or of one annotated without joints, counts neither way. People who are not annotated at all
count as wrong where they are found, so that the precision is a lower bound: hardly on COCO, much on MPII.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from posehg import datasets, images
from posehg.checkpoints import find
from posehg.errors import NotAvailable
from posehg.geometry import Box
from posehg.inference.engines import EngineOptions, open_engine
from posehg.inference.estimator import Estimator
from posehg.inference.person_search import AllSearch, find_all, prominence
from posehg.poses import Person, Pose
from posehg.skeletons import Skeleton

TALL, SIMILAR = 80, 0.5
_AREA_OF_BOX = 0.53
"""Of a person without an annotated outline: the share of the box that COCO's people fill."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--sets", nargs="+", default=["coco", "mpii"], choices=["coco", "mpii"])
    parser.add_argument("--precision", type=float, default=0.7)
    given = parser.parse_args()
    torch.set_num_threads(2)
    estimator = Estimator(open_engine(find(given.model), EngineOptions("cpu")))
    frames = {name: frames_of(name, given.data) for name in given.sets}

    def tallies(which: int) -> dict[str, Tally]:
        halves = {name: [frame for frame in some if half(frame) == which] for name, some in frames.items()}
        return with_all({name: measured(estimator, some) for name, some in halves.items()})

    tuned = tallies(0)
    for name, tally in tuned.items():
        print(f"\n{name}, the half to tune on: {tally.images} images, {tally.people} people")
        print(f"{'precision':>10} {'recall':>7} {'threshold':>10}")
        for precision in (0.9, 0.8, 0.7, 0.6, 0.5):
            threshold = tally.threshold(precision)
            print(f"{precision:>10.0%} {tally.at(threshold)[0]:>7.1%} {threshold:>10.3f}")
    threshold = tuned[given.sets[0]].threshold(given.precision)
    print(f"\nchosen on {given.sets[0]} for a precision of {given.precision:.0%}: min_prominence = {threshold:.3f}")
    print("\nthe other half")
    print(f"{'':8} {'images':>8} {'people':>7} {'threshold':>10} {'recall':>7} {'precision':>10} {'s/image':>10}")
    for name, tally in tallies(1).items():
        for at in (threshold, AllSearch().min_prominence):
            recall, precision = tally.at(at)
            figures = f"{at:>10.3f} {recall:>7.1%} {precision:>10.1%} {tally.seconds / max(tally.images, 1):>10.2f}"
            print(f"{name:8} {tally.images:>8} {tally.people:>7} {figures}")


# ---- images ------------------------------------------------------------------------------------------------------


class Frame(NamedTuple):
    image: Path
    skeleton: Skeleton
    people: list[Person]


def frames_of(name: str, data: Path) -> list[Frame]:
    """COCO's images of whatever split is there; of MPII those with a person of the val split, and all on them."""
    loaded = []
    for split in ("train", "val"):
        try:
            part = datasets.load(name, data, split)
        except NotAvailable:
            continue
        skeleton = part.skeleton
        loaded.append([*part.persons, *part.ignored])
    wanted = {person.image for part in (loaded[-1:] if name == "mpii" else loaded) for person in part}
    together: dict[Path, list[Person]] = {image: [] for image in sorted(wanted)}
    for person in (person for part in loaded for person in part if person.image in together):
        together[person.image].append(person)
    return [Frame(image, skeleton, people) for image, people in together.items()]


def half(frame: Frame) -> int:
    """0 or 1, the same on every machine."""
    return int(hashlib.sha256(frame.image.name.encode()).hexdigest(), 16) % 2


# ---- who is found ------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """poses: the prominence of each pose that counts, and whether a person is there. people: who should be found."""

    poses: list[tuple[float, bool]] = field(default_factory=list)
    people: int = 0
    images: int = 0
    seconds: float = 0.0

    def threshold(self, precision: float) -> float:
        """The lowest of at least that precision; infinite if none has it."""
        ranked = sorted(self.poses, key=lambda pose: -pose[0])
        precisions = np.cumsum([there for _, there in ranked]) / np.arange(1, len(ranked) + 1)
        return float(np.array([score for score, _ in ranked])[precisions >= precision].min(initial=np.inf))

    def at(self, threshold: float) -> tuple[float, float]:
        """Recall and precision; the latter is NaN if nobody is found."""
        there = [right for score, right in self.poses if score >= threshold]
        return sum(there) / max(self.people, 1), sum(there) / len(there) if there else float("nan")


def with_all(tallies: dict[str, Tally]) -> dict[str, Tally]:
    total = Tally()
    for tally in tallies.values():
        total.poses += tally.poses
        total.people, total.images = total.people + tally.people, total.images + tally.images
        total.seconds += tally.seconds
    return {**tallies, "all": total}


def measured(estimator: Estimator, some: Iterable[Frame]) -> Tally:
    tally, search = Tally(), replace(AllSearch(), min_prominence=0.0)
    for frame in some:
        image = images.read(frame.image)
        start = time.perf_counter()
        poses = find_all(estimator, image, search)
        tally.seconds += time.perf_counter() - start
        tally.images += 1
        annotated = [Annotated.of(person, frame.skeleton, estimator.config.skeleton.joints) for person in frame.people]
        people = [person for person in annotated if person.joints]
        tally.people += sum(person.box.h > TALL for person in people)
        for pose in poses:  # the most prominent first
            score = prominence(pose, image, search.size_power, found_only=True)
            alike = sorted(people, key=lambda person: (person.box.h > TALL, person.oks(pose)), reverse=True)
            mine = next((person for person in alike if person.oks(pose) >= SIMILAR), None)
            if mine is not None:
                people.remove(mine)
                tally.poses += [(score, True)] if mine.box.h > TALL else []
            elif not any(not person.joints and person.shows(pose) for person in annotated):
                tally.poses.append((score, False))
    return tally


@dataclass(frozen=True, eq=False)
class Annotated:
    """A person, and what OKS needs. joints: name -> point, of those labelled."""

    box: Box
    joints: dict[str, np.ndarray]
    area: float
    sigmas: dict[str, float]

    @classmethod
    def of(cls, person: Person, skeleton: Skeleton, known: Sequence[str]) -> Annotated:
        """known: the joints that the network has."""
        # MPII's own boxes are squares that its scale makes: the body is where its joints are.
        body = person.box if person.area else (Box.bounding(person.keypoints) or person.box)
        named = dict(zip(skeleton.joints, person.keypoints, strict=True))
        labelled = {
            joint: point
            for joint, point in named.items()
            if np.isfinite(point).all() and joint in known and not person.crowd
        }
        sigmas = dict(zip(skeleton.joints, skeleton.oks_sigmas, strict=True))
        return cls(body, labelled, person.area or _AREA_OF_BOX * body.w * body.h, sigmas)

    def oks(self, pose: Pose) -> float:
        away = np.array([((pose[joint] - point) ** 2).sum() for joint, point in self.joints.items()])
        reach = 2 * np.array([self.sigmas[joint] for joint in self.joints])
        return float(np.exp(-away / (2 * reach**2 * self.area)).mean())

    def shows(self, pose: Pose) -> bool:
        (x, y), box = pose.box.center, self.box
        return box.x <= x <= box.x + box.w and box.y <= y <= box.y + box.h


if __name__ == "__main__":
    main()
