"""How well, and how fast, two people who walk past each other are followed through a rendered video.

    python tests/benchmarks/tracking.py --frames 2000 --seed 0

The bundled network finds and follows them; what is true is known, since posehg has rendered it (walkers.py). A pose is
of the person that it is most like, from an OKS of 0.3 on, and stays that of its id's person for as long as it is like
them; so it is counted where people are tracked (CLEAR MOT). Each of the two has the id of their first pose. An id that
is absent while its person is hidden or not found is kept; one that is on another person, or a new one, is not.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from walkers import FPS, Moment, Street

from posehg.checkpoints import find
from posehg.geometry import Box
from posehg.images import Image
from posehg.inference.detector import Detect, open_detector
from posehg.inference.engines import EngineOptions, open_engine
from posehg.inference.estimator import Estimator
from posehg.inference.oks import oks
from posehg.inference.person_search import find as find_people
from posehg.inference.tracking import Following, Tracker
from posehg.poses import Pose

SIMILAR = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--every", type=int, default=Following().every)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--detector", default="detector")
    given = parser.parse_args()
    torch.set_num_threads(1)
    estimator = Estimator(open_engine(find(given.model), EngineOptions("cpu")))
    detect = open_detector(find(given.detector), EngineOptions("cpu"))
    for seed in given.seed:
        measure(estimator, detect, Street(seed), given.frames, replace(Following(), every=given.every))


def measure(estimator: Estimator, detect: Detect, street: Street, frames: int, options: Following) -> None:
    def search(image: Image, known: Sequence[Pose]) -> list[Pose]:
        return find_people(estimator, image, "all", detect=detect, known=known)

    tracker = Tracker(estimator, search, options)
    count, seconds, together = Count(), 0.0, 0
    for number in range(frames):
        moment = street.moment(number / FPS, number)
        start = time.perf_counter()
        poses = tracker(moment.image, moment.time)
        seconds += time.perf_counter() - start
        together += moment.hidden > 0.02
        count.add(poses, moment)
    print(f"seed {street.seed}: {frames} frames, in {together} of them one person hides another", flush=True)
    print(f"  {count.kept / frames:7.1%} of frames: nobody has a wrong id ({count.switches} switches)")
    for name in sorted(count.outcomes):
        print(f"  {count.outcomes[name] / count.outcomes.total():7.1%} of persons {name}")
    print(f"  {count.strays} poses of nobody; {len(count.ids)} ids")
    print(f"  {frames / seconds:.1f} frames a second", flush=True)


class Count:
    """What the tracker says of each frame against what is true."""

    def __init__(self) -> None:
        self.kept = self.switches = self.strays = 0
        self.outcomes: Counter[str] = Counter()
        self._first: dict[int, int] = {}  # person -> their id
        self._last: dict[int, int] = {}  # person -> the id of their last pose
        self.ids: set[int] = set()

    def add(self, poses: Sequence[Pose], moment: Moment) -> None:
        people = who(poses, moment, {id: person for person, id in self._last.items()})
        self.strays += len(poses) - len(people)
        self.ids |= {pose.id for pose in poses if pose.id is not None}
        wrong = 0
        for person in range(len(moment.joints)):
            id = people.get(person)
            if id is None:
                self.outcomes["not found"] += 1
                continue
            if id != self._first.setdefault(person, id):
                wrong += 1
            self.outcomes["found, with another id" if id != self._first[person] else "found, with their id"] += 1
            self.switches += self._last.get(person, id) != id
            self._last[person] = id
        self.kept += not wrong


def who(poses: Sequence[Pose], moment: Moment, before: dict[int, int]) -> dict[int, int]:
    """Person -> the id of their pose, each at most once. before: id -> person, of the last frames."""
    people: dict[int, int] = {}
    likeness = np.array([[_oks(pose, joints) for joints in moment.joints] for pose in poses])
    likeness = likeness.reshape(len(poses), len(moment.joints))
    ranked = sorted(zip(*np.nonzero(likeness >= SIMILAR), strict=True), key=lambda place: -likeness[place])
    ranked.sort(key=lambda place: before.get(poses[place[0]].id or 0) != place[1])  # who goes on comes first
    taken: set[int] = set()
    for place, person in ranked:
        if place not in taken and person not in people:
            taken.add(place)
            people[int(person)] = poses[place].id or 0
    return people


def _oks(pose: Pose, joints: np.ndarray) -> float:
    truth = Pose(pose.skeleton, joints, np.ones(len(joints)), Box.bounding(joints) or pose.crop, 1.0)
    return oks(replace(pose, scores=np.ones(len(joints))), truth)


if __name__ == "__main__":
    main()
