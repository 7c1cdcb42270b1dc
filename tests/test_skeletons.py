from __future__ import annotations

import pytest

from posehg.errors import UsageError
from posehg.skeletons import COCO, FLIC, LIMB_JOINTS, LSP, MPII, SKELETONS, Skeleton, side

every_skeleton = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)


@pytest.mark.parametrize(("skeleton", "joints"), [(MPII, 16), (LSP, 14), (FLIC, 11), (COCO, 17)])
def test_a_known_skeleton_has_as_many_joints_as_its_data_set(skeleton: Skeleton, joints: int) -> None:
    assert len(skeleton.joints) == joints


@every_skeleton
def test_mirroring_twice_gives_every_joint_its_place_back(skeleton: Skeleton) -> None:
    assert [skeleton.flip[channel] for channel in skeleton.flip] == list(range(len(skeleton.joints)))


@every_skeleton
def test_mirroring_exchanges_left_and_right_and_leaves_the_middle(skeleton: Skeleton) -> None:
    other = {"left": "right", "right": "left", "middle": "middle"}
    for joint, twin in zip(skeleton.joints, skeleton.flip, strict=True):
        mirrored = skeleton.joints[twin]
        assert side(mirrored) == other[side(joint)]
        assert mirrored.removeprefix(f"{side(mirrored)}_") == joint.removeprefix(f"{side(joint)}_")


def test_mpii_is_mirrored_by_its_published_pairs() -> None:
    pairs = {(joint, twin) for joint, twin in enumerate(MPII.flip) if joint < twin}
    assert pairs == {(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)}


def test_flic_is_mirrored_by_its_published_order() -> None:
    assert FLIC.flip == (3, 4, 5, 0, 1, 2, 7, 6, 9, 8, 10)


def test_mpii_begins_at_the_right_ankle_and_ends_at_the_left_wrist() -> None:
    assert (MPII.joints[0], MPII.joints[9], MPII.joints[15]) == ("right_ankle", "head_top", "left_wrist")


@every_skeleton
def test_every_joint_of_a_limb_exists(skeleton: Skeleton) -> None:
    assert all(joint in skeleton.joints for limb in skeleton.limbs for joint in limb)


@every_skeleton
def test_no_limb_is_drawn_twice_or_from_a_joint_to_itself(skeleton: Skeleton) -> None:
    limbs = [frozenset(limb) for limb in skeleton.limbs]
    assert len(limbs) == len(set(limbs))
    assert all(len(limb) == 2 for limb in limbs)


@every_skeleton
def test_the_limbs_are_as_symmetric_as_the_body(skeleton: Skeleton) -> None:
    limbs = {frozenset(limb) for limb in skeleton.limb_indices}
    assert {frozenset(skeleton.flip[joint] for joint in limb) for limb in limbs} == limbs


@every_skeleton
def test_the_torso_that_pck_measures_by_exists(skeleton: Skeleton) -> None:
    assert set(skeleton.torso) <= set(skeleton.joints)


@pytest.mark.parametrize("skeleton", [MPII, LSP, COCO], ids=lambda skeleton: skeleton.name)
def test_whole_bodies_have_the_twelve_joints_of_arms_and_legs(skeleton: Skeleton) -> None:
    assert len(set(LIMB_JOINTS)) == 12
    assert set(LIMB_JOINTS) <= set(skeleton.joints)


def test_a_joint_is_found_by_its_name() -> None:
    assert MPII.index("left_wrist") == 15


def test_a_misspelt_joint_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="left_wirst") as caught:
        MPII.index("left_wirst")
    assert caught.value.hint == "Did you mean left_wrist?"


def test_an_unknown_joint_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        FLIC.index("Q")
    assert all(joint in caught.value.hint for joint in FLIC.joints)


@pytest.mark.parametrize("joints", [(), ("nose", "nose")])
def test_a_skeleton_has_joints_and_each_of_them_once(joints: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="no joints or names one twice"):
        Skeleton("odd", joints, ())


def test_a_limb_between_unknown_joints_is_refused() -> None:
    with pytest.raises(UsageError, match="tail"):
        Skeleton("dog", ("nose",), (("nose", "tail"),))


def test_a_side_without_its_other_side_is_its_own_mirror_image() -> None:
    assert Skeleton("hand", ("left_thumb", "palm"), ()).flip == (0, 1)
