"""Arguments become sources. What is in the files does not matter here: they are empty."""

import glob
import os
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from posehg.errors import InputError
from posehg.io import content, sources
from posehg.io.sources import Source, expand


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
    found = list(expand(arguments, recursive))
    assert [source.problem for source in found] == [None] * len(found)
    return [source.name for source in found]


def relatives(*arguments: str, recursive: bool = False) -> list[str]:
    return [source.relative.as_posix() for source in expand(arguments, recursive)]


def problem(*arguments: str, recursive: bool = False) -> InputError:
    """Of the only source."""
    (source,) = expand(arguments, recursive)
    assert source.problem is not None
    assert source.name == arguments[0]
    return source.problem


def test_files_keep_their_order_and_come_once(here: Path) -> None:
    touch("b.jpg", "a.jpg", "sub/c.jpg")
    os.symlink("a.jpg", "link.png")
    expected = ["b.jpg", "a.jpg", "link.png"]
    assert names(*expected, "./a.jpg", "sub/../a.jpg", f"{here}/a.jpg", ".", "*.jpg") == expected


@pytest.mark.parametrize("name", ["a b.jpg", "фото.jpg", "я" * 120 + ".jpg", "a\udcff.jpg", "-.jpg", "a\nb.jpg"])
def test_a_name_may_be_any(name: str) -> None:
    touch(name)
    assert names(".") == [f"./{name}"]
    assert names(name) == [name]


@pytest.mark.parametrize("name", ["@me.jpg", "webcam", "[1].jpg", "*.jpg", "webcam:1"])
def test_an_existing_file_wins_over_other_meanings_of_its_name(name: str) -> None:
    touch(name, "1.jpg")
    (source,) = expand([name])
    assert (source.name, source.kind) == (name, "image")


def test_a_folder_is_its_images_and_videos_in_natural_order() -> None:
    touch("d/a10.jpg", "d/a2.PNG", "d/A1.heic", "d/b.mp4", "d/notes.txt", "d/s10/c.jpg", "d/s2/c.jpg", "d/.hidden.jpg")
    os.symlink("nowhere.jpg", "d/broken.jpg")
    os.mkfifo("d/pipe.jpg")
    assert names("d") == ["d/A1.heic", "d/a2.PNG", "d/a10.jpg", "d/b.mp4", "d/broken.jpg"]
    assert names("d", recursive=True)[5:] == ["d/s2/c.jpg", "d/s10/c.jpg"]
    assert names("d/.hidden.jpg") == ["d/.hidden.jpg"]


def test_a_folder_without_images_is_a_problem_with_a_hint() -> None:
    touch("d/notes.txt", "d/sub/a.jpg", "empty/notes.txt")
    assert "--recursive" in problem("d").hint
    assert ".jpg" in problem("empty", recursive=True).hint


def test_one_bad_argument_does_not_stop_the_others() -> None:
    touch("a.jpg", "b.jpg", "empty/notes.txt")
    found = list(expand(["a.jpg", "empty", "@missing.txt", "x*.jpg", "no/*", "http://[::1/a", "", "b.jpg"]))
    assert [source.problem is None for source in found] == [True, *[False] * 6, True]
    assert all(source.name in str(source.problem) for source in found[1:-2] if not source.name.startswith("@"))


def test_a_folder_without_permission_is_reported_and_the_rest_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir  # by hand, as root may read everything

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        if path == "d/secret":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    touch("d/a.jpg", "d/secret/b.jpg", "d/z/c.jpg")
    monkeypatch.setattr(os, "scandir", refuse)
    found = list(expand(["d"], recursive=True))
    assert {source.name for source in found if not source.problem} == {"d/a.jpg", "d/z/c.jpg"}
    (refused,) = [source.problem for source in found if source.problem]
    assert "d/secret" in str(refused)


def test_links_in_circles_end_and_links_out_of_the_tree_are_followed_once() -> None:
    touch("d/a.jpg", "d/sub/b.jpg", "elsewhere/deep/c.jpg")
    for target, link in {".": "self", "sub": "same", "../elsewhere": "out", "../elsewhere/.": "twice"}.items():
        os.symlink(target, f"d/{link}")
    os.symlink("..", "d/sub/up")
    os.symlink(os.path.abspath(".."), "d/far_up")
    os.symlink("loop.jpg", "d/loop.jpg")
    expected = ["d/a.jpg", "d/loop.jpg", "d/sub/b.jpg", "d/out/deep/c.jpg"]
    assert names("d", recursive=True) == expected
    assert names("d/**/*.jpg") == expected[:3]  # as in a shell


NAMES = st.text(st.sampled_from("aAbß01²٣ .-_"), min_size=1, max_size=8)


@given(st.lists(NAMES, max_size=12), st.lists(st.integers(0, 10**12), unique=True, min_size=2))
def test_the_natural_order_is_one_order_and_sorts_numbers(found: list[str], numbers: list[int]) -> None:
    shuffled = list(found)
    random.Random(7).shuffle(shuffled)
    assert sorted(found, key=sources.natural_key) == sorted(shuffled, key=sources.natural_key)
    ordered = sorted((f"img{number}.jpg" for number in numbers), key=sources.natural_key)
    assert ordered == [f"img{number}.jpg" for number in sorted(numbers)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**/x*.jpg", ["d/x.jpg", "d/f/xx.jpg", "e/x.jpg"]),
        ("**/**/f/**/*.jpg", ["d/f/xx.jpg"]),
        (".*.jpg", [".hidden.jpg"]),
        ("***a1**.jpg", ["a1.jpg"]),
        ("party [2024]/*.jpg", ["party [2024]/a.jpg"]),
    ],
)
def test_a_pattern_is_what_matches(here: Path, pattern: str, expected: list[str]) -> None:
    touch("a1.jpg", "a2.jpg", "b.jpg", "c.mp4", "notes.txt", ".hidden.jpg", "d/x.jpg", "d/f/xx.jpg", "e/x.jpg")
    touch(".g/x.jpg", "party [2024]/a.jpg", "party 2/b.jpg")
    assert names(pattern.format(here=here)) == [name.format(here=here) for name in expected]


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


@settings(max_examples=60)
@given(TREES, PATTERNS)
def test_patterns_match_as_those_of_the_standard_library(
    tmp_path_factory: pytest.TempPathFactory, tree: list[str], pattern: str
) -> None:
    top = tmp_path_factory.mktemp("tree")
    plant(top, tree)
    assume(set(pattern) & set("*?["))
    found = filter(sources.has_known_suffix, glob.glob(f"{top}/{pattern}", recursive=True))
    expected = set(filter(os.path.isfile, found))
    assert {source.name for source in expand([f"{top}/{pattern}"]) if not source.problem} == expected


def test_a_list_names_one_source_a_line_from_its_own_folder(here: Path) -> None:
    touch("sets/a.jpg", "sets/b c.jpg", "sets/ы\udcff.jpg", "sets/d/e.jpg", "b.jpg", "sets/webcam:1")
    lines = ["# images", "a.jpg", "", "  b c.jpg ", "ы\udcff.jpg", "d", "../b.jpg", f"{here}/b.jpg", "x*.jpg", "*c.jpg"]
    Path("sets/list.txt").write_bytes(
        "\ufeff".encode() + "\r\n".join([*lines, "webcam:1", "a.jpg"]).encode("utf-8", "surrogateescape")
    )
    expected = ["sets/a.jpg", "sets/b c.jpg", "sets/ы\udcff.jpg", "sets/d/e.jpg", "sets/../b.jpg", "sets/x*.jpg"]
    found = list(expand(["@sets/list.txt", "b.jpg", "@sets/list.txt"]))
    assert [source.name for source in found] == [*expected, "sets/webcam:1"]
    assert [source.name for source in found if source.problem] == ["sets/x*.jpg"]


def test_a_list_may_come_from_standard_input_and_name_addresses_and_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "read_bytes", lambda name, limit: b"a.jpg\nhttp://host/c.jpg\nwebcam\n-\n")
    found = [(source.name, source.kind) for source in expand(["@-"])]
    assert found == [("a.jpg", "image"), ("http://host/c.jpg", "image"), ("webcam:0", "camera"), ("-", "image")]


@pytest.mark.parametrize("content", [None, b"", b"\n# a\n \n", b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a".encode("utf-16")])
def test_a_list_that_cannot_be_read_is_a_problem(content: bytes | None) -> None:
    if content is not None:
        Path("list.txt").write_bytes(content)
    assert "list.txt" in str(problem("@list.txt"))


@pytest.mark.parametrize(
    ("argument", "name", "kind"),
    [
        ("a.jpg", "a.jpg", "image"),
        ("a", "a", "image"),
        ("a.gif", "a.gif", "image"),
        ("A.MOV", "A.MOV", "video"),
        ("http://host/a.mp4?x=1", "http://host/a.mp4?x=1", "video"),
        ("HTTPS://host/a?x=1.mp4", "HTTPS://host/a?x=1.mp4", "image"),
        ("https://host", "https://host", "image"),
        ("webcam", "webcam:0", "camera"),
        ("webcam:012", "webcam:12", "camera"),
        *((text, text, "image") for text in ("webcam:", "webcam:x", "webcam:-1", "webcam:1234567", "webcam1", "-")),
    ],
)
def test_an_argument_tells_the_kind_of_source(argument: str, name: str, kind: str) -> None:
    (source,) = expand([argument, argument])
    assert (source.name, source.kind, source.problem) == (name, kind, None)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["d/x/1.jpg", "d/y/1.jpg"], ["x/1.jpg", "y/1.jpg"]),
        (["{here}/d/x", "d/y"], ["x/1.jpg", "x/2.jpg", "y/1.jpg"]),
        (["d/*/1.jpg"], ["x/1.jpg", "y/1.jpg"]),
        (["../here/d/y", "top.jpg"], ["d/y/1.jpg", "top.jpg"]),
        (["-", "d/x/1.jpg", "webcam"], ["stdin", "1.jpg", "webcam-0"]),
        (["d/x/1.jpg", "missing/d/x/2.jpg"], ["1.jpg", "missing/d/x/2.jpg"]),
        (["https://host/a/b.jpg", "https://me:secret@other/b.jpg?id=1"], ["b.jpg", "b.jpg"]),
        (["https://host", "https://host/%D1%8B.jpg", "d/x/1.jpg"], ["index", "ы.jpg", "1.jpg"]),
        (["https://host/..%2F..%2Fetc", "https://host/../..x."], ["_.._etc", "x"]),
    ],
)
def test_trees_are_mirrored_from_the_folder_that_all_share(
    here: Path, arguments: list[str], expected: list[str]
) -> None:
    touch("d/x/1.jpg", "d/x/2.jpg", "d/y/1.jpg", "top.jpg")
    assert relatives(*(text.format(here=here) for text in arguments), recursive=True) == expected


SEGMENT = st.text(st.sampled_from("abA.:?*%/ я\\"), max_size=70)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(SEGMENT, SEGMENT, SEGMENT), min_size=1, max_size=6),
    TREES,
    st.lists(st.sampled_from([".", "a", "b", "a/b", "*.jpg", "**/a*", "b/../a", "missing.jpg"]), min_size=1),
)
def test_results_lie_below_their_folder(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, str, str]], tree: list[str], arguments: list[str]
) -> None:
    check_relatives(expand([f"http://host/{folder}/{name}?{query}" for folder, name, query in parts]))
    top = tmp_path_factory.mktemp("tree")
    plant(top, tree)
    check_relatives(expand([f"{top}/{argument}" for argument in arguments], recursive=True))


def check_relatives(given: Iterable[Source]) -> None:
    found = [source for source in given if not source.problem]
    for source in found:
        assert not source.relative.is_absolute()
        assert source.relative.name
        assert ".." not in source.relative.parts
        assert all(0 < len(os.fsencode(part)) <= 255 for part in source.relative.parts)
    assert len({source.name for source in found}) == len(found)
