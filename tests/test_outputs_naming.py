from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.io.writers import SAVES, crops
from posehg.io.writers.naming import place, target

OUT = Path("out")
ENDINGS = [save.picture[0] for save in SAVES.values() if save.picture]


@pytest.mark.parametrize(
    ("relative", "ending", "frame", "expected"),
    [
        ("a.jpg", ".png", None, "out/a.png"),
        ("walks/a.jpg", "_keypoints.json", None, "out/walks/a_keypoints.json"),
        ("walks/a.b.jpg", ".json", None, "out/walks/a.b.json"),
        ("v.mp4", "_keypoints.json", 12, "out/v_000000000012_keypoints.json"),
        ("v.mp4", ".jsonl", None, "out/v.jsonl"),
        ("stdin", ".png", None, "out/stdin.png"),
        ("000000000785.jpg", ".png", None, "out/000000000785.png"),
        ("COCO_val2014_000000000785.jpg", ".png", None, "out/COCO_val2014_000000000785.png"),
        ("IMG_20240229_123456.jpg", ".png", None, "out/IMG_20240229_123456.png"),
    ],
)
def test_files_are_named_after_their_source(relative: str, ending: str, frame: int | None, expected: str) -> None:
    assert target(OUT, PurePath(relative), ending, frame) == Path(expected)


def test_one_kind_has_the_folder_and_several_have_one_each() -> None:
    assert place(OUT, "openpose", ["openpose"]) == OUT
    assert place(OUT, "openpose", ["image", "openpose"]) == OUT / "openpose"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_picture_that_is_named_like_a_frame_is_not_taken_for_one(ending: str) -> None:
    names = ["v_000000000012.jpg", "v_000000000012~.jpg", "v_000000000012~~.jpg"]
    frame = target(OUT, PurePath("v.mp4"), ending, 12)
    assert len({frame, *(target(OUT, PurePath(name), ending) for name in names)}) == 4


@pytest.mark.parametrize("folder", ["a.png", "a.JSON", "a.png_", "a.jsonl"])
def test_a_folder_that_is_named_like_a_file_of_results_does_not_stand_in_its_way(folder: str) -> None:
    inside = target(OUT, PurePath(folder, "b.jpg"), ".png")
    assert inside.parent == OUT / f"{folder}_"


part = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=90)
safe = part.filter(lambda text: text not in (".", "..") and len(text.encode()) < 251)
relatives = st.builds(
    lambda folders, stem, suffix: PurePath(*folders, f"{stem}{suffix}"),
    st.lists(safe, max_size=2),
    safe | st.sampled_from(["v", "v_000000000001", "v_000000000001~", "a.png", "x" * 250, "x" * 249 + "y"]),
    st.sampled_from([".jpg", ".png", ".mp4"]),
)


@settings(max_examples=200, deadline=None)
@given(sources=st.lists(relatives, min_size=2, max_size=6, unique_by=lambda path: path.with_suffix("")))
def test_no_two_sources_share_a_file(sources: list[PurePath]) -> None:
    for ending in ENDINGS:
        files = [target(OUT, source, ending, frame) for source in sources for frame in (None, 1)]
        if ending == SAVES["crops"].picture[0]:  # type: ignore[index]
            files = [crops.of_person(file, number) for file in files for number in (1, 999)]
        assert len(set(files)) == len(files)
        folders = {folder for file in files for folder in file.parents}
        assert not folders & set(files)


@settings(max_examples=100, deadline=None)
@given(source=relatives, frame=st.none() | st.integers(0, 10**9), ending=st.sampled_from(ENDINGS))
def test_names_fit_on_disks_and_stay_in_the_folder(source: PurePath, frame: int | None, ending: str) -> None:
    file = crops.of_person(target(OUT, source, ending, frame), 999)
    assert len(os.fsencode(file.name)) <= 255
    assert len(file.parts) == 1 + len(source.parts)
    assert os.path.normpath(file).startswith("out" + os.sep)


def test_names_of_200_letters_are_kept_and_longer_ones_are_told_apart() -> None:
    kept = target(OUT, PurePath("x" * 200 + ".jpg"), "_keypoints.json")
    assert kept.name == "x" * 200 + "_keypoints.json"
    one, other = (target(OUT, PurePath("ы" * 123 + end + ".jpg"), "_keypoints.json") for end in "ab")
    assert one != other
    assert one.name.startswith("ы" * 100)
    assert len(os.fsencode(one.name)) <= 255


def test_names_that_are_not_utf8_stay_as_they_are() -> None:
    name = os.fsdecode(b"\xff\xfe")
    assert target(OUT, PurePath(f"{name}.jpg"), ".png").name == f"{name}.png"
    assert len(os.fsencode(target(OUT, PurePath(os.fsdecode(b"\xff" * 240) + ".jpg"), ".png").name)) <= 255


@pytest.mark.parametrize("relative", ["/etc/a.jpg", "../a.jpg", "a/../../b.jpg", "", ".."])
def test_nothing_is_written_outside_the_folder(relative: str) -> None:
    with pytest.raises(ValueError, match="leads out of out"):
        target(OUT, PurePath(relative), ".png")
