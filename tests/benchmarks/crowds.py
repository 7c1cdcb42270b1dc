"""How many of the people on an image are found, and how many of those found are there, measured on annotated images.

    python tests/benchmarks/crowds.py --sets DIR/coco7k/people-{split}.json coco --data DIR
    python tests/benchmarks/crowds.py --sets coco --data DIR --windows

A set is a name or file as posehg eval takes it, of which the val split is measured; of coco both splits are. A person
counts if taller than 80 pixels. A person is found if a pose has an OKS of at least 0.5 on the joints that network and
annotation share; each person and each pose counts once, the most prominent pose first. A pose of a smaller person, or
of one annotated without joints, counts neither way. People who are not annotated at all count as wrong where they are
found, so that the precision is a lower bound. ``one`` is how often the most prominent person, the first pose, is one of
the annotated people, of the images with one. --windows measures the search without detector.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from posehg import datasets, images
from posehg.checkpoints import find as find_model
from posehg.errors import NotAvailable
from posehg.geometry import Box
from posehg.inference.detector import Detect, open_detector
from posehg.inference.engines import EngineOptions, open_engine
from posehg.inference.estimator import Estimator
from posehg.inference.person_search import find
from posehg.poses import Person, Pose
from posehg.skeletons import Skeleton

TALL, SIMILAR = 80, 0.5
_AREA_OF_BOX = 0.53
"""Of a person without an annotated outline: the share of the box that COCO's people fill."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", nargs="+", default=["coco"])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--detector", default="detector")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--windows", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    options = EngineOptions("cpu")
    estimator = Estimator(open_engine(find_model(given.model), options))
    detect = None if given.windows else open_detector(find_model(given.detector), options)
    print(f"{'':20} {'images':>8} {'people':>7} {'recall':>7} {'precision':>10} {'one':>7} {'s/image':>8}")
    tallies = [measured(estimator, detect, frames_of(name, given.data)) for name in given.sets]
    for name, tally in zip([*given.sets, "all"], [*tallies, Tally(*map(sum, zip(*tallies, strict=True)))], strict=True):
        shown = f"{tally.right / tally.people:7.1%} {tally.right / max(1, tally.found):>10.1%}"
        times = f"{tally.first / max(1, tally.firsts):7.1%} {tally.seconds / tally.images:8.2f}"
        print(f"{Path(name).parent.name or name:20} {tally.images:>8} {tally.people:>7} {shown} {times}")


# ---- images ------------------------------------------------------------------------------------------------------


class Frame(NamedTuple):
    image: Path
    skeleton: Skeleton
    people: list[Person]


def frames_of(name: str, data: Path | None, splits: Sequence[str] = ("train", "val")) -> list[Frame]:
    """The images of the val split, of coco of whatever split is there; of MPII all people on them."""
    loaded = []
    for split in splits:
        try:
            part = datasets.load_one(name, data, split)
        except NotAvailable:
            continue
        skeleton = part.skeleton
        loaded.append([*part.persons, *part.ignored])
    wanted = {person.image for part in (loaded if name == "coco" else loaded[-1:]) for person in part}
    together: dict[Path, list[Person]] = {image: [] for image in sorted(wanted)}
    for person in (person for part in loaded for person in part if person.image in together):
        together[person.image].append(person)
    return [Frame(image, skeleton, people) for image, people in together.items()]


# ---- who is found ------------------------------------------------------------------------------------------------


class Tally(NamedTuple):
    """people: who should be found. found: the poses that count. right: of them, those of a person who should be found.
    firsts: the images with such people and a pose. first: those whose first pose is of an annotated person."""

    images: int = 0
    people: int = 0
    found: int = 0
    right: int = 0
    firsts: int = 0
    first: int = 0
    seconds: float = 0.0


def measured(estimator: Estimator, detect: Detect | None, some: Iterable[Frame]) -> Tally:
    rows = []
    for frame in some:
        image = images.read(frame.image)
        start = time.perf_counter()
        poses = find(estimator, image, "all", detect=detect)
        seconds = time.perf_counter() - start
        people, judged = judge(poses, frame, estimator.config.skeleton.joints)
        counted = [is_right for is_right in judged if is_right is not None]
        has_first = people > 0 and len(poses) > 0
        first = has_first and judged[0] is not False
        rows.append(Tally(1, people, len(counted), sum(counted), has_first, first, seconds))
    return Tally(*map(sum, zip(*rows, strict=True)))


def judge(poses: Sequence[Pose], frame: Frame, known: Sequence[str]) -> tuple[int, list[bool | None]]:
    """How many people should be found, and of each pose whether it is one of them; None if it does not count."""
    annotated = [Annotated.of(person, frame.skeleton, known) for person in frame.people]
    people = [person for person in annotated if person.joints]
    count, judged = sum(person.box.h > TALL for person in people), list[bool | None]()
    for pose in poses:  # the most prominent first
        alike = sorted(people, key=lambda person: (person.box.h > TALL, person.oks(pose)), reverse=True)
        mine = next((person for person in alike if person.oks(pose) >= SIMILAR), None)
        if mine is not None:
            people.remove(mine)
            judged.append(True if mine.box.h > TALL else None)
        else:
            unlabelled = any(not person.joints and person.shows(pose) for person in annotated)
            judged.append(None if unlabelled else False)
    return count, judged


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
        (x, y), box = pose.bbox.center, self.box
        return box.x <= x <= box.x + box.w and box.y <= y <= box.y + box.h


if __name__ == "__main__":
    main()
