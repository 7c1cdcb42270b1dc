"""The renderer: the same image for a seed, left and right told apart, joints where the image shows them."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.datasets import synthetic
from posehg.geometry import Box
from posehg.skeletons import MPII
from posehg.synthetic import body as bodies
from posehg.synthetic.body import LIMITS, Posture, random_posture
from posehg.synthetic.figure import dress
from posehg.synthetic.scene import Camera, Light, facing, hidden_by_body, random_scene, render
from posehg.synthetic.textures import random_outfit

seeds = st.integers(0, 2**32 - 1)
SOME = settings(max_examples=15)
WHITE = Light(np.array((0, 0, -1), dtype=np.float32), np.zeros(3, np.float32), np.ones(3, np.float32))


def attention() -> Posture:
    """Standing upright, arms hanging, all angles zero."""
    return Posture(*(np.zeros(3) for _ in range(3)), np.zeros((2, 3)), np.zeros(2), np.zeros((2, 3)), *np.zeros((3, 2)))


@pytest.mark.parametrize("split", synthetic.SPLITS)
def test_a_split_has_its_persons_who_lie_within_their_images(split: str) -> None:
    dataset = synthetic.load("synthetic", None, split)
    assert len(dataset) == synthetic.SPLITS[split]
    for person in [*dataset.persons[:6], dataset.persons[-1]]:
        height, width, _ = dataset.read(person).shape
        assert (192 <= height <= 256, 192 <= width <= 256) == (True, True)
        assert np.isfinite(person.keypoints).all()
        assert person.head_size > 5
        assert person.box.intersection(Box(0, 0, width, height)) == pytest.approx(person.box.w * person.box.h)
    with pytest.raises(IndexError):
        dataset.persons[len(dataset)]


def test_persons_are_the_same_every_time_and_in_every_process() -> None:
    train, val = (synthetic.load("synthetic", None, split) for split in synthetic.SPLITS)
    person, image = train.persons[7777], train.read(train.persons[7777])
    synthetic._scene.cache_clear()
    loaded = pickle.loads(pickle.dumps(train))
    again = loaded.persons[7777]
    np.testing.assert_array_equal(image, loaded.read(again))
    np.testing.assert_array_equal(person.keypoints, again.keypoints)
    np.testing.assert_array_equal(person.visible, again.visible)
    assert (person.box, person.id) == (again.box, "train/00007777")
    assert len({tuple(p.keypoints.ravel()) for data in (train, val) for p in data.persons[:30]}) == 60
    assert [p.id for p in val.persons[2:8:3]] == ["val/00000002", "val/00000005"]


def test_the_images_and_joints_of_a_seed_do_not_change_with_the_code() -> None:
    """Trained models and published figures depend on them."""
    images, persons = zip(*(synthetic.render(seed) for seed in range(20)), strict=True)
    assert images[0].shape == (256, 256, 3)
    joints = np.stack([person.keypoints for person in persons])
    weights = np.arange(joints.size).reshape(joints.shape)
    assert (joints * weights).sum() / weights.sum() == pytest.approx(120.561088, abs=1e-4)
    assert np.mean(images) == pytest.approx(99.1429, abs=0.02)


@given(seeds, st.floats(-60, 60), st.floats(-30, 30))
@SOME
def test_the_left_of_a_person_who_faces_the_camera_is_on_the_right(seed: int, turn: float, pitch: float) -> None:
    body = bodies.build(bodies.random_proportions(np.random.default_rng(seed)), attention())
    for angle, sign in ((turn, 1), (180 + turn, -1)):
        x = Camera(facing(angle, pitch), body.joints.mean(axis=0), 4.0, 100.0).project(body.joints)[0][:, 0]
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
            assert sign * (x[MPII.index(f"left_{joint}")] - x[MPII.index(f"right_{joint}")]) > 0


def test_a_camera_at_the_left_sees_the_left_side_nearer_and_the_front_at_the_left() -> None:
    posture = attention()
    posture.arms[:, 0] = 90  # both arms forward
    body = bodies.build(bodies.Proportions(), posture)
    points, depth = Camera(facing(90), np.zeros(3), 4.0, 100.0).project(body.joints)
    assert depth[MPII.index("left_hip")] < depth[MPII.index("right_hip")]
    assert points[MPII.index("left_wrist"), 0] < points[MPII.index("left_shoulder"), 0]
    assert facing(0, 90)[2] == pytest.approx([0, -1, 0])  # from above, looking down


def test_limbs_bend_the_way_they_do() -> None:
    posture = attention()
    posture.knees[:], posture.elbows[:], posture.hips[:, 0] = 60, 60, 30
    body = bodies.build(bodies.Proportions(), posture)
    for side in bodies.SIDES:
        assert body.joint(f"{side}_wrist")[2] > body.joint(f"{side}_elbow")[2] + 0.05
        assert body.joint(f"{side}_knee")[2] > body.joint(f"{side}_hip")[2] + 0.05
        assert body.joint(f"{side}_ankle")[2] < body.joint(f"{side}_knee")[2] - 0.05
    posture.arms[:, 1] = 90  # and lift to their own sides
    body = bodies.build(bodies.Proportions(), posture)
    assert body.joint("left_elbow")[0] > 0.2 > -0.2 > body.joint("right_elbow")[0]


@given(seeds)
@SOME
def test_bones_keep_their_lengths_and_postures_their_limits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, posture = bodies.random_proportions(rng), random_posture(rng)
    for name, (low, high) in LIMITS.items():
        assert ((getattr(posture, name) >= low) & (getattr(posture, name) <= high)).all()
    body = bodies.build(p, posture)
    lengths = {("upper_neck", "head_top"): p.head}
    for side in bodies.SIDES:
        for start, middle, end, upper, lower in (
            ("shoulder", "elbow", "wrist", p.upper_arm, p.forearm),
            ("hip", "knee", "ankle", p.thigh, p.shank),
        ):
            lengths |= {(f"{side}_{start}", f"{side}_{middle}"): upper, (f"{side}_{middle}", f"{side}_{end}"): lower}
    for (start, end), length in lengths.items():
        assert np.linalg.norm(body.joint(start) - body.joint(end)) == pytest.approx(length)
    assert body.joint("pelvis") == pytest.approx((body.joint("left_hip") + body.joint("right_hip")) / 2)
    shoulders = (body.joint("left_shoulder") + body.joint("right_shoulder")) / 2
    assert np.linalg.norm(body.joint("thorax") - shoulders) < 0.04
    assert np.allclose(body.frames @ body.frames.transpose(0, 2, 1), np.eye(3), atol=1e-6)


@given(seeds)
@SOME
def test_visible_joints_lie_on_the_silhouette(seed: int) -> None:
    """As painted, within a pixel, since the joint is rounded to one."""
    scene = random_scene((seed,), 200)
    covered = np.zeros((200, 200, 3), np.float32)
    render(covered, scene.mesh, scene.camera, np.ones((9 * 64 * 64, 3), np.float32), WHITE)
    points = scene.camera.project(scene.body.joints)[0]
    for x, y in points[~hidden_by_body(scene.body, scene.camera)]:
        if 1 <= x < 198 and 1 <= y < 198:
            column, row = round(x), round(y)
            assert covered[row - 1 : row + 2, column - 1 : column + 2].max() > 0.5


def test_what_is_behind_the_body_is_hidden() -> None:
    posture = attention()
    posture.arms[:, 0], posture.elbows[:] = -40, 60  # hands behind the back
    body = bodies.build(bodies.Proportions(), posture)
    hidden = dict(zip(MPII.joints, hidden_by_body(body, Camera(facing(90), np.zeros(3), 4.0, 100.0)), strict=True))
    assert all(hidden[f"right_{joint}"] for joint in ("shoulder", "hip", "knee"))
    assert not any(is_hidden for joint, is_hidden in hidden.items() if joint.startswith("left"))


def test_front_and_back_look_different() -> None:
    """The same body in the same light, seen from both sides: the face and the shirt's front are not on the back."""
    body = bodies.build(bodies.Proportions(), attention())
    mesh = dress(body, random_outfit(np.random.default_rng(5), feminine=False))
    fringe = np.abs(np.linspace(0, 1, 64) - 0.5)[None, None, :, None] * np.ones((9, 64, 1, 3), np.float32)
    sums = []
    for turn in (0, 180):
        camera = Camera(facing(turn), body.joints.mean(axis=0), 4.0, 400.0, (63.5, 63.5))
        for texture in (fringe, np.ones_like(fringe).repeat(64, axis=2)):
            canvas = np.zeros((128, 128, 3), np.float32)
            render(canvas, mesh, camera, texture.reshape(-1, 3).astype(np.float32), WHITE)
            sums.append(canvas.sum())
    # A tile's middle columns are the front, its outer ones the back.
    assert sums[0] / sums[1] < 0.25 < sums[2] / sums[3]
