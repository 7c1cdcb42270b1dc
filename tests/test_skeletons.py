from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


# ---- some of the joints ------------------------------------------------------------------------------------------

FIVE = ("head_top", "left_wrist", "left_elbow", "right_wrist", "right_elbow")


def limbs(skeleton: Skeleton) -> set[frozenset[str]]:
    return {frozenset(limb) for limb in skeleton.limbs}


def test_a_subset_has_its_joints_in_the_order_given_and_says_how_many() -> None:
    subset = MPII.subset(FIVE)
    assert (subset.name, subset.joints) == ("mpii-5", FIVE)


@every_skeleton
def test_a_subset_of_all_joints_has_all_limbs(skeleton: Skeleton) -> None:
    subset = skeleton.subset(skeleton.joints[::-1])
    assert subset.joints == skeleton.joints[::-1]
    assert (subset.limbs, subset.torso) == (skeleton.limbs, skeleton.torso)


def test_limbs_remain_where_both_ends_do() -> None:
    assert limbs(MPII.subset(FIVE)) == {
        frozenset(("left_elbow", "left_wrist")),
        frozenset(("right_elbow", "right_wrist")),
    }


def test_a_joint_left_out_between_two_others_leaves_one_limb_between_them() -> None:
    assert limbs(COCO.subset(("left_wrist", "left_shoulder"))) == {frozenset(("left_wrist", "left_shoulder"))}


def test_joints_left_out_in_a_row_leave_one_limb() -> None:
    chain = Skeleton("chain", tuple("abcde"), (("a", "b"), ("c", "b"), ("c", "d"), ("d", "e")))
    assert limbs(chain.subset("ea")) == {frozenset("ae")}


def test_a_joint_with_many_limbs_takes_them_with_it() -> None:
    assert limbs(MPII.subset(("upper_neck", "left_shoulder", "right_shoulder"))) == set()


@given(st.sampled_from(list(SKELETONS.values())), st.data())
def test_a_subset_draws_each_limb_once_between_its_own_joints(skeleton: Skeleton, data: st.DataObject) -> None:
    joints = data.draw(st.lists(st.sampled_from(skeleton.joints), unique=True, min_size=1))
    subset = skeleton.subset(joints)
    assert len(limbs(subset)) == len(subset.limbs)
    assert all(len(limb) == 2 and limb <= set(joints) for limb in limbs(subset))
    assert limbs(subset) >= {limb for limb in limbs(skeleton) if limb <= set(joints)}


@given(st.sets(st.sampled_from(MPII.joints), min_size=1))
def test_a_symmetric_subset_has_symmetric_limbs(chosen: set[str]) -> None:
    joints = tuple({MPII.joints[i] for joint in chosen for i in (MPII.index(joint), MPII.flip[MPII.index(joint)])})
    subset = MPII.subset(joints)
    indices = {frozenset(limb) for limb in subset.limb_indices}
    assert {frozenset(subset.flip[joint] for joint in limb) for limb in indices} == indices


def test_a_subset_keeps_the_torso_also_where_it_has_no_such_joints() -> None:
    assert FLIC.subset(("nose", "left_eye")).torso == FLIC.torso


def test_a_misspelt_joint_of_a_subset_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="left_wirst") as caught:
        MPII.subset(("head_top", "left_wirst"))
    assert caught.value.hint == "Did you mean left_wrist?"


@pytest.mark.parametrize("joints", [(), ("head_top", "pelvis", "head_top")])
def test_a_subset_has_joints_and_each_of_them_once(joints: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="no joints or names one twice"):
        MPII.subset(joints)
