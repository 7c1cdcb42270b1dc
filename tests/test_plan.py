from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posehg.io.writers import COLLECTORS, SAVES, WRITERS
from posehg.io.writers.plan import OneFile, Plan, in_folder

KINDS = st.lists(st.sampled_from(sorted(SAVES)), min_size=1, unique=True)
OUT = Path("out")


def test_nothing_is_written_by_itself() -> None:
    files = Plan().of(Path("a.jpg"), False)
    assert (files.pictures, files.whole) == ((), [])


def test_one_picture_has_the_file_that_was_named() -> None:
    plan = Plan(one=OneFile("image", WRITERS[".png"], Path("x.png")))
    assert [file.path() for file in plan.of(Path("a/b.jpg"), False).pictures] == [Path("x.png")]


def test_a_video_alone_becomes_the_film_that_was_named() -> None:
    assert Plan(film=Path("x.webm")).of(Path("a/b.mp4"), True).whole == [Path("x.webm")]


@given(KINDS)
def test_every_kind_of_a_picture_has_a_file_in_the_tree_of_its_source(kinds: list[str]) -> None:
    files = in_folder(OUT, kinds).of(Path("walks/a.jpg"), False)
    assert {file.kind for file in files.pictures} == {kind for kind in kinds if SAVES[kind].picture}
    for file in files.pictures:
        place = OUT / file.kind if len(kinds) > 1 else OUT
        assert file.path().parent == place / "walks"
        assert file.path().name.startswith("a")
    assert files.whole == []


@given(KINDS)
def test_every_kind_of_a_video_has_a_file_of_its_own_or_one_a_frame(kinds: list[str]) -> None:
    plan = in_folder(OUT, kinds)
    files = plan.of(Path("walk.mov"), True)
    assert len(files.pictures) + len(files.whole) + len(plan.run) == len(kinds)
    assert (files.film is not None) == ("image" in kinds)
    for file in files.pictures:
        assert file.path(3) != file.path(5)


@given(KINDS)
def test_no_two_files_of_a_run_are_the_same(kinds: list[str]) -> None:
    plan = in_folder(OUT, kinds)
    paths = [path for path, _ in plan.run]
    for name, is_video in [("a.jpg", False), ("b/a.jpg", False), ("c.mp4", True)]:
        files = plan.of(Path(name), is_video)
        paths += [file.path(frame) for file in files.pictures for frame in ((0, 1) if is_video else (None,))]
        paths += files.whole
    assert len(set(paths)) == len(paths)


def test_a_jpegs_picture_is_a_jpeg_unless_it_has_no_ground() -> None:
    [photo] = in_folder(OUT, ["image"]).of(Path("a.JPEG"), False).pictures
    assert photo.path() == OUT / "a.jpg"
    [cut_out] = in_folder(OUT, ["image"], transparent=True).of(Path("a.JPEG"), False).pictures
    assert cut_out.path() == OUT / "a.png"


def test_what_collects_a_run_is_one_file_below_the_folder() -> None:
    assert in_folder(OUT, ["coco"]).run == ((OUT / "results.json", SAVES["coco"].run[1]),)  # type: ignore[index]
    assert [path for path, _ in in_folder(OUT, ["image", "coco"]).run] == [OUT / "coco" / "results.json"]


@pytest.mark.parametrize("missing", ["image/a.png", "json/a.json", None])
def test_a_picture_is_done_when_all_its_files_are_there(tmp_path: Path, missing: str | None) -> None:
    for name in ("image/a.png", "json/a.json"):
        (tmp_path / name).parent.mkdir()
        if name != missing:
            (tmp_path / name).touch()
    files = in_folder(tmp_path, ["image", "json"]).of(Path("a.webp"), False)
    assert files.are_done(False) == (missing is None)


def test_a_video_is_done_when_what_holds_all_of_it_is_there(tmp_path: Path) -> None:
    files = in_folder(tmp_path, ["openpose", "json"]).of(Path("a.mp4"), True)
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "a.jsonl").touch()
    assert not files.are_done(moving=True)
    later = files.pictures[0].path(7)  # --start may leave the first ones out
    later.parent.mkdir()
    later.touch()
    assert files.are_done(moving=True)
    (tmp_path / "json" / "a.jsonl").unlink()
    assert not files.are_done(moving=True)


def test_a_video_of_which_only_frames_are_written_is_never_known_to_be_done(tmp_path: Path) -> None:
    files = in_folder(tmp_path, ["openpose"]).of(Path("a.mp4"), True)
    files.pictures[0].path(0).touch()
    assert not files.are_done(moving=True)


@pytest.mark.parametrize("kind", ["openpose", "crops", "heatmaps"])
def test_frames_of_another_video_are_not_taken_for_ones_own(tmp_path: Path, kind: str) -> None:
    [one] = in_folder(tmp_path, [kind]).of(Path("a.mp4"), True).pictures
    [other] = in_folder(tmp_path, [kind]).of(Path("b_a.mp4"), True).pictures
    assert one.of_any_frame() is None
    path = other.path(3)
    path = path.with_name(f"{path.stem}_person1{path.suffix}") if kind == "crops" else path
    path.touch()
    assert one.of_any_frame() is None
    assert other.of_any_frame() == path


def test_heatmaps_are_drawn_where_they_are_asked_for() -> None:
    assert in_folder(OUT, ["image", "heatmaps"]).draws_heatmaps
    assert not in_folder(OUT, ["image"]).draws_heatmaps
    assert Plan(one=OneFile("heatmaps", WRITERS[".png"], Path("x.png"))).draws_heatmaps
    assert not Plan(run=((Path("x.csv"), COLLECTORS[".csv"]),)).draws_heatmaps
