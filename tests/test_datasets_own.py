"""Files of your own: tables, names, where images are, and splits."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg.datasets import Dataset, load, load_one, own, parse, reading, set_names
from posehg.datasets import csv as table
from posehg.errors import NotAvailable, UsageError
from posehg.geometry import Box
from posehg.io.writers.csv import WideCsvWriter
from posehg.skeletons import LSP
from tests import results
from tests.coco_files import FIVE, animals, annotation, write
from tests.lsp_files import make_lspet
from tests.mpii_files import picture

COLUMNS = ["image", "x", "y", "w", "h", "tail_x", "tail_y", "tail_v", "left_ear_x", "left_ear_y"]
ROW = ["a.jpg", "1", "2", "30", "40", "5.5", "6.25", "1", "7", "8"]


def tabled(path: Path, *rows: Sequence[Any], header: Sequence[str] = COLUMNS, **options: Any) -> Path:
    encoding = options.pop("encoding", "utf-8")
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file, **options).writerows([header, *rows])
    return path


def read(path: Path) -> Dataset:
    everyone = reading.sound(table.read(path, "mine"))
    return reading.part(everyone, "all", Path, set(everyone.images.values()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.csv"


def test_a_row_is_a_person(path: Path) -> None:
    found = read(tabled(path, ROW, ["b/c.jpg", "", "", "", "", "5", "6", "", "17.5", "8.25"]))
    first, last = found.persons
    assert found.skeleton.joints == ("tail", "left_ear")
    np.testing.assert_array_equal(first.keypoints, [[5.5, 6.25], [7, 8]])
    assert (first.visible.tolist(), last.visible.tolist()) == ([False, True], [True, True])
    assert (first.image, first.box) == (Path("a.jpg"), Box(1, 2, 30, 40))
    assert (last.image, last.box) == (Path("b/c.jpg"), Box(5, 6, 13.5, 3.25))  # the extent of the joints' pixels
    assert [person.id for person in found.persons] == ["a.jpg:1", "b/c.jpg:1"]
    assert found.images == {"a.jpg": Path("a.jpg"), "b/c.jpg": Path("b/c.jpg")}


def test_optional_columns_are_read_others_are_not_and_empty_rows_are_nobody(path: Path) -> None:
    header = [*COLUMNS, "ID", "Head_Size", "Area", "split", "photographer"]
    rows = [[*ROW, "Ada", "12.5", "", "val", "me"], [*ROW, "Bob", "", "99", "val", ""]]
    found = read(tabled(path, *rows, header=header))
    sizes = [(person.id, person.head_size, person.area) for person in found.persons]
    assert sizes == [("Ada", 12.5, None), ("Bob", None, 99)]
    rows = [[*ROW[:5], *[""] * 5, "3"], ["nobody.jpg", *[""] * 9, "4"], [*ROW, "5"]]
    found = read(tabled(path, *rows, header=[*COLUMNS, "uid"]))
    assert [person.id for person in (*found.persons, *found.ignored)] == ["a.jpg:2", "a.jpg:1"]
    assert list(found.images) == ["a.jpg", "nobody.jpg"]


def test_tables_are_read_as_spreadsheets_write_them(path: Path) -> None:
    sound = read(tabled(path, ROW)).persons[0]
    header, lines = ["file_name", *COLUMNS[1:]], [";".join(ROW).replace(".", ",").replace(",jpg", ".jpg")]
    text = "\r\n".join(["sep=;", ";".join(header), *(f"{line};;" for line in lines), ""])
    for encoding in ("utf-8-sig", "utf-16", "latin-1"):
        path.write_bytes(text.encode(encoding))
        assert repr(read(path).persons[0]) == repr(sound)
    path.write_bytes(text.replace("a.jpg", "\u00f6.jpg").encode("latin-1"))
    assert read(path).persons[0].image == Path("\u00f6.jpg")
    assert "UTF-8" in read(path).note


def test_a_box_may_be_given_by_its_corners(path: Path) -> None:
    for names in (["x1", "y1", "x2", "y2"], ["Xmin", "Ymin", "Xmax", "Ymax"]):
        header = ["image", *names, *COLUMNS[5:]]
        assert read(tabled(path, ROW, header=header)).persons[0].box == Box(1, 2, 29, 38)
        with pytest.raises(NotAvailable, match="row 3"):
            read(tabled(path, ROW, [*ROW[:3], "0.5", *ROW[4:]], header=header))


PLACES = st.floats(-50, 5000, allow_nan=False).map(lambda number: round(number, 3))
LABELS = st.none() | st.tuples(PLACES, PLACES, st.sampled_from([1, 2]))
NAMES = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters='\\/"'), min_size=1, max_size=5)


@settings(max_examples=60)
@given(
    people=st.lists(st.tuples(NAMES, st.lists(LABELS, min_size=3, max_size=3)), min_size=1, max_size=5),
    joints=st.lists(NAMES.map("j{}".format), min_size=3, max_size=3, unique_by=lambda name: name.lower()),
    delimiter=st.sampled_from(",;\t"),
    bom=st.booleans(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, people: Any, joints: Any, delimiter: str, bom: bool, quoting: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "people.csv"
    header = ["image", "x", "y", "w", "h", *(f"{joint}_{column}" for joint in joints for column in "xyv")]
    rows = []
    for name, labels in people:
        cells = [str(cell) for label in labels for cell in (label or ("", "", ""))]
        cells = cells if delimiter == "," else [cell.replace(".", ",") for cell in cells]
        rows.append([f"{name}.jpg", "3", "5", "7", "11", *cells])
    encoding = "utf-8-sig" if bom else "utf-8"
    found = read(tabled(path, *rows, header=header, delimiter=delimiter, quoting=quoting, encoding=encoding))
    assert found.skeleton.joints == tuple(joints)
    expected = [(f"{name}.jpg", labels) for name, labels in people if any(labels)]
    assert [str(person.image) for person in found.persons] == [name for name, _ in expected]
    assert len(found.persons) + len(found.ignored) == len(people)
    for person, (_, labels) in zip(found.persons, expected, strict=True):
        truth = [label[:2] if label else (np.nan, np.nan) for label in labels]
        np.testing.assert_array_equal(person.keypoints, truth)
        assert person.visible.tolist() == [label is not None and label[2] == 2 for label in labels]


CELLS = {
    **{(0, ""): "image", (1, ""): "box", (3, "0"): "box", (4, "-40"): "-40 high", (2, "1e999"): "1e999|inf"},
    **{(5, "five"): "five.*tail_x", (5, "5,5"): "5,5", (6, ""): "tail", (7, "3"): "v"},
    **{(7, "yes"): "yes", (5, "1e7"): r"1e\+07", (1, "-1e7"): r"1e\+07", (3, "1e-9"): "1e-09"},
}


@pytest.mark.parametrize(("place", "named"), CELLS.items())
def test_a_wrong_cell_is_named(path: Path, place: tuple[int, str], named: str) -> None:
    column, cell = place
    row = [*ROW[:column], cell, *ROW[column + 1 :]]
    with pytest.raises(NotAvailable, match=rf"mine\.csv, row 4: .*{named}") as caught:
        read(tabled(path, ROW, [], row))
    assert "image" in caught.value.hint


@pytest.mark.parametrize(
    ("further", "first", "second", "named"),
    [
        *(("id", "Ada", "Ada", "Ada"), ("id", "Ada", "", "id"), ("split", "train", "", "split")),
        *(
            ("split", "train", "val", r"train.* val"),
            ("head_size", "5", "-1", "head_size"),
            ("area", "5", "-2", "area"),
        ),
    ],
)
def test_rows_that_contradict_are_named(path: Path, further: str, first: str, second: str, named: str) -> None:
    with pytest.raises(NotAvailable, match=f"row 3: .*{named}"):
        read(tabled(path, [*ROW, first], [*ROW, second], header=[*COLUMNS, further]))


@pytest.mark.parametrize(
    ("header", "named"),
    [
        *(
            ("tail_x tail_y", "image"),
            ("image x y w h", "joints"),
            ("image tail_x", "tail_y"),
            ("image ear_x tail_x", "ear_y or tail_y"),
        ),
        *(("image tail_v", "tail_x"), ("image Image a_x a_y", "image"), ("image tail_x tail_y tail_y", "tail_y")),
        *(("image x y w tail_x tail_y", "h"), ("image bbox_x bbox_y bbox_w bbox_h", "bbox")),
    ],
)
def test_a_wrong_header_is_named(path: Path, header: str, named: str) -> None:
    with pytest.raises(NotAvailable, match=rf"mine\.csv, first row: .*{named}") as caught:
        read(tabled(path, header=header.split()))
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xd8JFIF", b'image,"tail', b"PK\3\4", b"image,a_x,a_y\nb,1\n"])
def test_what_is_no_table_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(NotAvailable, match=r"mine\.csv") as caught:
        read(path)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        ("a/mine.CSV:2 + lspet:0.5", [("a/mine.CSV", 2), ("lspet", 0.5)]),
        ("people-{split}.json:3", [("people-{split}.json", 3)]),
        ("C:\\pets\\mine.json", [("C:\\pets\\mine.json", 1)]),
        ("C:\\pets\\mine.json:2", [("C:\\pets\\mine.json", 2)]),
        ("mine.json#sea horse:2+b.csv", [("mine.json#sea horse", 2), ("b.csv", 1)]),
    ],
)
def test_files_are_named_like_sets(names: str, parts: list[tuple[str, float]]) -> None:
    assert parse(names) == parts


def test_a_path_may_have_a_plus_in_it_and_a_colon(tmp_path: Path) -> None:
    one, two = (write(tmp_path / folder / "c.json", animals(2)) for folder in ("a+b", "a:2"))
    assert (parse(str(one)), parse(f"{two}:3+mpii")) == ([(str(one), 1)], [(str(two), 3), ("mpii", 1)])


@pytest.mark.parametrize("names", ["", "mpii+", "mpii:0", "mpii:-1", "mpii:", "mpii:two", ":2", "a.json:0", "a.json:b"])
def test_names_that_cannot_be_meant_are_refused(names: str) -> None:
    with pytest.raises(UsageError, match="data set"):
        load(names, None, "train")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        *(("a/mine.json", "mine"), ("people-{split}.json", "people"), ("{split}_people.csv", "people")),
        *(("pets/{split}.json", "pets"), ("a/{split}/{split}.json", "a"), ("{split}/{split}.json", "own")),
        *(("{split}/_annotations.coco.json", "annotations-coco"), ("mine.json#sea horse", "mine-sea horse")),
        *(("coco.json", "coco-json"), ("a.JSON.json", "a-JSON"), ("table.csv.json", "table-csv")),
    ],
)
def test_a_set_is_called_as_its_file(file: str, name: str) -> None:
    assert set_names(f"{file}:2+lspet") == f"{name}:2+lspet"
    assert set_names(name) == name


def test_a_file_is_named_in_place_of_a_set_and_joined_with_known_sets(tmp_path: Path) -> None:
    data = load(str(write(tmp_path / "pets.json", animals())), None, "all")
    assert (data.name, data.split, len(data), data.skeleton.joints) == ("pets", "all", 11, FIVE)
    assert data.persons[4].image == data.images["5"] == tmp_path / "a5.jpg"
    assert data.read(data.persons[4]).shape == (5, 7, 3)
    make_lspet(tmp_path / "lspet")
    content = animals(0, keypoints=["head_top", "left_ear"])
    content["images"] = [{"id": 3, "file_name": "a3.jpg", "split": "train"}]
    content["annotations"] = [annotation(3, ("head_top", "left_ear"))]
    data = load(f"lspet+{write(tmp_path / 'heads.json', content)}:2", tmp_path, "train")
    assert (data.name, data.skeleton, len(data)) == ("lspet+heads", LSP, 4)
    np.testing.assert_array_equal(data.persons[3].keypoints[LSP.index("head_top")], [19, 26])
    assert data.read(data.persons[3]).shape == (5, 7, 3)


@pytest.mark.parametrize(
    ("folder", "given"), [("", False), ("images", False), ("far", True), ("far/images", True), ("images", True)]
)
def test_images_are_looked_for(tmp_path: Path, folder: str, given: bool) -> None:
    path = write(tmp_path / "pets.json", animals(3), pictures=False)
    with pytest.raises(NotAvailable, match=r"3 of 3 .*pets") as caught:
        load(str(path), tmp_path / "far", "all")
    for looked in ("far", "far/images", "", "images"):
        assert str(tmp_path / looked) in caught.value.hint
    assert len(load_one(str(path), None, "all", need_images=False)) == 3
    for number in (1, 2, 3):
        picture(tmp_path / folder / f"a{number}.jpg")
    data = load(str(path), tmp_path / "far" if given else None, "all")
    assert [person.image for person in data.persons] == [tmp_path / folder / f"a{n}.jpg" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("named", "lies", "given"),
    [
        *(("/home/me/images/{}", "img/{}", "img"), ("C:\\me\\images\\{}", "img/{}", "img")),
        *(("train/{}", "img/{}", "img"), ("me/set/train/{}", "set/train/{}", "."), ("../../up/{}", "images/{}", None)),
        *(("{}", "annotations/../images/{}", None), ("{}", "default/{}", None), ("x/{}", "images/default/{}", None)),
    ],
)
def test_images_are_found_by_the_trailing_parts_of_their_names(
    tmp_path: Path, named: str, lies: str, given: str | None
) -> None:
    content = animals(3)
    for image in content["images"]:
        picture(tmp_path / lies.format(image["file_name"]))
        image["file_name"] = named.format(image["file_name"])
    path = write(tmp_path / "annotations" / "people_default.json", content, pictures=False)
    data = load(str(path), None if given is None else tmp_path / given, "all")
    assert [data.read(person).shape for person in data.persons] == [(5, 7, 3)] * 3
    assert ("trailing parts" in data.note) == (named not in lies)


def test_a_file_is_not_that_of_two_images_and_the_longest_name_counts(tmp_path: Path) -> None:
    content = animals(2)
    for image, folder in zip(content["images"], "xy", strict=True):
        image["file_name"] = f"{folder}/a.jpg"
    path = write(tmp_path / "pets.json", content)
    picture(tmp_path / "far" / "a.jpg")
    assert [person.image.parent.name for person in load(str(path), tmp_path / "far", "all").persons] == ["x", "y"]
    (tmp_path / "x" / "a.jpg").unlink()
    (tmp_path / "y" / "a.jpg").unlink()
    with pytest.raises(NotAvailable, match=r"x/a\.jpg and y/a\.jpg"):
        load(str(path), tmp_path / "far", "all")


def part(path: Path, split: str) -> Dataset:
    return load_one(str(path), None, split, need_images=False)


def ids(path: Path, split: str) -> set[str]:
    return {person.id for person in part(path, split).persons}


def test_without_marks_one_image_in_ten_is_held_out(tmp_path: Path) -> None:
    content = animals(997)
    content["annotations"] += [annotation(number, id=5000 + number) for number in range(1, 998)]
    path = write(tmp_path / "pets.json", content, pictures=False)
    training, validation = ids(path, "train"), ids(path, "val")
    assert training | validation == ids(path, "all")
    assert not training & validation
    assert 0.07 < len(validation) / (2 * 997) < 0.13
    assert {str(int(id) + 4900) for id in validation if int(id) < 5000} <= validation  # both animals of an image
    assert (part(path, "val").note, part(path, "all").note) == (own.NO_SPLITS, "")
    held_out = {image for image, mark in part(path, "all").marks.items() if mark == "val"}
    assert held_out == {person.image for person in part(path, "val").persons}


@pytest.mark.parametrize("marks", [("train", "val", "test"), ("Training", "valid", "test"), ("TRAIN", "VAL", "x")])
def test_the_marks_of_the_file_are_kept(tmp_path: Path, marks: Sequence[str]) -> None:
    content = animals(7)
    for number, image in enumerate(content["images"]):
        image["split"] = marks[number % 3]
    content["annotations"][3] |= {"bbox": [0, 0, 0, 0], "keypoints": [5, 6, 2, *[0] * 12]}
    path = write(tmp_path / "pets.json", content, pictures=False)
    assert [person.id for person in part(path, "train").ignored] == ["104"]
    header = ["image", "split", "tail_x", "tail_y", "nose_x", "nose_y", "id"]
    rows = [[f"a{n}.jpg", marks[(n - 1) % 3], 1, 2, 3, 4, 100 + n] for n in (1, 2, 3, 5, 6, 7)]
    for file in (path, tabled(tmp_path / "pets.csv", *rows, header=header)):
        assert [ids(file, split) for split in ("train", "val")] == [{"101", "107"}, {"102", "105"}]
        assert ids(file, marks[2]) == ids(file, marks[2].upper()) == {"103", "106"}
        assert len(ids(file, "all")) == 6
        assert own.NO_SPLITS not in part(file, "val").note
        with pytest.raises(UsageError, match="'tset'") as caught:
            ids(file, "tset")
        assert marks[2] in caught.value.hint


@pytest.mark.parametrize("spelling", ["val", "valid", "validation"])
def test_a_file_may_be_there_for_each_split(tmp_path: Path, spelling: str) -> None:
    write(tmp_path / "train" / "pets.json", animals(5))
    write(tmp_path / spelling / "pets.json", animals(3))
    pattern = tmp_path / "{split}" / "pets.json"
    assert [len(load(str(pattern), None, split)) for split in ("train", "val")] == [5, 3]
    assert load(str(pattern), None, "val").note == ""
    with pytest.raises(NotAvailable, match="test"):
        load(str(pattern), None, "test")


@pytest.mark.parametrize(
    ("name", "split", "error"),
    [
        *(("pets.json", "test", UsageError), ("pets.txt", "train", UsageError), ("marked.json", "val", NotAvailable)),
        *(("gone.csv", "val", NotAvailable), ("long.json", "all", NotAvailable), ("empty.csv", "all", NotAvailable)),
        ("empty.csv#dog", "all", UsageError),
    ],
)
def test_a_name_or_split_that_makes_no_sense_is_refused(
    tmp_path: Path, name: str, split: str, error: type[Exception]
) -> None:
    write(tmp_path / "pets.json", animals(3))
    (tmp_path / "pets.txt").write_text("a dog")
    (tmp_path / "empty.csv").write_text("image,nose_x,nose_y\n")
    for file, change in (("long.json", {"file_name": "a" * 300 + ".jpg"}), ("marked.json", {"split": "train"})):
        content = animals(1)
        content["images"][0] |= change
        write(tmp_path / file, content, pictures=False)
    with pytest.raises(error, match=name.partition(".")[0].partition("-")[0]) as caught:
        load(str(tmp_path / name), None, split)
    assert caught.value.hint


def test_what_predict_found_can_be_trained_on(tmp_path: Path) -> None:
    found = results.result("a.jpg", people=2)
    with WideCsvWriter(tmp_path / "found.csv") as writer:
        writer.add(found)
    people = table.read(tmp_path / "found.csv", "found").persons
    assert [person.image for person in people] == [Path("a.jpg")] * 2
    for person, pose in zip(people, found.people, strict=True):
        np.testing.assert_array_equal(np.isfinite(person.keypoints).all(axis=1), pose.found)
        np.testing.assert_allclose(person.keypoints[pose.found], pose.keypoints[pose.found], atol=0.006)
        np.testing.assert_allclose(tuple(person.box), tuple(pose.bbox), atol=0.006)
