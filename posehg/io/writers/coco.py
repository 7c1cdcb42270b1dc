"""COCO's results list of a whole run, for COCO's tools and server, and for ``posehg eval --from``.

    [{"image_id": 785, "category_id": 1, "bbox": [x, y, w, h], "keypoints": [x, y, score, ..], "score": 0.9}, ..]

https://cocodataset.org/#format-results. Keypoints are in pixels of the upright image; the score of a joint stands where
annotations have a flag. An image without people has no entry.

The joints of a network for humans (MPII's, LSP's, FLIC's, COCO's or some of them) become COCO's 17 in COCO's order, as
its tools need them: joints that the network lacks are 0, 0, 0 (of MPII's the nose, eyes and ears), and those that COCO
lacks are left out. A network with other joints, such as an animal's, was trained on annotations that list them: its
results have this list, as tools need it to compare both.

image_id is COCO's number if the file is named as in COCO: 785 for 000000000785.jpg and COCO_val2014_000000000785.jpg.
Other images have their file name, and frames the name of the video with their number: frame 12 of walk.mp4 is
walk_000000000012. If an id is taken by another image of the run, the path as it was given replaces it.
"""

from pathlib import PurePath

from posehg.io.sources import coco_number
from posehg.io.writers.json import in_order, line, rounded, sides, triples
from posehg.io.writers.writer import TextWriter
from posehg.poses import Result
from posehg.skeletons import COCO, SKELETONS, Skeleton


def joints_of(skeleton: Skeleton) -> tuple[str, ...]:
    """The joints of a network's results: COCO's, if its own are some or all of a known skeleton of humans.

    As many joints as COCO has are kept in any case, as nothing in a file tells whose they are.
    """
    is_known = any(set(skeleton.joints) <= set(known.joints) for known in SKELETONS.values())
    fewer = len(skeleton.joints) < len(COCO.joints)
    return COCO.joints if skeleton.is_human and is_known and fewer else skeleton.joints


class CocoWriter(TextWriter):
    """One list of all people of a run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._separator = "[\n"
        self._owners: dict[int | str, str] = {}  # id -> source; a video owns the ids of all its frames by its stem

    def add(self, result: Result) -> None:
        name, number = PurePath(result.source), "" if result.frame is None else f"_{result.frame:012d}"
        known = coco_number(name.stem)
        id: int | str = name.name if known is None else known
        owned = id
        if number:
            id, owned = f"{name.stem}{number}", f"{name.stem}_"
        if result.people and self._owners.setdefault(owned, result.source) != result.source:
            id = f"{result.source}{number}"
        joints, own = joints_of(result.skeleton), result.skeleton.joints
        if joints == own != COCO.joints:
            self.remark = f"--save coco: the keypoints are the model's own {len(own)} joints, not COCO's 17."
        elif lacking := [joint.replace("_", " ") for joint in joints if joint not in own]:
            absent = ", ".join(lacking)
            self.remark = f"--save coco: of COCO's 17 joints the model does not have these, which are 0: {absent}."
        for pose in result.people:
            found = dict(zip(own, triples(pose), strict=True))
            keypoints = [value for triple in in_order(found, joints) for value in triple]
            entry = {"image_id": id, "category_id": 1, "bbox": sides(pose.bbox), "keypoints": keypoints}
            self.write(self._separator + line(entry | {"score": rounded(pose.score, 4)}))
            self._separator = ",\n"

    def finish(self) -> None:
        self.write("[]\n" if self._separator == "[\n" else "\n]\n")
