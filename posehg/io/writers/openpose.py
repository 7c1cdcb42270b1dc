"""OpenPose's --write_json: a file for each image or frame, with the joints of BODY_25.

    NAME_keypoints.json, for the frames of a video NAME_000000000000_keypoints.json and so on

    {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, c, ..], "face_keypoints_2d": [], ..}]}

https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/doc/02_output.md. Coordinates are pixels of the
upright image; c is the score of the joint. A joint with a score under --threshold is 0, 0, 0, and so is one that the
network does not have: the feet and, for networks trained on MPII, the face. The neck is the middle of the shoulders and
the mid hip that of the hips, as in OpenPose's training; if one of a pair is missing, MPII's thorax or pelvis replaces
the middle. person_id is the track id in a video, else -1.
"""

from collections.abc import Sequence
from pathlib import Path

from posehg.files import atomic
from posehg.io.writers.json import in_order, line, rounded
from posehg.io.writers.writer import ImageFileWriter
from posehg.poses import Pose, Result

BODY_25 = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
    *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)
"""OpenPose's joints by posehg's names."""

_MIDDLES = {"neck": ("left_shoulder", "right_shoulder", "thorax"), "mid_hip": ("left_hip", "right_hip", "pelvis")}
"""Joints between two others, and the joint that replaces them if one of the two is missing."""

_EMPTY: dict[str, list[float]] = {
    "pose_keypoints_3d": [],
    **{f"{part}_keypoints_{n}d": [] for n in (2, 3) for part in ("face", "hand_left", "hand_right")},
}
"""Keys that readers expect, though only the body is found."""


class OpenPoseWriter(ImageFileWriter):
    """The people of one image or frame."""

    def write(self, result: Result, path: Path) -> None:
        people = []
        for pose in result.people:
            joints = [[rounded(x, 2), rounded(y, 2), rounded(c, 4)] for x, y, c in body_25(pose, self.draw.threshold)]
            numbers = [number for joint in joints for number in joint]
            id = -1 if pose.id is None else pose.id
            people.append({"person_id": [id], "pose_keypoints_2d": numbers, **_EMPTY})
        with atomic(path, self.overwrite) as temporary:
            temporary.write_text(line({"version": 1.3, "people": people}) + "\n", encoding="utf-8")
        self.written.append(path)


def body_25(pose: Pose, threshold: float) -> list[Sequence[float]]:
    """x, y and score of each joint of BODY_25; three zeros for one that was not found."""
    found: dict[str, Sequence[float]] = {
        joint: (float(x), float(y), float(score))
        for joint, (x, y), score in zip(pose.skeleton.joints, pose.keypoints, pose.scores, strict=True)
        if score >= threshold
    }
    for middle, (left, right, stand_in) in _MIDDLES.items():
        if left in found and right in found:
            (ax, ay, a), (bx, by, b) = found[left], found[right]
            found[middle] = ((ax + bx) / 2, (ay + by) / 2, min(a, b))
        elif stand_in in found:
            found[middle] = found[stand_in]
    return in_order(found, BODY_25)
