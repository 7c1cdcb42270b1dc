"""Arguments and the sources that they mean. What is in the files does not matter here: they are empty."""

from __future__ import annotations

import glob
import os
import random
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.errors import InputError
from posehg.io import Source, content, expand, sources


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def names(*arguments: str, recursive: bool = False) -> list[str]:
    """Of sources without a problem."""
    sources = list(expand(arguments, recursive))
    assert [source.problem for source in sources] == [None] * len(sources)
    return [source.name for source in sources]


def relatives(*arguments: str, recursive: bool = False) -> list[str]:
    return [source.relative.as_posix() for source in expand(arguments, recursive)]


def problem(*arguments: str, recursive: bool = False) -> InputError:
    """Of the only source."""
    (source,) = expand(arguments, recursive)
    assert source.problem is not None
    assert source.name == arguments[0]
    return source.problem


# ---- files ---------------------------------------------------------------------------------------------------------


def test_files_come_in_the_order_of_the_arguments() -> None:
    touch("b.jpg", "a.jpg")
    assert names("b.jpg", "a.jpg") == ["b.jpg", "a.jpg"]


@pytest.mark.parametrize("again", ["a.jpg", "./a.jpg", "sub/../a.jpg", "{here}/a.jpg", ".", "*.jpg"])
def test_a_file_that_is_given_twice_comes_once(here: Path, again: str) -> None:
    touch("a.jpg", "sub/b.jpg")
    assert names("a.jpg", again.format(here=here)) == ["a.jpg"]


def test_a_link_is_a_picture_of_its_own() -> None:
    touch("a.jpg")
    os.symlink("a.jpg", "b.jpg")
    assert names("a.jpg", "b.jpg") == ["a.jpg", "b.jpg"]


def test_a_file_that_is_not_there_is_a_source_to_be_complained_of_when_it_is_read() -> None:
    assert names("missing.jpg") == ["missing.jpg"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jpg", "image"),
        ("a", "image"),
        ("a.txt", "image"),
        ("a.mp4", "video"),
        ("A.MOV", "video"),
        ("a.gif", "image"),
    ],
)
def test_the_suffix_tells_a_video_from_a_picture(name: str, kind: str) -> None:
    assert [source.kind for source in expand([name])] == [kind]


@pytest.mark.parametrize(
    "name", ["a b.jpg", "фото.jpg", "я" * 120 + ".jpg", "a\udcff.jpg", "-.jpg", "a\nb.jpg", "%2e.jpg"]
)
def test_a_name_may_be_any(name: str) -> None:
    touch(name)
    assert names(".") == [f"./{name}"]
    assert names(name) == [name]


def test_an_empty_argument_is_not_the_current_folder() -> None:
    touch("a.jpg")
    assert "empty" in str(problem(""))


@pytest.mark.parametrize("name", ["@me.jpg", "webcam", "[1].jpg", "*.jpg", "webcam:1"])
def test_a_file_that_exists_wins_over_what_its_name_could_mean(name: str) -> None:
    touch(name, "1.jpg")
    (source,) = expand([name])
    assert (source.name, source.kind) == (name, "image")


# ---- folders -------------------------------------------------------------------------------------------------------


def test_a_folder_is_its_pictures_and_videos_in_natural_order() -> None:
    touch("d/a10.jpg", "d/a2.PNG", "d/A1.heic", "d/b.mp4", "d/notes.txt", "d/sub/c.jpg", "d/no_suffix")
    assert names("d") == ["d/A1.heic", "d/a2.PNG", "d/a10.jpg", "d/b.mp4"]


def test_recursive_adds_the_folders_in_it_after_its_own_pictures() -> None:
    touch("d/z.jpg", "d/s10/a.jpg", "d/s2/b.jpg", "d/s2/deep/c.jpg")
    assert names("d", recursive=True) == ["d/z.jpg", "d/s2/b.jpg", "d/s2/deep/c.jpg", "d/s10/a.jpg"]


def test_hidden_files_and_folders_are_passed_over_unless_they_are_named() -> None:
    touch("d/.a.jpg", "d/.git/b.jpg", "d/c.jpg")
    assert names("d", recursive=True) == ["d/c.jpg"]
    assert names("d/.git", "d/.a.jpg") == ["d/.git/b.jpg", "d/.a.jpg"]


def test_a_folder_without_pictures_is_a_problem_and_says_what_would_help() -> None:
    touch("d/notes.txt", "d/sub/a.jpg", "empty/notes.txt")
    assert "--recursive" in problem("d").hint
    assert "no pictures in empty" in str(problem("empty", recursive=True))
    assert ".jpg" in problem("empty").hint


def test_what_cannot_be_a_source_does_not_stop_the_others() -> None:
    touch("a.jpg", "b.jpg", "empty/notes.txt")
    sources = list(expand(["a.jpg", "empty", "@missing.txt", "x*.jpg", "ftp://host/a.jpg", "", "b.jpg"]))
    assert [bool(source.problem) for source in sources] == [False, True, True, True, True, True, False]


def test_a_folder_that_may_not_be_read_is_named_and_the_rest_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # By hand, as nothing is forbidden to root.
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        if path == "d/secret":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    touch("d/a.jpg", "d/secret/b.jpg", "d/z/c.jpg")
    monkeypatch.setattr(os, "scandir", refuse)
    for found in (list(expand(["d"], recursive=True)), list(expand(["d/**/*.jpg"]))):
        assert {source.name for source in found if not source.problem} == {"d/a.jpg", "d/z/c.jpg"}
        (refused,) = [source.problem for source in found if source.problem]
        assert str(refused) == "d/secret may not be read."


def test_links_in_circles_end() -> None:
    touch("d/a.jpg", "d/sub/b.jpg")
    os.symlink(".", "d/self")
    os.symlink("..", "d/sub/up")
    os.symlink(os.path.abspath(".."), "d/far_up")
    os.symlink("sub", "d/another_way_to_sub")
    os.symlink("loop.jpg", "d/loop.jpg")
    assert names("d", recursive=True) == ["d/a.jpg", "d/loop.jpg", "d/sub/b.jpg"]
    assert names("d/**/*.jpg") == ["d/a.jpg", "d/loop.jpg", "d/sub/b.jpg"]


def test_many_folders_that_link_to_one_another_are_each_seen_once() -> None:
    for number in range(7):
        touch(f"far/{number}/{number}.jpg")
        for other in range(7):
            os.symlink(f"../{other}", f"far/{number}/to{other}")
    touch("d/a.jpg")
    for number in range(7):
        os.symlink(f"../far/{number}", f"d/{number}")
    assert sorted(map(os.path.basename, names("d", recursive=True))) == [*(f"{n}.jpg" for n in range(7)), "a.jpg"]


def test_a_link_out_of_the_tree_is_followed() -> None:
    touch("elsewhere/deep/a.jpg", "d/b.jpg")
    os.symlink("../elsewhere", "d/link")
    assert names("d", recursive=True) == ["d/b.jpg", "d/link/deep/a.jpg"]


def test_a_broken_link_is_a_source_and_a_pipe_is_none() -> None:
    touch("d/a.jpg")
    os.symlink("nowhere.jpg", "d/broken.jpg")
    os.mkfifo("d/pipe.jpg")
    assert names("d") == ["d/a.jpg", "d/broken.jpg"]


def test_a_very_deep_tree_is_walked() -> None:
    depth = 400
    os.makedirs("/".join(["d"] * depth))
    touch("/".join(["d"] * depth) + "/a.jpg")
    assert len(names("d", recursive=True)) == 1


NAMES = st.text(st.sampled_from("aAbß01²٣ .-_"), min_size=1, max_size=8)


@given(st.lists(NAMES, max_size=12))
def test_the_natural_order_is_one_order_whatever_the_names(found: list[str]) -> None:
    shuffled = list(found)
    random.Random(7).shuffle(shuffled)
    assert sorted(found, key=sources.natural_key) == sorted(shuffled, key=folders.natural)


@given(st.lists(st.integers(0, 10**12), unique=True, min_size=2))
def test_numbers_in_names_are_in_the_order_of_numbers(numbers: list[int]) -> None:
    ordered = sorted((f"img{number}.jpg" for number in numbers), key=sources.natural_key)
    assert ordered == [f"img{number}.jpg" for number in sorted(numbers)]


# ---- patterns ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a1.jpg", "a2.jpg", "b.jpg"]),
        ("a?.jpg", ["a1.jpg", "a2.jpg"]),
        ("a[2-9].*", ["a2.jpg"]),
        ("[!a]*", ["b.jpg", "c.mp4"]),
        ("*/*.jpg", ["d/x.jpg", "e/x.jpg"]),
        ("?/x.jpg", ["d/x.jpg", "e/x.jpg"]),
        ("**/x*.jpg", ["d/x.jpg", "d/f/xx.jpg", "e/x.jpg"]),
        ("**/*.jpg", ["a1.jpg", "a2.jpg", "b.jpg", "d/x.jpg", "d/f/xx.jpg", "e/x.jpg"]),
        ("d/**", ["d/x.jpg", "d/f/xx.jpg"]),
        ("**/**/f/**/*.jpg", ["d/f/xx.jpg"]),
        ("./d/*", ["d/x.jpg"]),
        ("*/../b.*", ["d/../b.jpg"]),
        (".*.jpg", [".hidden.jpg"]),
        ("{here}/d/x.*", ["{here}/d/x.jpg"]),
    ],
)
def test_a_pattern_is_what_matches(here: Path, pattern: str, expected: list[str]) -> None:
    touch(
        "a1.jpg", "a2.jpg", "b.jpg", "c.mp4", "notes.txt", ".hidden.jpg", "d/x.jpg", "d/f/xx.jpg", "e/x.jpg", ".g/x.jpg"
    )
    assert names(pattern.format(here=here)) == [name.format(here=here) for name in expected]


def test_a_pattern_without_a_match_is_a_problem() -> None:
    touch("notes.txt")
    for pattern in ("*.jpg", "missing/*.jpg", "*", "[", "**/x"):
        assert str(problem(pattern)) == f"No picture matches {pattern}."


def test_a_folder_with_stars_in_its_name_is_taken_by_its_name() -> None:
    touch("party [2024]/a.jpg", "party 2/b.jpg", "what?/c.jpg")
    assert names("party [2024]/*.jpg") == ["party [2024]/a.jpg"]
    assert names("what?/c.*") == ["what?/c.jpg"]


TREES = st.lists(
    st.lists(st.sampled_from(["a", "b", "a.jpg", "b.jpg", "c1.png"]), min_size=1, max_size=3).map("/".join), max_size=8
)
PATTERNS = st.lists(st.sampled_from(["*", "**", "a", "?", "[ab]", "*.jpg", "c*"]), min_size=1, max_size=4).map("/".join)


def plant(top: Path, tree: list[str]) -> None:
    """Empty files of these names; one that is in the way of another, or in its place, is left out."""
    for name in tree:
        path = top / name
        if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


@settings(max_examples=60, deadline=None)
@given(TREES, PATTERNS)
def test_patterns_match_as_those_of_the_standard_library(
    tmp_path_factory: pytest.TempPathFactory, tree: list[str], pattern: str
) -> None:
    top = tmp_path_factory.mktemp("tree")
    plant(top, tree)
    reference = {path for path in glob.glob(f"{top}/{pattern}", recursive=True) if os.path.isfile(path)}
    assert set(sources._matches("", Path(f"{top}/{pattern}").parts)) == reference


# ---- lists ---------------------------------------------------------------------------------------------------------


def test_a_list_names_one_source_a_line() -> None:
    touch("a.jpg", "b c.jpg", "ы.jpg", "d/e.jpg", "x1.png")
    Path("list.txt").write_bytes("\ufeff# pictures\r\na.jpg\r\n\r\n  b c.jpg \r\nы.jpg\r\nd\r\nx*.png".encode())
    assert names("@list.txt") == ["a.jpg", "b c.jpg", "ы.jpg", "d/e.jpg", "x1.png"]


def test_a_list_of_powershell_is_read() -> None:
    Path("list.txt").write_bytes("ы.jpg\r\nb.jpg\r\n".encode("utf-16"))
    assert names("@list.txt") == ["ы.jpg", "b.jpg"]


def test_names_that_are_not_utf8_survive_a_list() -> None:
    Path("list.txt").write_bytes(b"a\xff.jpg\n")
    touch("a\udcff.jpg")
    (source,) = expand(["@list.txt"])
    assert os.path.exists(source.name)


def test_the_paths_of_a_list_begin_at_its_folder(here: Path) -> None:
    touch("sets/a.jpg", "b.jpg", "sets/webcam:1")
    lines = ["a.jpg", "../b.jpg", f"{here}/b.jpg", "*.jpg", "http://host/c.jpg", "webcam", "webcam:1", "-"]
    Path("sets/list.txt").write_text("\n".join(lines))
    found = list(expand(["@sets/list.txt"]))
    assert [source.name for source in found] == [
        "sets/a.jpg",
        "sets/../b.jpg",
        "http://host/c.jpg",
        "webcam:0",
        "sets/webcam:1",
        "-",
    ]
    assert [source.kind for source in found] == ["image", "image", "image", "camera", "image", "image"]


def test_a_list_and_an_argument_may_name_the_same_file() -> None:
    touch("a.jpg", "b.jpg")
    Path("list.txt").write_text("a.jpg\nb.jpg\na.jpg\n")
    assert names("b.jpg", "@list.txt", "@list.txt") == ["b.jpg", "a.jpg"]


def test_a_list_on_standard_input_begins_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "read_standard_input", lambda limit: b"a.jpg\nd/b.jpg\n")
    assert names("@-") == ["a.jpg", "d/b.jpg"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "There is no file list.txt"),
        (b"", "names no pictures"),
        (b"\n# a\n \n", "names no pictures"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "not a text file"),
        (b"\xff\xfea", "not a text file"),
    ],
)
def test_a_list_that_cannot_be_read_is_a_problem(content: bytes | None, reason: str) -> None:
    if content is not None:
        Path("list.txt").write_bytes(content)
    assert reason in str(problem("@list.txt"))


def test_a_list_does_not_name_lists() -> None:
    Path("list.txt").write_text("@list.txt\na.jpg\n")
    nested, picture = expand(["@list.txt"])
    assert "cannot name another list" in str(nested.problem)
    assert picture.name == "a.jpg"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_as_a_list_give_sources(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("list") / "list.txt"
    path.write_bytes(content)
    assert all(isinstance(source, Source) for source in expand([f"@{path}"]))


# ---- cameras, standard input, addresses ----------------------------------------------------------------------------


def test_a_camera_has_a_number() -> None:
    assert names("webcam", "webcam:0", "webcam:12") == ["webcam:0", "webcam:12"]
    assert [source.kind for source in expand(["webcam"])] == ["camera"]
    assert relatives("webcam:7") == ["webcam-7"]


@pytest.mark.parametrize("text", ["webcam:", "webcam:x", "webcam:-1", "webcam:1234567", "webcam1"])
def test_what_is_nearly_a_camera_is_a_file(text: str) -> None:
    assert [source.kind for source in expand([text])] == ["image"]


def test_standard_input_comes_once() -> None:
    assert names("-", "-") == ["-"]
    assert relatives("-") == ["stdin"]


def test_an_address_is_a_picture_unless_it_ends_like_a_video() -> None:
    addresses = ["http://host/a.mp4?x=1", "HTTPS://host/a?x=1.mp4", "https://host", "https://host/a.jpg#b"]
    sources = list(expand(addresses))
    assert [source.name for source in sources] == addresses
    assert [source.kind for source in sources] == ["video", "image", "image", "image"]


@pytest.mark.parametrize("address", ["ftp://host/a.jpg", "file:///a.jpg", "s3://bucket/a.jpg"])
def test_other_ways_over_the_net_are_a_problem(address: str) -> None:
    assert "only http and https" in str(problem(address))


# ---- where results belong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["d/x/1.jpg"], ["1.jpg"]),
        (["d/x/1.jpg", "d/x/2.jpg"], ["1.jpg", "2.jpg"]),
        (["d/x/1.jpg", "d/y/1.jpg"], ["x/1.jpg", "y/1.jpg"]),
        (["d"], ["x/1.jpg", "x/2.jpg", "y/1.jpg"]),
        (["d/x", "d/y"], ["x/1.jpg", "x/2.jpg", "y/1.jpg"]),
        (["d/*/1.jpg"], ["x/1.jpg", "y/1.jpg"]),
        (["{here}/d/x", "d/y"], ["x/1.jpg", "x/2.jpg", "y/1.jpg"]),
        (["../here/d/y", "top.jpg"], ["d/y/1.jpg", "top.jpg"]),
        (["-", "d/x/1.jpg", "webcam"], ["stdin", "1.jpg", "webcam-0"]),
    ],
)
def test_trees_are_mirrored_from_the_folder_that_all_have_in_common(
    here: Path, arguments: list[str], expected: list[str]
) -> None:
    touch("d/x/1.jpg", "d/x/2.jpg", "d/y/1.jpg", "top.jpg")
    assert relatives(*(text.format(here=here) for text in arguments), recursive=True) == expected


def test_a_file_that_is_not_there_does_not_move_the_results_of_the_others(here: Path) -> None:
    touch("d/x/1.jpg")
    one, missing = expand(["d/x/1.jpg", "../../missing.jpg"])
    assert one.relative == Path("1.jpg")
    assert not missing.relative.is_absolute()


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["https://host/a/b.jpg"], ["b.jpg"]),
        (["https://host/a/b.jpg", "https://host/c/b.jpg"], ["a/b.jpg", "c/b.jpg"]),
        (["https://host/b.jpg", "http://other/b.jpg"], ["host/b.jpg", "other/b.jpg"]),
        (["https://host"], ["index"]),
        (["https://host/%D1%8B.jpg"], ["ы.jpg"]),
        (["https://host/..%2F..%2Fetc", "https://host/../x"], ["__.._etc", "_/x"]),
    ],
)
def test_addresses_are_mirrored_likewise(addresses: list[str], expected: list[str]) -> None:
    assert relatives(*addresses) == expected


def test_addresses_that_differ_in_their_question_only_have_results_apart() -> None:
    one, two = relatives("https://host/get.jpg?id=1", "https://host/get.jpg?id=2")
    assert one != two
    assert relatives("https://host/get.jpg?id=2") == [two]


def test_names_that_would_meet_without_their_suffix_are_told_apart() -> None:
    touch("d/a.jpg", "d/a.png", "d/A.jpg", "d/a-png.gif", "d/IMG_1.HEIC", "d/IMG_1.MOV")
    assert relatives("d") == ["a-png.gif", "A.jpg", "a-jpg.jpg", "a-2.png", "IMG_1.HEIC", "IMG_1-mov.MOV"]


SEGMENT = st.text(st.sampled_from("abA.:?*%/ я\\"), max_size=70)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(SEGMENT, SEGMENT, SEGMENT), min_size=1, max_size=6))
def test_results_of_addresses_lie_below_their_folder_and_apart(parts: list[tuple[str, str, str]]) -> None:
    addresses = [f"http://host/{folder}/{name}?{query}" for folder, name, query in parts]
    check_relatives(expand(addresses))


@settings(max_examples=60, deadline=None)
@given(TREES, st.lists(st.sampled_from([".", "a", "b", "a/b", "*.jpg", "**/a*", "b/../a", "missing.jpg"]), min_size=1))
def test_results_of_trees_lie_below_their_folder_and_apart(
    tmp_path_factory: pytest.TempPathFactory, tree: list[str], arguments: list[str]
) -> None:
    top = tmp_path_factory.mktemp("tree")
    plant(top, tree)
    check_relatives(expand([f"{top}/{argument}" for argument in arguments], recursive=True))


def test_a_missing_file_that_in_letters_is_the_folder_of_all_is_a_source_with_a_name(tmp_path: Path) -> None:
    plant(tmp_path, ["a/b.jpg"])
    found, missing = expand([f"{tmp_path}/a", f"{tmp_path}/missing/../a"])
    assert found.relative == Path("b.jpg")
    assert missing.relative == Path("a")
    assert [source.name for source in expand([f"{tmp_path}/a", f"{tmp_path}/missing/.."])][1:] == [
        f"{tmp_path}/missing/.."
    ]


def check_relatives(sources: Iterable[Source]) -> None:
    found = [source for source in sources if not source.problem]
    for source in found:
        assert not source.relative.is_absolute()
        assert source.relative.name
        assert ".." not in source.relative.parts
        assert all(0 < len(os.fsencode(part)) <= 255 for part in source.relative.parts)
    assert len({source.name for source in found}) == len(found)
    assert len({str(source.relative.with_suffix("")).casefold() for source in found}) == len(found)


def test_a_hundred_names_that_meet_are_told_apart() -> None:
    taken: set[str] = set()
    assert len({sources._untaken(Path("a.jpg"), taken) for _ in range(100)}) == 100


# ---- many ----------------------------------------------------------------------------------------------------------


def test_sources_are_found_as_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    touch("a/1.jpg", "b/1.jpg")
    listed: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    sources = expand(["a", "b"])
    assert listed == []
    next(sources)
    assert listed == ["a"]


def test_ten_thousand_sources_take_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10_000):
        os.symlink("nowhere", f"{number}.jpg")
    tracemalloc.start()
    try:
        assert sum(1 for _ in expand(["."])) == 10_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6
