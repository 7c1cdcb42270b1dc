from __future__ import annotations

import json
import multiprocessing
import pickle
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from posehg import datasets, images
from posehg.datasets import Dataset, packed, sealing
from posehg.datasets.packing import pack
from posehg.datasets.parts import Reach, reach
from posehg.errors import InputError, NotAvailable, PosehgError, UsageError
from posehg.evaluation import estimate, scoring
from posehg.geometry import Box
from posehg.images import Image
from posehg.poses import Person
from posehg.skeletons import LSP, MPII, Skeleton
from tests.random_views import BOXES, LIMITS, SIZE, WAVES, Limits, assert_alike, view
from tests.stubs import DOTS, dots_estimator, dots_photo

PATIENT = settings(max_examples=40, deadline=None)  # another process may have the cores
SKELETON = Skeleton("toy", ("left_shoulder", "right_hip", "tail"), (("left_shoulder", "tail"),))
REACH = Reach(1.5, 100)
BOX = Box(60.5, 41, 50, 80)
KEYPOINTS = np.array([(70.25, 60.5), (np.nan, np.nan), (101.0, 119.75)])
VISIBLE = np.array([True, False, False])


def person(number: int = 0, **changes: Any) -> Person:
    """Each on a photo of its own."""
    values = {"image": Path(f"photo{number}.jpg"), "box": BOX, "keypoints": KEYPOINTS, "visible": VISIBLE}
    return Person(**(values | {"head_size": 12.5, "id": f"id {number}"} | changes))


def shade(person: Person) -> Image:
    """Waves that differ from photo to photo."""
    return WAVES + np.uint8(5 * int(re.sub(r"\D", "", person.image.name)))


def dataset(*persons: Person, name: str = "toy", split: str = "train", skeleton: Skeleton = SKELETON) -> Dataset:
    return Dataset(name, split, skeleton, persons or [person(number) for number in range(5)], shade)


def full_skeleton(skeleton: Skeleton, name: str, split: str = "train", count: int = 3) -> Dataset:
    """A set of a name that posehg knows."""
    keypoints = np.arange(2.0 * len(skeleton.joints)).reshape(-1, 2) + 50
    visible = np.ones(len(keypoints), dtype=bool)
    persons = [person(number, keypoints=keypoints, visible=visible) for number in range(count)]
    return dataset(*persons, name=name, split=split, skeleton=skeleton)


def packed_again(data: Dataset, path: Path, reached: Reach = REACH) -> Dataset:
    pack(path, data, reached, overwrite=True)
    return packed.load(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "toy-train.zip"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For properties, which may not have a folder of their own for each example."""
    return tmp_path_factory.mktemp("packed")


@pytest.fixture(scope="module")
def sound(folder: Path) -> bytes:
    """A pack as it should be."""
    path = folder / "sound.zip"
    pack(path, dataset(), Reach(1.5, 20))
    return path.read_bytes()


# ---- what was packed is what is read ------------------------------------------------------------------------------


@PATIENT
@given(LIMITS, BOXES, st.integers(0, 10**6))
def test_a_view_of_the_packed_person_is_the_view_of_the_photo(
    folder: Path, limits: Limits, box: Box, seed: int
) -> None:
    reached = reach(SIZE, limits.padding, limits.scale, limits.rotation, limits.translation)
    original = person(box=box)
    data = packed_again(dataset(original), folder / "views.zip", reached)
    (stored,) = data.persons
    to_crop, of_stored = (view(p.box, limits, np.random.default_rng(seed)) for p in (original, stored))
    np.testing.assert_allclose(of_stored(stored.keypoints), to_crop(original.keypoints), atol=1e-6)
    crop = images.warp(data.read(stored), of_stored, (SIZE, SIZE))
    direct = images.warp(shade(original), to_crop, (SIZE, SIZE))
    assert_alike(crop, direct, to_crop, margin=9)  # an edge disturbs a block of a JPEG


def test_what_is_known_of_a_person_stays_known(path: Path) -> None:
    data = packed_again(dataset(person(1), person(2, head_size=None)), path, Reach(1.5, 60))  # half the photo's scale
    first, second = data.persons
    assert (data.name, data.split, data.skeleton) == ("toy", "train", SKELETON)
    assert [first.id, second.id] == ["id 1", "id 2"]
    assert first.keypoints.shape == (3, 2)
    assert np.isnan(first.keypoints[1]).all()
    assert first.visible.tolist() == [True, False, False]
    assert (first.visible.dtype, first.keypoints.dtype) == (bool, np.float64)
    assert (first.box.w, first.box.h) == (pytest.approx(25), pytest.approx(40))
    assert first.head_size == pytest.approx(6.25)
    assert second.head_size is None
    assert first.image == path / "0000000.jpg"


def test_what_is_known_of_the_set_stays_known(path: Path) -> None:
    own = replace(SKELETON, flip_pairs=(("tail", "right_hip"),), sigmas=(0.2, 0.3, 0.5))
    data = replace(dataset(skeleton=own), note="Seen from behind.", origin=1)
    stored = packed_again(data, path)
    assert (stored.note, stored.origin, stored.skeleton) == ("Seen from behind.", 1, own)


def test_areas_shrink_with_the_part(path: Path) -> None:
    first, second = packed_again(dataset(person(1, area=1200.0), person(2)), path, Reach(1.5, 60)).persons
    assert first.area == pytest.approx(1200 / 4)  # half the photo's scale
    assert second.area is None


def test_a_pack_without_note_origin_and_area_is_read(path: Path) -> None:
    sealed(path, {"annotations.json": content(), "0000000.jpg": b""})
    data = packed.load(path)
    assert (data.note, data.origin, data.persons[0].area) == ("", 0, None)
    assert (data.skeleton.flip_pairs, data.skeleton.sigmas) == (None, ())


def test_crowds_on_the_photo_are_told_too(path: Path) -> None:
    one, crowd = person(1), person(1, box=Box(100, 50, 30, 40), crowd=True)
    nowhere = person(1, box=Box(100, 50, 0, 0))
    (stored,) = packed_again(replace(dataset(one), ignored=[crowd, nowhere]), path, Reach(1.5, 999)).persons
    assert [(box.w, box.h) for box in stored.others] == [(30, 40)]


def test_what_it_was_cut_for_can_be_asked(path: Path) -> None:
    pack(path, dataset(), Reach(1.75, 31))
    assert packed.made_of(path)[0] == Reach(1.75, 31)
    path.write_bytes(b"text")
    with pytest.raises(NotAvailable, match=r"toy-train\.zip"):
        packed.made_of(path)


def test_a_known_skeleton_is_the_known_one(path: Path) -> None:
    assert packed_again(full_skeleton(MPII, "mpii"), path).skeleton is MPII


def test_each_person_has_the_picture_cut_from_their_own_photo(path: Path) -> None:
    data = packed_again(dataset(), path, Reach(1.0, 999))
    for number, stored in enumerate(data.persons):
        image = data.read(stored)
        assert (image.dtype, image.shape) == (np.uint8, (88, 89, 3))
        assert np.abs(image.astype(int) - shade(person(number))[37:125, 41:130]).mean() < 2


def test_others_on_the_photo_are_told_where_the_part_shows_them(path: Path) -> None:
    near, far = Box(100, 50, 30, 40), Box(300, 50, 30, 40)
    photo = Path("photo7.jpg")
    together = [person(number, image=photo, box=box) for number, box in enumerate((BOX, near, far))]
    first, second, third = packed_again(dataset(*together, person(8)), path, Reach(1.5, 999)).persons[:3]
    (other,) = first.others
    assert (other.w, other.h) == (30, 40)
    assert np.subtract(other.center, first.box.center) == pytest.approx(np.subtract(near.center, BOX.center))
    assert [box.w for box in second.others] == [50]
    assert third.others == ()


def test_somebody_beside_the_picture_is_black_and_keeps_the_label(path: Path) -> None:
    beside = person(box=Box(-500, -400, 50, 80))
    data = packed_again(dataset(beside), path, Reach(1.5, 999))
    (stored,) = data.persons
    assert not data.read(stored).any()
    away = np.subtract(stored.keypoints[0], stored.box.center)
    assert away == pytest.approx(np.subtract(KEYPOINTS[0], beside.box.center))


def test_a_network_scores_the_same_on_the_packed_persons(path: Path) -> None:
    rng = np.random.default_rng(7)
    points = [np.array([(150, 60), (90, 190), (230, 200)]) + rng.uniform(-20, 20, (3, 2)) for _ in range(11)]
    wrong = [p + rng.choice([0, 60], (3, 1)) for p in points]  # half of the labels are off by more than is allowed
    visible = np.ones(3, dtype=bool)
    people = [
        Person(Path(f"{n}.png"), Box(70, 40, 180, 190), keypoints, visible, 40.0, f"{n}")
        for n, keypoints in enumerate(wrong)
    ]
    raw = Dataset("dots", "val", DOTS, people, lambda p: dots_photo(points[int(p.id)]))
    stored = packed_again(raw, path, reach(64, 1.25, 0.25, 30, 0))
    found = [scoring.score(data, estimate.estimate(dots_estimator(flip=False), data, {})) for data in (raw, stored)]
    scores = [
        [[figure.percent for figure in table.joints] for table in one.tables if table.title in ("PCKh@0.5", "PCK@0.2")]
        for one in found
    ]
    assert scores[0] == scores[1]
    assert 0 < np.mean(scores[0]) < 100


# ---- a set like any other ------------------------------------------------------------------------------------------


def test_packs_are_joined_and_spread_and_moved_like_other_sets(tmp_path: Path) -> None:
    for skeleton, name in ((MPII, "mpii"), (LSP, "lspet")):
        pack(tmp_path / f"{name}-train.zip", full_skeleton(skeleton, name), REACH)
    joined = datasets.load("mpii:3+lspet", tmp_path, "train")
    assert joined.name == "mpii+lspet"
    assert len(joined) == 12
    assert joined.skeleton is MPII
    last = joined.persons[11]
    assert np.isnan(joined.persons[10].keypoints).sum() == 0  # pelvis and thorax are midpoints
    assert joined.read(last).shape == (108, 108, 3)
    np.testing.assert_array_equal(joined.read(last), packed.load(tmp_path / "lspet-train.zip").read(last))
    assert len(datasets.spread(joined, 2)) == 2


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_other_processes_read_the_same(path: Path, method: str) -> None:
    data = packed_again(dataset(), path)
    here = [data.read(stored) for stored in data.persons]  # a fork inherits what is open already
    with multiprocessing.get_context(method).Pool(2) as pool:
        there = pool.map(data.read, list(data.persons) * 10, chunksize=1)
    assert all(np.array_equal(one, here[number % 5]) for number, one in enumerate(there))


def test_a_pack_may_be_copied_before_anything_is_read(path: Path) -> None:
    data = pickle.loads(pickle.dumps(packed_again(dataset(), path)))
    assert data.read(data.persons[4]).any()


# ---- the file ------------------------------------------------------------------------------------------------------


def test_it_is_a_zip_file_that_anybody_can_open(path: Path) -> None:
    data = packed_again(dataset(), path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [*(f"{number:07d}.jpg" for number in range(5)), "annotations.json"]
        content = json.loads(archive.read("annotations.json"))
        picture = PillowImage.open(BytesIO(archive.read("0000003.jpg")))
    assert (content["name"], content["split"], content["reach"]) == ("toy", "train", {"padding": 1.5, "size": 100})
    assert content["persons"][3]["keypoints"][2:4] == [None, None]
    np.testing.assert_array_equal(np.asarray(picture), data.read(data.persons[3]))


def test_the_same_persons_give_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.zip", tmp_path / "other.zip"
    for path in (one, other):
        pack(path, dataset(), REACH)
    assert one.read_bytes() == other.read_bytes()


def test_the_source_tells_one_annotation_from_another(tmp_path: Path) -> None:
    def source(data: Dataset, reached: Reach = REACH) -> str:
        pack(tmp_path / "a.zip", data, reached, overwrite=True)
        with zipfile.ZipFile(tmp_path / "a.zip") as archive:
            return str(json.loads(archive.read("annotations.json"))["source"])

    assert source(dataset(person())) == source(dataset(person()), Reach(2.0, 64))
    assert source(dataset(person())) != source(dataset(person(keypoints=KEYPOINTS + 0.5)))


def test_more_quality_is_a_larger_file_of_a_better_picture(tmp_path: Path) -> None:
    sizes, errors = [], []
    for quality in (30, 92):
        pack(tmp_path / f"{quality}.zip", dataset(person()), Reach(1.0, 999), quality)
        data = packed.load(tmp_path / f"{quality}.zip")
        sizes.append((tmp_path / f"{quality}.zip").stat().st_size)
        errors.append(np.abs(data.read(data.persons[0]).astype(int) - WAVES[37:125, 41:130]).mean())
    assert sizes[0] < sizes[1]
    assert errors[0] > errors[1]


def test_the_photo_of_neighbours_is_read_once_and_everybody_is_watched(path: Path) -> None:
    read, watched = [], []

    def remembered(person: Person) -> Image:
        read.append(person.image.name)
        return shade(person)

    def watch(persons: Iterator[Person]) -> Iterator[Person]:
        for one in persons:
            watched.append(one.id)
            yield one

    people = [person(number, image=Path(f"photo{number // 2}.jpg")) for number in range(6)]
    longest = pack(path, replace(dataset(*people), read=remembered), REACH, watch=watch)
    assert read == ["photo0.jpg", "photo1.jpg", "photo2.jpg"]
    assert watched == [f"id {number}" for number in range(6)]
    assert longest == 108


# ---- nothing half done ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [InputError("broken"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_failure_leaves_nothing_behind(path: Path, error: BaseException, before: bytes | None) -> None:
    def read(person: Person) -> Image:
        if person.id == "id 3":
            raise error
        return shade(person)

    if before is not None:
        path.write_bytes(before)
    with pytest.raises(type(error)):
        pack(path, replace(dataset(), read=read), REACH, overwrite=True)
    assert [file.read_bytes() for file in path.parent.iterdir()] == ([] if before is None else [before])


def test_a_file_is_not_replaced_unasked(path: Path) -> None:
    path.write_bytes(b"what was there")
    with pytest.raises(UsageError, match=r"toy-train\.zip exists already"):
        pack(path, dataset(), REACH)
    assert path.read_bytes() == b"what was there"


# ---- files that are not as they were written -----------------------------------------------------------------------


@PATIENT
@given(st.data())
def test_any_changed_byte_is_found(sound: bytes, folder: Path, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(sound) - 1))
    change = data.draw(st.integers(1, 255))
    path = folder / "changed.zip"
    path.write_bytes(sound[:position] + bytes([sound[position] ^ change]) + sound[position + 1 :])
    with pytest.raises(NotAvailable, match=r"changed\.zip is not a packed data set, or was cut short"):
        packed.load(path)


@PATIENT
@given(st.data())
def test_any_lost_or_added_byte_is_found(sound: bytes, folder: Path, data: st.DataObject) -> None:
    path = folder / "resized.zip"
    length = data.draw(st.integers(0, len(sound) - 1))
    added = data.draw(st.binary(min_size=1, max_size=99))
    for content in (sound[:length], sound[length + 1 :], sound + added, added + sound, sound + b"\0"):
        path.write_bytes(content)
        with pytest.raises(NotAvailable, match=r"resized\.zip .* cut short") as caught:
            packed.load(path)
        assert "posehg data pack" in caught.value.hint


def test_what_cannot_be_a_pack_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "empty.zip").touch()
    (tmp_path / "text.zip").write_text("a text " * 99)
    zipfile.ZipFile(tmp_path / "plain.zip", "w").close()
    for name in ("folder.zip", "empty.zip", "text.zip", "plain.zip", "none.zip"):
        with pytest.raises(NotAvailable, match=re.escape(name)):
            packed.load(tmp_path / name)


def sealed(path: Path, entries: dict[str, Any]) -> None:
    """A ZIP file with a valid seal, whatever it holds."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
        archive.comment = sealing.BLANK
    sealing.seal(path)


def content(**changes: Any) -> dict[str, Any]:
    record = {
        **{"file": "0000000.jpg", "id": "a", "box": [1, 2, 3, 4], "keypoints": [1, 2, None, None, 5, 6]},
        **{"visible": [True, False, False], "head_size": None, "others": [[1, 2, 3, 4]]},
    }
    further = {"area": changes.pop("area")} if "area" in changes else {}
    skeleton = {"name": "toy", "joints": SKELETON.joints, "limbs": SKELETON.limbs, "torso": SKELETON.torso}
    head = {
        **{"format": packed.FORMAT, "version": packed.VERSION, "name": "toy", "split": "train", "skeleton": skeleton},
        **{"reach": {"padding": 2.0, "size": 64}, "source": "0" * 64},
    }
    of_person = {name: changes.pop(name) for name in record if name in changes}
    return {**head, "persons": [record | of_person | further], **changes}


def test_the_annotation_of_these_tests_is_good_where_it_is_not_changed(path: Path) -> None:
    sealed(path, {"annotations.json": content(), "0000000.jpg": b""})
    assert len(packed.load(path)) == 1


@pytest.mark.parametrize(
    "annotations",
    [
        *(b"", b"\xff\xfe", b"[" * 10**5, [], {}, 7, None, "annotations"),
        *(content(format="other"), content(persons=None), content(persons=[7]), content(persons={"a": 1})),
        *(content(skeleton={}), content(skeleton={"name": "toy", "joints": [1], "limbs": [], "torso": [1, 1]})),
        *(content(skeleton={"name": "toy", "joints": "abc", "limbs": [["x", "y"]], "torso": "ab"}), content(reach=5)),
        *(content(reach={"padding": "wide", "size": 3}), content(reach={"padding": 2.0})),
        *(content(file="other.jpg"), content(file=None), content(box=[1, 2, 3]), content(box=[1, 2, 0, 4])),
        *(content(box=[1, None, 3, 4]), content(box=[1, 2, float("nan"), 4]), content(keypoints=[1, 2])),
        *(content(keypoints=["a"] * 6), content(keypoints=None), content(keypoints=[1, 2, 3, 4, 5, float("inf")])),
        *(
            content(area="big"),
            content(origin="one"),
            content(visible=[True]),
            content(head_size="big"),
            content(others=5),
            content(others=[[1, 2]]),
        ),
    ],
)
def test_a_sealed_file_of_another_content_is_named(path: Path, annotations: Any) -> None:
    sealed(path, {"annotations.json": annotations, "0000000.jpg": b""})
    with pytest.raises(NotAvailable, match=r"toy-train\.zip is not a packed data set"):
        packed.load(path)


def test_a_sealed_zip_without_annotations_is_named(path: Path) -> None:
    sealed(path, {"a.txt": b"text"})
    with pytest.raises(NotAvailable, match=r"toy-train\.zip is not a packed data set"):
        packed.load(path)


def test_a_sealed_file_that_is_no_zip_is_named(path: Path) -> None:
    path.write_bytes(b"text" + sealing.BLANK)
    sealing.seal(path)
    with pytest.raises(NotAvailable, match=r"toy-train\.zip is not a packed data set"):
        packed.load(path)


def test_a_newer_version_asks_for_a_newer_posehg(path: Path) -> None:
    sealed(path, {"annotations.json": content(version=packed.VERSION + 1), "0000000.jpg": b""})
    with pytest.raises(NotAvailable, match=r"toy-train\.zip has version 2 of its format; posehg reads 1") as caught:
        packed.load(path)
    assert "Update posehg" in caught.value.hint


def test_a_picture_that_is_none_is_named_when_it_is_read(path: Path) -> None:
    sealed(path, {"annotations.json": content(), "0000000.jpg": b"no picture"})
    data = packed.load(path)
    with pytest.raises(InputError, match=r"toy-train\.zip.0000000\.jpg is not a picture"):
        data.read(data.persons[0])


def test_a_pack_that_is_replaced_or_gone_is_not_read_on(path: Path) -> None:
    data = packed_again(dataset(), path)
    pack(path, dataset(person(9)), REACH, overwrite=True)
    with pytest.raises(InputError, match=r"toy-train\.zip was replaced while it was in use"):
        data.read(data.persons[0])
    path.unlink()
    with pytest.raises(InputError, match=r"toy-train\.zip can no longer be read"):
        data.read(data.persons[0])


# ---- finding packs -------------------------------------------------------------------------------------------------


def test_a_pack_is_taken_from_the_folder_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    pack(tmp_path / "data" / "mpii-val.zip", full_skeleton(MPII, "mpii", "val"), REACH)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSEHG_DATA", raising=False)
    assert len(datasets.load("mpii", tmp_path / "data", "val")) == 3
    assert len(datasets.load("mpii", None, "val")) == 3
    monkeypatch.setenv("POSEHG_DATA", str(tmp_path / "data"))
    assert len(datasets.load("mpii", None, "val")) == 3


def test_a_rendered_set_is_taken_from_its_pack_too(tmp_path: Path) -> None:
    pack(tmp_path / "synthetic-val.zip", full_skeleton(MPII, "synthetic", "val"), REACH)
    assert len(datasets.load_one("synthetic", tmp_path, "val")) == 3
    assert len(datasets.load_one("synthetic", tmp_path, "train")) == 20_000
    assert len(datasets.load_unpacked("synthetic", tmp_path, "val")) == 500


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize(("name", "split"), [("mpii", "val"), ("lspet", "train")])
def test_a_missing_pack_is_named_where_there_are_others(tmp_path: Path, name: str, split: str, joined: bool) -> None:
    pack(tmp_path / "mpii-train.zip", full_skeleton(MPII, "mpii"), REACH)
    with pytest.raises(
        NotAvailable, match=rf"(?m)no split {split} in .*: there is no .*{name}-{split}\.zip\.$"
    ) as caught:
        datasets.load_one(name, tmp_path, split, joined)
    assert f"posehg data pack --dataset {name} --split {split}" in caught.value.hint


def test_packs_are_not_spoken_of_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable) as caught:
        datasets.load_one("mpii", tmp_path, "train")
    assert "zip" not in f"{caught.value}"
    assert "posehg data pack" not in caught.value.hint


def test_what_is_wrong_with_the_unpacked_set_is_said_where_there_is_one(tmp_path: Path) -> None:
    pack(tmp_path / "mpii-train.zip", full_skeleton(MPII, "mpii"), REACH)
    (tmp_path / "mpii").mkdir()
    with pytest.raises(NotAvailable, match=r"holds neither mpii_annotations\.json nor"):
        datasets.load_one("mpii", tmp_path, "val")


def test_a_broken_pack_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "synthetic-val.zip").write_bytes(b"text")
    with pytest.raises(NotAvailable, match=r"synthetic-val\.zip"):
        datasets.load_one("synthetic", tmp_path, "val")


def test_a_pack_under_another_name_is_refused(tmp_path: Path) -> None:
    pack(tmp_path / "mpii-val.zip", full_skeleton(MPII, "mpii", "train"), REACH)
    with pytest.raises(NotAvailable, match=r"mpii-val\.zip holds the split train of mpii") as caught:
        datasets.load_one("mpii", tmp_path, "val")
    assert "mpii-train.zip" in caught.value.hint


def test_a_pack_of_nobody_is_not_available(tmp_path: Path) -> None:
    pack(tmp_path / "mpii-val.zip", replace(full_skeleton(MPII, "mpii", "val"), persons=[]), REACH)
    with pytest.raises(PosehgError, match="no annotated persons of the split val"):
        datasets.load_one("mpii", tmp_path, "val")


# ---- the real sets -------------------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize("name", ["mpii", "lspet"])
def test_real_persons_survive_the_packing(shared: Path, path: Path, name: str) -> None:
    raw = datasets.spread(datasets.load_one(name, shared / "data", "val"), 23)
    stored = packed_again(raw, path, reach(256, 1.25, 0.25, 30, 0))
    for original, again in zip(raw.persons, stored.persons, strict=True):
        views = [view(p.box, Limits(1.25, 0.25, 30, 0), np.random.default_rng(5)) for p in (original, again)]
        np.testing.assert_allclose(views[1](again.keypoints), views[0](original.keypoints), atol=1e-6)
        one, other = (
            images.warp(data.read(p), to_crop, (SIZE, SIZE)).astype(int)
            for data, p, to_crop in zip((raw, stored), (original, again), views, strict=True)
        )
        assert np.abs(one - other).mean() < 4
