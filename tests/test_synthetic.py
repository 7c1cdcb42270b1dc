"""The rendered data set: the same every time, left and right told apart, joints where the picture shows them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.datasets import synthetic
from posehg.errors import UsageError
from posehg.geometry import Box
from posehg.skeletons import MPII
from posehg.synthetic import body as bodies
from posehg.synthetic.camera import Camera, facing
from posehg.synthetic.figure import dress
from posehg.synthetic.outfits import random_outfit
from posehg.synthetic.postures import LIMITS, Posture, random_posture
from posehg.synthetic.renderer import Light, render
from posehg.synthetic.scene import hidden_by_body, random_scene

seeds = st.integers(0, 2**32 - 1)
SOME = settings(max_examples=15, deadline=None)


def attention() -> Posture:
    """Standing upright, arms hanging, all angles zero."""
    return Posture(*(np.zeros(3) for _ in range(3)), np.zeros((2, 3)), np.zeros(2), np.zeros((2, 3)), *np.zeros((3, 2)))


def projected(body: bodies.Body, turn: float, pitch: float = 0.0, roll: float = 0.0) -> dict[str, np.ndarray]:
    points, _ = Camera(facing(turn, pitch, roll), body.joints.mean(axis=0), 4.0, 100.0).project(body.joints)
    return dict(zip(MPII.joints, points, strict=True))


@pytest.fixture(scope="module", params=["train", "val"])
def dataset(request):
    return synthetic.load(None, request.param)


def test_a_split_has_its_persons_and_they_look_as_annotations_should(dataset):
    assert len(dataset) == synthetic.SPLITS[dataset.split]
    for person in [*dataset.persons[:6], dataset.persons[-1]]:
        image = dataset.read(person)
        assert image.dtype == np.uint8
        assert image.shape[2:] == (3,)
        assert all(192 <= side <= 256 for side in image.shape[:2])
        assert person.keypoints.shape == (16, 2)
        assert person.keypoints.dtype == np.float64
        assert np.isfinite(person.keypoints).all()
        assert person.visible.shape == (16,)
        assert person.visible.dtype == bool
        assert person.head_size > 5
        whole = Box(0, 0, image.shape[1], image.shape[0])
        assert person.box.intersection(whole) == pytest.approx(person.box.w * person.box.h)


def test_a_picture_and_its_annotation_are_the_same_every_time():
    def once():
        synthetic._scene.cache_clear()
        dataset = synthetic.load(Path("nowhere"), "train")
        person = dataset.persons[7777]
        return dataset.read(person), person

    (image, person), (again, same) = once(), once()
    assert np.array_equal(image, again)
    assert np.array_equal(person.keypoints, same.keypoints)
    assert np.array_equal(person.visible, same.visible)
    assert person.box == same.box
    assert person.id == same.id == "train/00007777"


def test_the_splits_and_the_pictures_within_them_differ():
    train, val = (synthetic.load(None, split) for split in synthetic.SPLITS)
    places = {tuple(person.keypoints.ravel()) for data in (train, val) for person in data.persons[:30]}
    assert len(places) == 60
    assert not {p.image for p in train.persons[:30]} & {p.image for p in val.persons[:30]}


def test_persons_are_a_sequence():
    persons = synthetic.load(None, "val").persons
    assert persons[-1].id == persons[499].id == "val/00000499"
    assert [person.id for person in persons[2:8:3]] == ["val/00000002", "val/00000005"]
    with pytest.raises(IndexError):
        persons[500]


def test_a_data_set_goes_to_another_process():
    dataset = pickle.loads(pickle.dumps(synthetic.load(None, "val")))
    assert dataset.read(dataset.persons[3]).shape[2] == 3


def test_an_unknown_split_is_refused_with_the_known_ones():
    with pytest.raises(UsageError) as error:
        synthetic.load(None, "test")
    assert "train, val" in error.value.hint


def test_the_demonstration_pictures_have_the_asked_size():
    image, person = synthetic.render(1, 128)
    assert image.shape == (128, 128, 3)
    assert person.keypoints.max() < 200
    assert synthetic.background(1, 96).shape == (96, 96, 3)
    assert not np.array_equal(synthetic.background(1, 96), synthetic.background(2, 96))


@given(seeds, st.floats(-60, 60), st.floats(-30, 30))
@SOME
def test_the_left_of_somebody_who_faces_the_camera_is_on_the_pictures_right(seed, turn, pitch):
    body = bodies.build(bodies.random_proportions(np.random.default_rng(seed)), attention())
    front, back = projected(body, turn, pitch), projected(body, 180 + turn, pitch)
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        assert front[f"left_{joint}"][0] > front[f"right_{joint}"][0]
        assert back[f"left_{joint}"][0] < back[f"right_{joint}"][0]


def test_a_camera_at_the_left_sees_the_left_side_nearer_and_the_front_at_the_pictures_left():
    posture = attention()
    posture.arms[:, 0] = 90  # both arms forward
    body = bodies.build(bodies.Proportions(), posture)
    camera = Camera(facing(90), np.zeros(3), 4.0, 100.0)
    points, depth = camera.project(body.joints)
    assert depth[MPII.index("left_hip")] < depth[MPII.index("right_hip")]
    assert points[MPII.index("left_wrist"), 0] < points[MPII.index("left_shoulder"), 0]
    assert facing(0, 90)[2] == pytest.approx([0, -1, 0])  # from above, looking down


def test_limbs_bend_the_way_they_do():
    posture = attention()
    posture.knees[:], posture.elbows[:], posture.hips[:, 0] = 60, 60, 30
    body = bodies.build(bodies.Proportions(), posture)
    for side in bodies.SIDES:
        assert body.joint(f"{side}_wrist")[2] > body.joint(f"{side}_elbow")[2] + 0.05
        assert body.joint(f"{side}_knee")[2] > body.joint(f"{side}_hip")[2] + 0.05
        assert body.joint(f"{side}_ankle")[2] < body.joint(f"{side}_knee")[2] - 0.05
    posture.arms[:, 1] = 90  # and lift to their own sides
    body = bodies.build(bodies.Proportions(), posture)
    assert body.joint("left_elbow")[0] > 0.2
    assert body.joint("right_elbow")[0] < -0.2


@given(seeds)
@SOME
def test_bones_keep_their_lengths_in_every_posture(seed):
    rng = np.random.default_rng(seed)
    proportions = bodies.random_proportions(rng)
    body = bodies.build(proportions, random_posture(rng))

    def between(a: str, b: str) -> float:
        return float(np.linalg.norm(body.joint(a) - body.joint(b)))

    for side in bodies.SIDES:
        assert between(f"{side}_shoulder", f"{side}_elbow") == pytest.approx(proportions.upper_arm)
        assert between(f"{side}_elbow", f"{side}_wrist") == pytest.approx(proportions.forearm)
        assert between(f"{side}_hip", f"{side}_knee") == pytest.approx(proportions.thigh)
        assert between(f"{side}_knee", f"{side}_ankle") == pytest.approx(proportions.shank)
    assert between("upper_neck", "head_top") == pytest.approx(proportions.head)
    assert body.joint("pelvis") == pytest.approx((body.joint("left_hip") + body.joint("right_hip")) / 2)
    assert (
        np.linalg.norm(body.joint("thorax") - (body.joint("left_shoulder") + body.joint("right_shoulder")) / 2) < 0.04
    )
    assert np.allclose(body.frames @ body.frames.transpose(0, 2, 1), np.eye(3), atol=1e-6)


@given(seeds)
@SOME
def test_postures_keep_to_the_limits(seed):
    posture = random_posture(np.random.default_rng(seed))
    for name, (low, high) in LIMITS.items():
        angles = getattr(posture, name)
        assert ((angles >= low) & (angles <= high)).all()


@given(seeds)
@SOME
def test_visible_joints_lie_on_the_silhouette(seed):
    """As painted, within a pixel, since the joint is rounded to one."""
    scene = random_scene((seed,), 200)
    white = Light(np.array((0, 0, -1), dtype=np.float32), np.zeros(3, np.float32), np.ones(3, np.float32))
    layer = render(scene.mesh, scene.camera, np.ones((9 * 64 * 64, 3), np.float32), white, scene.size)
    assert layer is not None
    canvas = np.zeros((200, 200, 3), np.float32)
    layer.over(canvas)
    points = scene.camera.project(scene.body.joints)[0]
    for x, y in points[~hidden_by_body(scene.body, scene.camera)]:
        if 1 <= x < 198 and 1 <= y < 198:
            column, row = round(x), round(y)
            assert canvas[row - 1 : row + 2, column - 1 : column + 2].max() > 0.5


def test_what_is_behind_the_body_is_hidden():
    posture = attention()
    posture.arms[:, 0], posture.elbows[:] = -40, 60  # hands behind the back
    body = bodies.build(bodies.Proportions(), posture)
    hidden = dict(zip(MPII.joints, hidden_by_body(body, Camera(facing(90), np.zeros(3), 4.0, 100.0)), strict=True))
    assert all(hidden[f"right_{joint}"] for joint in ("shoulder", "hip", "knee"))
    assert not any(hidden[f"left_{joint}"] for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"))


def test_most_people_stand_upright_and_some_on_their_heads():
    persons = synthetic.load(None, "train").persons[:150]
    trunks = np.stack([p.keypoints[MPII.index("thorax")] - p.keypoints[MPII.index("pelvis")] for p in persons])
    from_upright = np.abs(np.degrees(np.arctan2(trunks[:, 0], -trunks[:, 1])))
    assert 0.7 < (from_upright < 45).mean() < 0.9
    assert (from_upright > 135).sum() >= 2


def test_front_and_back_look_different():
    """The same body in the same light, seen from both sides: the face and the shirt's front are not on the back."""
    rng = np.random.default_rng(5)
    body = bodies.build(bodies.Proportions(), attention())
    mesh = dress(body, random_outfit(rng, feminine=False))
    fringe = np.linspace(0, 1, 64, dtype=np.float32)[None, None, :, None] * np.ones((9, 64, 1, 3), np.float32)
    white = Light(np.array((0, 0, -1), dtype=np.float32), np.zeros(3, np.float32), np.ones(3, np.float32))
    means = []
    for turn in (0, 180):
        camera = Camera(facing(turn), body.joints.mean(axis=0), 4.0, 400.0, (63.5, 63.5))
        layer = render(mesh, camera, np.abs(fringe - 0.5).reshape(-1, 3), white, (128, 128))
        assert layer is not None
        means.append(layer.colour.sum() / layer.alpha.sum())
    assert means[0] < 0.25 < means[1]  # a tile's middle columns are the front, its outer ones the back
