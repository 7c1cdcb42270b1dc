"""What OpenPose writes with --write_json: a folder with a file for each picture or frame, joints as in BODY_25.

    NAME_keypoints.json, of a video's frames NAME_000000000000_keypoints.json and so on

    {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, c, ..], "face_keypoints_2d": [], ..}]}

https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/doc/02_output.md. Coordinates are pixels of the
upright picture, c is the joint's score. A joint that was not found, its score being under the threshold of --threshold,
is 0, 0, 0, and so are those that the network does not have: the feet, and the face of a network that was trained on
MPII. The neck is the middle of the shoulders and the middle of the hips lies between them, as in OpenPose's training;
where one of the two was not found, MPII's thorax and pelvis stand in. person_id is the id of somebody who is followed
through a video, else -1.

    import json
    import numpy as np

    with open("NAME_keypoints.json", encoding="utf-8") as file:
        people = [person["pose_keypoints_2d"] for person in json.load(file)["people"]]
    people = np.array(people).reshape(-1, 25, 3)  # (people, joints, 3): x, y, score
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posehg.files import atomic
from posehg.io.writers.json import line, pixels, score
from posehg.io.writers.result import Result
from posehg.poses import Pose

BODY_25 = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
    *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)
"""OpenPose's joints by the names that skeletons have for them."""

_MIDDLES = {
    "neck": ("left_shoulder", "right_shoulder", "thorax"),
    "mid_hip": ("left_hip", "right_hip", "pelvis"),
}
"""Joints that lie between two others, and what stands in for them."""

_EMPTY = (
    *("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "pose_keypoints_3d"),
    *("face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d"),
)
"""What readers look for, though only the body is found."""

Triple = tuple[float, float, float]


def write(path: Path, result: Result, overwrite: bool = False) -> None:
    """The file appears whole or not at all."""
    people = [_person(pose, result.look.threshold) for pose in result.found.poses]
    with atomic(path, overwrite) as temporary:
        temporary.write_text(line({"version": 1.3, "people": people}) + "\n", encoding="utf-8")


def body_25(pose: Pose, threshold: float) -> list[Triple]:
    """x, y and score of each joint of BODY_25; three zeros for one that was not found."""
    found = {
        joint: (float(x), float(y), float(sure))
        for joint, (x, y), sure in zip(pose.skeleton.joints, pose.keypoints, pose.scores, strict=True)
        if sure >= threshold
    }
    for middle, (left, right, stand_in) in _MIDDLES.items():
        if left in found and right in found:
            (ax, ay, a), (bx, by, b) = found[left], found[right]
            found[middle] = ((ax + bx) / 2, (ay + by) / 2, min(a, b))
        elif stand_in in found:
            found[middle] = found[stand_in]
    return [found.get(joint, (0.0, 0.0, 0.0)) for joint in BODY_25]


def _person(pose: Pose, threshold: float) -> dict[str, Any]:
    triples = [(pixels(x), pixels(y), score(sure)) for x, y, sure in body_25(pose, threshold)]
    return {
        "person_id": [-1 if pose.id is None else pose.id],
        "pose_keypoints_2d": [number for triple in triples for number in triple],
        **{key: [] for key in _EMPTY},
    }
