from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import save_file as save_tensors
from torch import Tensor

from posehg import checkpoints, heatmaps
from posehg.checkpoints import Checkpoint, foreign
from posehg.checkpoints.foreign import FAMILIES
from posehg.config import HourglassConfig
from posehg.errors import UsageError
from posehg.geometry import Affine, Box
from posehg.network import StackedHourglass, parameters
from posehg.skeletons import COCO, FLIC, LSP, MPII, Skeleton
from tests.foreign_files import ANSWERS, MAKERS, Sizes, State, bearpaw, princeton, refused, wrapped

SIZES = Sizes(joints=5, stacks=3, features=6, depth=2, blocks=1, stem=(4, 10, 14))
WHOLE = Sizes(joints=16, stacks=2, features=256, depth=4, blocks=1, stem=(64, 128, 128))

family = pytest.mark.parametrize("family", FAMILIES)


def saved(state: Mapping[str, object], path: Path, **options: object) -> Path:
    torch.save(dict(state), path, **options)  # type: ignore[arg-type]
    return path


def imported(state: Mapping[str, object], folder: Path) -> Checkpoint:
    return checkpoints.load(saved(state, folder / "theirs.pth"))


def answers(checkpoint: Checkpoint, images: Tensor) -> list[Tensor]:
    """All stacks' heatmaps of images as they are, without the mean of the config subtracted."""
    network = checkpoint.network()
    with torch.inference_mode():
        outputs: list[Tensor] = network(images * network.normalise.std + network.normalise.mean)
        return outputs


def difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    assert len(ours) == len(theirs)
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))


# ---- the network ----------------------------------------------------------------------------------------------------


@family
@settings(max_examples=8)
@given(
    sizes=st.builds(
        Sizes,
        joints=st.integers(1, 7),
        stacks=st.integers(1, 3),
        features=st.sampled_from([2, 6, 10]),
        depth=st.integers(1, 3),
        blocks=st.integers(1, 3),
        stem=st.tuples(*[st.sampled_from([2, 4, 6, 10])] * 3),
    ),
    seed=st.integers(0, 99),
)
def test_whatever_its_sizes_it_gives_the_same_heatmaps_on_every_stack(
    tmp_path_factory: pytest.TempPathFactory, family: str, sizes: Sizes, seed: int
) -> None:
    sizes = sizes if family == "bearpaw" else replace(sizes, blocks=1)
    state = MAKERS[family](sizes, seed)
    checkpoint = imported(state, tmp_path_factory.mktemp("foreign"))
    network = checkpoint.config.network
    assert {name: getattr(network, name) for name in vars(sizes)} == vars(sizes)
    images = torch.rand(2, 3, network.multiple, 2 * network.multiple, generator=torch.Generator().manual_seed(seed))
    expected = ANSWERS[family](state, sizes, images)
    assert difference(answers(checkpoint, images), expected) <= 1e-5 * max(1.0, float(expected[-1].abs().max()))


def test_networks_of_the_published_size_are_read_whole(tmp_path: Path) -> None:
    sizes = replace(WHOLE, stacks=8, stem=(64, 128, 256))
    checkpoint = imported({"epoch": 3, "arch": "hg", "state_dict": wrapped(bearpaw(sizes), "module.")}, tmp_path)
    assert parameters(checkpoint.config.network) == 25_594_624
    state = princeton(WHOLE)
    assert len(state) == 742
    learned = {name: value for name, value in state.items() if "running_" not in name and "num_batches" not in name}
    assert sum(value.numel() for value in learned.values()) == 8_429_088
    checkpoint = imported(wrapped(state, "model.module."), tmp_path)
    assert parameters(checkpoint.config.network) == 6_570_400  # without the skips that the network does not use
    checkpoint.network()


# ---- the container ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "wrapper", "container"),
    [
        ("bearpaw", "", "flat"),
        ("princeton", "model.module.", "state_dict"),
        ("bearpaw", "_orig_mod.module.", "model"),
        ("bearpaw", "module.", "with a score"),
        ("princeton", "", "legacy"),
        ("princeton", "module.", "safetensors"),
    ],
)
def test_it_is_read_from_any_container(tmp_path: Path, family: str, wrapper: str, container: str) -> None:
    state = MAKERS[family](SIZES, 1)
    names = wrapped(state, wrapper)
    path = tmp_path / "theirs.any"
    match container:
        case "flat":
            saved(names, path)
        case "legacy":
            saved({"state_dict": names}, path, _use_new_zipfile_serialization=False)
        case "safetensors":
            save_tensors(names, path)
        case "with a score":
            optimizer = {"state": {0: {"square_avg": torch.zeros(3)}}, "param_groups": [{"lr": 2.5e-4}]}
            saved({"epoch": 3, "best_acc": torch.tensor(0.7), "optimizer": optimizer, "state_dict": names}, path)
        case _:
            saved({container: names}, path)
    images = torch.rand(1, 3, 16, 32, generator=torch.Generator().manual_seed(0))
    assert difference(answers(checkpoints.load(path), images), ANSWERS[family](state, SIZES, images)) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
@family
def test_other_precisions_become_float32_and_counts_of_batches_may_be_missing(
    tmp_path: Path, family: str, dtype: torch.dtype
) -> None:
    state = MAKERS[family](SIZES, 1)
    stored = {name: value.to(dtype) for name, value in state.items() if value.is_floating_point()}
    loaded = imported(stored, tmp_path)
    assert loaded.state["stem.0.weight"].dtype == torch.float32
    assert loaded.config.provenance == {"family": FAMILIES[family].project, "converted_from": "theirs.pth"}
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    read = {name: value.float() for name, value in stored.items()}
    assert difference(answers(loaded, images), ANSWERS[family](read, SIZES, images)) < 1e-4


def test_another_programs_config_beside_it_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["SomethingElse"]}')
    save_tensors(bearpaw(SIZES), tmp_path / "model.safetensors")
    assert checkpoints.load(tmp_path).config.network.stacks == 3


# ---- files that cannot be used ---------------------------------------------------------------------------------------

Change = Callable[[State], object]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: state.pop("res.1.0.bn2.weight"), "stacks.1.residuals.0.bn2.weight"),
        (lambda state: state.pop("score.0.weight"), "stacks.0.heatmaps.weight"),
        (lambda state: state.update({"fc.1.0.bias": torch.zeros(7)}), "fc.1.0.bias has the shape"),
        (lambda state: state.update({"extra.weight": torch.zeros(5)}), "extra.weight"),
        (lambda state: state.update({"score.0.weight": torch.zeros(5, 7, 1, 1)}), "7"),
        (lambda state: state.update({"conv1.bias": torch.zeros(4).to_sparse()}), "conv1.bias"),
        (lambda state: state.update({"conv1.bias": torch.zeros(4, dtype=torch.cfloat)}), "conv1.bias"),
        (lambda state: state.update({"conv1.bias": torch.zeros(4, device="meta")}), "conv1.bias"),
        (lambda state: [state.pop(name) for name in list(state) if name.startswith("hg.1.")], "stacks.1.hourglass."),
        (lambda state: state.update({f"hg.0.hg.{n}.0.0.bn1.weight": torch.zeros(6) for n in range(1500)}), "depth"),
        (lambda state: state.update({f"hg.{n}.hg.0.0.0.bn1.weight": torch.zeros(6) for n in range(1500)}), "stacks"),
        (lambda state: [state.pop(name) for name in list(state) if not name.startswith("conv1")], "conv1.weight"),
        (lambda state: [state.clear(), state.update({"\x1b[2Jevil\n": torch.zeros(3)})], "?[2Jevil?"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: Change, named: str) -> None:
    state = bearpaw(SIZES)
    change(state)
    refused(checkpoints.load, saved(state, tmp_path / "poor.pth"), named)


def test_a_tensor_that_claims_more_than_its_file_holds_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    """One number, read over and over: 400 bytes that would become gigabytes."""
    sizes = replace(SIZES, features=8192)
    with torch.device("meta"):
        network = StackedHourglass(HourglassConfig(**vars(sizes))).state_dict()
    ours = FAMILIES["bearpaw"].names(bearpaw(SIZES))
    state = {theirs: torch.zeros(()).expand(network[name].shape) for theirs, name in ours.items()}
    file = saved(state, tmp_path / "bomb.pth")
    assert file.stat().st_size < 1e6
    refused(checkpoints.load, file, "claims", "MB")


def test_a_few_names_that_claim_a_large_network_are_refused_before_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = bearpaw(SIZES)
    for number in range(64):
        state |= {f"hg.{number}.hg.0.0.0.bn1.weight": torch.zeros(6), f"res.0.{number}.x": torch.zeros(6)}
    monkeypatch.setattr("posehg.network.StackedHourglass", None)
    refused(checkpoints.load, saved(state, tmp_path / "wide.pth"), "too few")


@pytest.mark.parametrize("content", [3, [torch.zeros(3)], {}, {"state_dict": {}}, {"a": 1}, b"", b"x", b"\0" * 64])
def test_a_file_without_named_weights_says_so(tmp_path: Path, content: object) -> None:
    file = tmp_path / "odd.pth"
    file.write_bytes(content) if isinstance(content, bytes) else torch.save(content, file)
    refused(checkpoints.load, file)


# ---- joints, size, mean and offset -----------------------------------------------------------------------------------


def test_a_user_may_name_the_joints(tmp_path: Path) -> None:
    assert foreign.parse_skeleton("flic") == FLIC
    wings = foreign.parse_skeleton("beak, left_wing,right_wing")
    assert (wings.joints, wings.flip) == (("beak", "left_wing", "right_wing"), (0, 2, 1))
    assert foreign.parse_skeleton("left_hip,right_hip").limbs == (("left_hip", "right_hip"),)
    unknown = foreign.guess_skeleton(5)
    assert unknown.joints == ("joint_0", "joint_1", "joint_2", "joint_3", "joint_4")
    assert unknown.unpaired == (0, 1, 2, 3, 4)  # the flip test leaves them out
    with pytest.raises(UsageError, match="'mpi'") as caught:
        foreign.parse_skeleton("mpi")
    assert "mpii" in caught.value.hint
    with pytest.raises(UsageError, match=r"a\.pth has 5 joints.* 14"):
        foreign.read(saved(bearpaw(SIZES), tmp_path / "a.pth"), LSP)


@pytest.mark.parametrize(("depth", "size"), [(4, 256), (2, 256), (7, 512)])
def test_its_crop_is_256_pixels_or_as_small_as_it_takes_or_as_given(tmp_path: Path, depth: int, size: int) -> None:
    file = saved(bearpaw(replace(SIZES, depth=depth, stacks=1)), tmp_path / "a.pth")
    assert checkpoints.load(file).config.input_size == (size, size)
    assert foreign.read(file, input_size=512).config.input_size == (512, 512)
    with pytest.raises(UsageError, match="40 x 40"):
        foreign.read(file, input_size=40)


@pytest.mark.parametrize(
    ("skeleton", "mean"),
    [
        (MPII, (0.4404, 0.4440, 0.4327)),
        (LSP, (0.4442, 0.4302, 0.4039)),
        (COCO, (0.4566, 0.4369, 0.4061)),
        (FLIC, (0.4404, 0.4440, 0.4327)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_joints_are_known_by_their_number_and_bearpaws_mean_by_the_joints(
    tmp_path: Path, skeleton: Skeleton, mean: tuple[float, ...]
) -> None:
    for family in FAMILIES:
        config = imported(MAKERS[family](replace(SIZES, joints=len(skeleton.joints)), 0), tmp_path).config
        assert config.skeleton == skeleton
        assert config.network.mean == (mean if family == "bearpaw" else (0, 0, 0))
        assert config.network.std == (1, 1, 1)


@family
def test_the_offset_makes_up_for_targets_that_are_cut_off_to_whole_cells(family: str) -> None:
    """Joints everywhere on a crop, from its edges; the target is the whole cell below, its centre ours plus the offset.

    On average nothing is left: they are neither too far left nor too far right.
    """
    crop = Box(0, 0, 256, 256)
    to_cells = Affine.crop(crop, (256, 256)).then(Affine.shrink(4))
    edges = np.random.default_rng(0).uniform(0, 256, (20_000, 2))
    ours = to_cells(edges - 0.5)  # what lies at an edge of the photo is half a pixel before a centre
    targets = np.trunc(edges / 4)
    left = ours - (targets + FAMILIES[family].offset)
    assert np.abs(left).max() <= 0.5 + 1e-9
    assert np.abs(left.mean(axis=0)).max() < 0.01


# ---- beside the original programs ------------------------------------------------------------------------------------

RECORDED = {
    "bearpaw_s2_b1_feats32_narrow": ".pth.tar",
    "bearpaw_s2_b2_feats32_narrow": ".safetensors",
    "anibali_s2_b1_feats32_narrow": ".pth",
    "princeton_s2_dim32": "_checkpoint.pt",
}


@pytest.mark.shared
@pytest.mark.parametrize("name", RECORDED)
def test_the_heatmaps_are_those_of_the_original_program_also_after_conversion(
    shared: Path, tmp_path: Path, name: str
) -> None:
    image = torch.from_numpy(np.load(shared / "fixtures" / "input_1x3x256x256_f16.npy").astype(np.float32))
    with np.load(shared / "fixtures" / f"{name}_out.npz") as file:
        expected = [torch.from_numpy(file[f"stack{index}"]) for index in range(2)]
    checkpoint = foreign.read(shared / "fixtures" / f"{name}{RECORDED[name]}")
    assert checkpoint.config.network.blocks == (2 if "b2" in name else 1)
    checkpoints.save_folder(tmp_path / "ours", checkpoint)
    assert difference(answers(checkpoints.load(tmp_path / "ours"), image), expected) < 1e-4


# ---- decoding ------------------------------------------------------------------------------------------------------
#
# The recorded joints are read off the recorded maps as the family's offset says, in each project's units: a cell of
# posehg's is half a cell further from the edge, from which they measure. Joints whose highest cell is on the border are
# left out, where rules differ (test_reference_ops has them), and those of a map without a peak.

Reference = Mapping[str, NDArray[np.generic]]


@pytest.fixture(scope="module")
def reference(shared: Path) -> Reference:
    with np.load(shared / "fixtures" / "reference_ops.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def cells(reference: Reference) -> NDArray[np.float64]:
    return heatmaps.decode(torch.from_numpy(reference["hm"]), "quarter")[0].numpy().astype(np.float64)


@pytest.fixture(scope="module")
def same(reference: Reference) -> NDArray[np.bool_]:
    maps = reference["hm"].reshape(4, 16, -1)
    y, x = np.divmod(maps.argmax(axis=-1), 64)
    within = (np.minimum(x, y) > 0) & (np.maximum(x, y) < 63) & (maps.max(axis=-1) > 0)
    assert within.sum() == 58
    return np.asarray(within)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("family", "recorded"), [("bearpaw", "anibali_untransformed_0based"), ("princeton", "princeton_parse")]
)
def test_joints_on_the_map_are_the_recorded_ones(
    reference: Reference, cells: NDArray[np.float64], same: NDArray[np.bool_], family: str, recorded: str
) -> None:
    from_edge = cells + FAMILIES[family].offset + 0.5
    np.testing.assert_allclose(from_edge[same], reference[recorded][..., :2][same], atol=1e-6)


@pytest.mark.shared
@pytest.mark.parametrize("person", range(4))
def test_joints_on_the_photo_are_the_recorded_whole_pixels(
    reference: Reference, cells: NDArray[np.float64], same: NDArray[np.bool_], person: int
) -> None:
    x, y = reference["center_adj"][person]
    box = Box.around((float(x), float(y)), 200 * float(reference["scale_adj"][person]))
    back = Affine.crop(box, (64, 64)).inverse()
    whole = np.trunc(back(cells[person] + FAMILIES["bearpaw"].offset)) + 1
    theirs = reference["bearpaw_final_preds_1based"][person]
    np.testing.assert_array_equal(whole[same[person]], theirs[same[person]])
