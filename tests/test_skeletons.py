import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posehg.errors import UsageError
from posehg.skeletons import (
    COCO,
    DEFAULT_SIGMA,
    FLIC,
    LSP,
    MPII,
    SKELETONS,
    Skeleton,
    of_joints,
    side,
)

FIVE = ("head_top", "left_wrist", "left_elbow", "right_wrist", "right_elbow")
every_skeleton = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)


@every_skeleton
def test_mirroring_exchanges_left_and_right_and_leaves_the_middle(skeleton: Skeleton) -> None:
    other = {"left": "right", "right": "left", "middle": "middle"}
    for joint, twin in zip(skeleton.joints, skeleton.flip, strict=True):
        mirrored = skeleton.joints[twin]
        assert side(mirrored) == other[side(joint)]
        assert mirrored.removeprefix(f"{side(mirrored)}_") == joint.removeprefix(f"{side(joint)}_")
    pairs = {frozenset(limb) for limb in skeleton.limb_indices}
    assert {frozenset(skeleton.flip[joint] for joint in limb) for limb in pairs} == pairs


def test_mpii_and_flic_are_mirrored_as_published() -> None:
    pairs = {(joint, twin) for joint, twin in enumerate(MPII.flip) if joint < twin}
    assert pairs == {(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)}
    assert FLIC.flip == (3, 4, 5, 0, 1, 2, 7, 6, 9, 8, 10)


def test_an_unknown_joint_is_answered_with_the_nearest_name_or_all_names() -> None:
    for use in (MPII.index, lambda name: MPII.subset(("head_top", name))):
        with pytest.raises(UsageError, match="left_wirst") as caught:
            use("left_wirst")  # type: ignore[operator]
        assert caught.value.hint == "Did you mean left_wrist?"
    with pytest.raises(UsageError) as caught:
        FLIC.index("Q")
    assert all(joint in caught.value.hint for joint in FLIC.joints)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        *(("left_eye", "right_eye"), ("Left Eye", "Right Eye"), ("LEFT-EYE", "RIGHT-EYE"), ("l_eye", "r_eye")),
        *(("L_F_Paw", "R_F_Paw"), ("hand.L", "hand.R"), ("shoulder_left", "shoulder_right"), ("l.eye", "r.eye")),
        *(("lefteye", "righteye"), ("LeftEye", "RightEye"), ("leftEye", "rightEye"), ("LEFTEYE", "RIGHTEYE")),
        *(("LEye", "REye"), ("lEye", "rEye"), ("eyeLeft", "eyeRight"), ("eyeL", "eyeR"), ("HandLTip", "HandRTip")),
        *(("front_left_paw", "front_right_paw"), ("paw-left-1", "paw-right-1"), ("hand_L_tip", "hand_R_tip")),
        *(("wrist (L)", "wrist (R)"), ("[l]wrist", "[r]wrist"), ("lwrist", "rwrist"), ("LWRIST", "RWRIST")),
        *(("Ltoe", "Rtoe"), ("wristleft", "wristright"), ("EYELEFT", "EYERIGHT"), ("Leg_l2", "Leg_r2")),
        *(("Left_eye", "right_EYE"), ("l_eye", "right_eye")),
    ],
)
def test_names_tell_their_side(left: str, right: str) -> None:
    skeleton = Skeleton("odd", ("tail", right, "belly", left, "nose"), ())
    assert skeleton.flip == (0, 3, 2, 1, 4)
    assert (side(left), side(right)) == ("left", "right")


@pytest.mark.parametrize(
    "name",
    [
        *("nose", "lip", "L", "left", "rl_x", "upper_lip", "middle_lr", "_l_", "rear", "upright", "LED", "Rib"),
        *("cleft_x", "L1", "COL", "lower"),
    ],
)
def test_other_names_tell_no_side(name: str) -> None:
    assert side(name) == "middle"
    skeleton = Skeleton("odd", (name, "right_eye"), ())
    assert (skeleton.flip, skeleton.unpaired) == ((0, 1), (1,))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        *(("left", "right"), ("L", "R"), ("L1", "R1"), ("frontleftpaw", "frontrightpaw"), ("lfpaw", "rfpaw")),
        *(("FL_paw", "FR_paw"), ("lear", "rear")),
    ],
)
def test_names_that_tell_a_side_only_beside_their_counterpart_are_paired(left: str, right: str) -> None:
    skeleton = Skeleton("odd", ("tail", right, "belly", left, "nose"), ())
    assert (skeleton.flip, skeleton.sides[1], skeleton.sides[3]) == ((0, 3, 2, 1, 4), "right", "left")
    assert (side(right), skeleton.doubtful) == ("middle", ())
    assert skeleton.subset((right, "nose")).unpaired == (0,)  # the pair is not forgotten


@pytest.mark.parametrize(
    "joints", [("lower", "rower"), ("lip", "rip"), ("LED", "RED"), ("lf1", "rf1"), ("tail", "tair")]
)
def test_names_that_may_be_two_words_are_doubtful_unless_the_pairs_are_given(joints: tuple[str, str]) -> None:
    skeleton = Skeleton("odd", (*joints, "nose"), ())
    assert (skeleton.flip, skeleton.sides, skeleton.doubtful) == ((0, 1, 2), ("middle",) * 3, (joints,))
    paired = Skeleton("odd", (*joints, "nose"), (), flip_pairs=(joints,))
    assert (paired.flip, paired.sides, paired.doubtful) == ((1, 0, 2), ("left", "right", "middle"), ())
    assert Skeleton("odd", ("lhip", "rhip"), (), flip_pairs=()).doubtful == (("lhip", "rhip"),)


def test_names_with_two_sides_are_paired_if_there_is_one_way() -> None:
    assert Skeleton("odd", ("FL_paw", "FR_paw", "RL_paw", "RR_paw"), ()).flip == (1, 0, 3, 2)
    both = Skeleton("odd", ("LL_paw", "LR_paw", "RL_paw", "RR_paw"), ())
    assert (both.flip, len(both.doubtful)) == ((0, 1, 2, 3), 4)


def test_a_side_without_its_other_side_is_unpaired() -> None:
    assert Skeleton("odd", ("left_eye", "right_eye", "leftear", "nose", "RWrist"), ()).unpaired == (2, 4)
    assert Skeleton("odd", ("left_eye", "nose"), (), flip_pairs=()).unpaired == ()  # the pairs are all that counts
    whole = Skeleton("odd", tuple("abcd"), (), flip_pairs=(("a", "b"), ("c", "d")))
    half = whole.subset("dca").subset("ad")
    assert (half.flip, half.unpaired) == ((0, 1), (0, 1))
    assert Skeleton.from_dict(json.loads(json.dumps(half.as_dict()))) == half


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"joints": ()}, "odd"),
        ({"joints": ("paw", "paw", "eye")}, "odd"),
        ({"limbs": (("paw", "tail"),)}, "tail"),
        ({"flip_pairs": (("claw", "tail"),)}, "claw, tail"),
        ({"flip_pairs": (("paw", "ear"), ("ear", "eye"))}, "odd"),
        ({"flip_pairs": (("paw", "paw"),)}, "odd"),
        ({"sigmas": (0.1, 0.2)}, "sigmas"),
        ({"sigmas": (0.1, 0.2, 0.0)}, "sigmas"),
        ({"sigmas": (0.1, 0.2, float("nan"))}, "sigmas"),
        ({"sigmas": (0.1, 0.2, float("inf"))}, "sigmas"),
    ],
)
def test_what_cannot_be_is_refused(own: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Skeleton(**{"name": "odd", "joints": ("paw", "ear", "eye"), "limbs": (), **own})


def test_an_animal_is_not_human() -> None:
    assert all(skeleton.is_human for skeleton in SKELETONS.values())
    assert not Skeleton("animal", ("nose", "left_paw", "right_paw", "tail"), ()).is_human


def test_the_sigmas_are_the_published_ones() -> None:
    params = pytest.importorskip("pycocotools.cocoeval").Params(iouType="keypoints")
    np.testing.assert_allclose(COCO.oks_sigmas, params.kpt_oks_sigmas, atol=1e-12)
    assert np.mean(COCO.oks_sigmas) == pytest.approx(DEFAULT_SIGMA, abs=5e-4)
    assert LSP.oks_sigmas[-2:] == (0.079, 0.079)
    for joint, sigma in zip(MPII.joints, MPII.oks_sigmas, strict=True):
        if joint in COCO.joints:
            assert sigma == COCO.oks_sigmas[COCO.index(joint)]
    assert Skeleton("odd", ("tail", "left_hip"), ()).oks_sigmas == (DEFAULT_SIGMA, 0.107)


OWN = Skeleton("odd", ("paw", "ear"), (("ear", "paw"),), ("paw", "ear"), (("paw", "ear"),), (0.2, 0.3))


@pytest.mark.parametrize("skeleton", [*SKELETONS.values(), OWN, Skeleton("none", ("a", "b"), (), flip_pairs=())])
def test_a_skeleton_is_the_same_after_a_file(skeleton: Skeleton) -> None:
    assert Skeleton.from_dict(json.loads(json.dumps(skeleton.as_dict()))) == skeleton
    if skeleton in SKELETONS.values():  # the format of files
        assert list(skeleton.as_dict()) == ["name", "joints", "limbs", "torso"]


@pytest.mark.parametrize(
    "change",
    [
        *({"joints": [1, 2]}, {"joints": 3}, {"limbs": [["paw"]]}, {"limbs": 3}, {"torso": ["paw"]}, {"torso": None}),
        *({"flip_pairs": [["paw"]]}, {"sigmas": ["a", "b"]}, {"sigmas": [None, 1]}, {"colour": "red"}),
    ],
)
def test_a_file_that_holds_no_skeleton_is_an_error(change: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, UsageError)):
        Skeleton.from_dict(OWN.as_dict() | change)


def test_joints_of_a_known_skeleton_are_recognised() -> None:
    assert all(of_joints("mine", skeleton.joints) is skeleton for skeleton in SKELETONS.values())
    assert of_joints("mine", COCO.joints[::-1]) == COCO.subset(COCO.joints[::-1])
    assert of_joints("mine", ("pelvis", "left_hip")) == MPII.subset(("pelvis", "left_hip"))
    assert of_joints("mine", ("nose", "tail")) == Skeleton("mine", ("nose", "tail"), ())


def test_the_number_of_joints_tells_a_known_skeleton() -> None:
    """Checkpoints of other projects have no names of joints."""
    assert len({len(skeleton.joints) for skeleton in SKELETONS.values()}) == len(SKELETONS)


def limbs(skeleton: Skeleton) -> set[frozenset[str]]:
    return {frozenset(limb) for limb in skeleton.limbs}


def test_a_subset_has_its_joints_in_their_order_and_the_limbs_between_them() -> None:
    subset = MPII.subset(FIVE)
    assert (subset.name, subset.joints) == ("mpii-5", FIVE)
    assert limbs(subset) == {frozenset(("left_elbow", "left_wrist")), frozenset(("right_elbow", "right_wrist"))}
    assert FLIC.subset(("nose", "left_eye")).torso == FLIC.torso
    # Joints left out in a row leave one limb; one with many limbs takes them with it.
    chain = Skeleton("chain", tuple("abcde"), (("a", "b"), ("c", "b"), ("c", "d"), ("d", "e")))
    assert limbs(chain.subset("ea")) == {frozenset("ae")}
    assert limbs(MPII.subset(("upper_neck", "left_shoulder", "right_shoulder"))) == set()


def test_a_subset_keeps_pairs_and_sigmas_of_its_joints() -> None:
    whole = Skeleton("odd", tuple("abcde"), (), flip_pairs=(("a", "e"), ("b", "c")), sigmas=(0.2, 0.3, 0.5, 0.7, 1.1))
    subset = whole.subset("eac")
    assert (subset.flip, subset.oks_sigmas) == ((1, 0, 2), (1.1, 0.2, 0.5))


@given(st.sampled_from(list(SKELETONS.values())), st.data())
def test_a_subset_draws_each_limb_once_between_its_own_joints(skeleton: Skeleton, data: st.DataObject) -> None:
    joints = data.draw(st.lists(st.sampled_from(skeleton.joints), unique=True, min_size=1))
    subset = skeleton.subset(joints)
    assert len(limbs(subset)) == len(subset.limbs)
    assert all(len(limb) == 2 and limb <= set(joints) for limb in limbs(subset))
    assert limbs(subset) >= {limb for limb in limbs(skeleton) if limb <= set(joints)}
