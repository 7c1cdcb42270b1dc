from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posehg import datasets
from posehg.datasets import csv as table
from posehg.datasets import load, load_one, own, parse, set_names
from posehg.datasets.annotated import Annotated
from posehg.errors import NotAvailable, UsageError
from posehg.geometry import Box
from posehg.poses import Person
from posehg.skeletons import COCO, FLIC, LSP
from tests.coco_files import FIVE, animals, annotation, write
from tests.lsp_files import make_lspet
from tests.mpii_files import picture

COLUMNS = ["image", "x", "y", "w", "h", "tail_x", "tail_y", "tail_v", "left_ear_x", "left_ear_y"]
ROW = ["a.jpg", "1", "2", "30", "40", "5.5", "6.25", "1", "7", "8"]


def tabled(path: Path, *rows: Sequence[str], header: Sequence[str] = COLUMNS, **options: Any) -> Path:
    encoding = options.pop("encoding", "utf-8")
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file, **options).writerows([header, *rows])
    return path


def read(path: Path) -> Annotated:
    return table.read(path, "mine")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.csv"


# ---- tables ------------------------------------------------------------------------------------------------------


def test_a_row_is_a_person(path: Path) -> None:
    second = ["b/c.jpg", "", "", "", "", "5", "6", "", "17.5", "8.25"]
    found = read(tabled(path, ROW, second))
    first, last = found.persons
    assert found.skeleton.joints == ("tail", "left_ear")
    np.testing.assert_array_equal(first.keypoints, [[5.5, 6.25], [7, 8]])
    assert first.visible.tolist() == [False, True]
    assert (first.image, first.box) == (Path("a.jpg"), Box(1, 2, 30, 40))
    assert (last.image, last.box) == (Path("b/c.jpg"), Box(5, 6, 13.5, 3.25))  # the extent of the joints' pixels
    assert last.visible.tolist() == [True, True]
    assert [person.id for person in found.persons] == ["a.jpg:1", "b/c.jpg:1"]
    assert found.images == {"a.jpg": Path("a.jpg"), "b/c.jpg": Path("b/c.jpg")}


def test_joints_that_are_not_labelled_are_empty_or_marked(path: Path) -> None:
    rows = [
        [*ROW[:5], *cells]
        for cells in (["", "", "", "7", "8"], ["5", "6", "0", "7", "8"], ["nan", "NaN", "0", "7", "8"])
    ]
    for person in read(tabled(path, *rows)).persons:
        np.testing.assert_array_equal(person.keypoints, [[np.nan, np.nan], [7, 8]])
        assert person.visible.tolist() == [False, True]


def test_people_of_one_picture_are_numbered_where_they_have_no_id(path: Path) -> None:
    assert [person.id for person in read(tabled(path, ROW, ROW, ROW)).persons] == ["a.jpg:1", "a.jpg:2", "a.jpg:3"]


def test_the_optional_columns_are_read(path: Path) -> None:
    header = [*COLUMNS, "ID", "Head_Size", "Area", "split", "photographer"]
    found = read(
        tabled(path, [*ROW, "Ada", "12.5", "", "val", "me"], [*ROW, "Bob", "", "99", "val", ""], header=header)
    )
    assert [(person.id, person.head_size, person.area) for person in found.persons] == [
        ("Ada", 12.5, None),
        ("Bob", None, 99),
    ]
    assert found.marks == {Path("a.jpg"): "val"}


def test_who_has_no_joints_is_ignored_and_an_empty_row_is_nobody(path: Path) -> None:
    found = read(tabled(path, [*ROW[:5], *[""] * 5], ["nobody.jpg", *[""] * 9], ROW))
    assert [person.id for person in found.persons] == ["a.jpg:2"]
    assert [person.id for person in found.ignored] == ["a.jpg:1"]
    assert list(found.images) == ["a.jpg", "nobody.jpg"]


def test_spreadsheets_write_it_otherwise(path: Path) -> None:
    rows = [[cell.replace(".", ",") if number else cell for number, cell in enumerate(ROW)]]
    plain = read(tabled(path, ROW)).persons[0]
    for options in (
        {"delimiter": ";", "encoding": "utf-8-sig"},
        {"delimiter": "\t", "lineterminator": "\n"},
        {"delimiter": ";", "quoting": csv.QUOTE_ALL, "lineterminator": "\r"},
    ):
        person = read(tabled(path, *rows, [""] * len(ROW), **options)).persons[0]  # with a blank line at the end
        np.testing.assert_array_equal(person.keypoints, plain.keypoints)
        assert (person.box, person.image) == (plain.box, plain.image)


def test_known_joints_have_the_known_skeleton(path: Path) -> None:
    for joints, skeleton in (
        (COCO.joints, COCO),
        (LSP.joints, LSP),
        (FLIC.joints, FLIC),
        (("left_wrist", "left_shoulder"), COCO.subset(("left_wrist", "left_shoulder"))),
        (("head_top", "pelvis"), None),
    ):
        header = ["image", *(f"{joint}_{axis}" for joint in joints for axis in "xy")]
        found = read(tabled(path, ["a.jpg", *["3", "5"] * len(joints)], header=header))
        assert found.skeleton.joints == joints
        assert skeleton is None or found.skeleton == skeleton


PLACES = st.floats(-50, 5000, allow_nan=False).map(lambda number: round(number, 3))
LABELS = st.none() | st.tuples(PLACES, PLACES, st.sampled_from([1, 2]))
NAMES = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters='\\/"'), min_size=1, max_size=5)
PEOPLE = st.lists(st.tuples(NAMES, st.lists(LABELS, min_size=3, max_size=3)), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    people=PEOPLE,
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
    comma = "," if delimiter != "," else "."
    rows = []
    for name, labels in people:
        cells = [str(cell).replace(".", comma) for label in labels for cell in (label or ("", "", ""))]
        rows.append([f"{name}.jpg", "3", "5", "7", "11", *cells])
    encoding = "utf-8-sig" if bom else "utf-8"
    tabled(path, *rows, header=header, delimiter=delimiter, quoting=quoting, encoding=encoding)
    found = read(path)
    assert found.skeleton.joints == tuple(joints)
    expected = [(f"{name}.jpg", labels) for name, labels in people if any(labels)]
    assert [str(person.image) for person in found.persons] == [name for name, _ in expected]
    assert len(found.persons) + len(found.ignored) == len(people)
    for person, (_, labels) in zip(found.persons, expected, strict=True):
        truth = [(x, y) if label else (np.nan, np.nan) for label in labels for x, y, _ in [label or (0, 0, 0)]]
        np.testing.assert_array_equal(person.keypoints, truth)
        assert person.visible.tolist() == [label is not None and label[2] == 2 for label in labels]


@pytest.mark.parametrize(
    ("column", "cell", "sentence"),
    [
        (0, "", "an image has no name"),
        (1, "", "a box has x, y, w and h, and the last two are above 0"),
        (3, "0", "a box has x, y, w and h, and the last two are above 0"),
        (4, "-40", "a box at 1, 2 cannot be 30 wide and -40 high"),
        (2, "1e999", "'1e999' in the column y is not a number"),
        (5, "five", "'five' in the column tail_x is not a number"),
        (5, "5,5", "'5,5' in the column tail_x is not a number"),
        (5, "1_0", "'1_0' in the column tail_x is not a number"),
        (6, "", "tail has an x or a y, but not both"),
        (7, "3", "v of a joint is 3, not 0, 1 or 2"),
        (7, "0.5", "v of a joint is 0.5, not 0, 1 or 2"),
        (7, "yes", "'yes' in the column tail_v is not a number"),
        (5, "1e7", "a joint lies at 1e+07"),
        (1, "-1e7", "a box at -1e+07, 2 cannot be 30 wide and 40 high"),
        (3, "1e7", "a box at 1, 2 cannot be 1e+07 wide and 40 high"),
        (3, "1e-9", "a box at 1, 2 cannot be 1e-09 wide and 40 high"),
    ],
)
def test_a_cell_that_cannot_be_is_named(path: Path, column: int, cell: str, sentence: str) -> None:
    row = [*ROW[:column], cell, *ROW[column + 1 :]]
    with pytest.raises(NotAvailable) as caught:
        read(tabled(path, ROW, [], row))
    assert str(caught.value) == f"{path}, row 4: {sentence}."
    assert caught.value.hint.startswith("The columns are image, ")


def test_a_joint_that_is_marked_as_labelled_needs_a_place(path: Path) -> None:
    with pytest.raises(NotAvailable, match="row 2: tail has a v of 1, but no place"):
        read(tabled(path, [*ROW[:5], "", "", *ROW[7:]]))


@pytest.mark.parametrize(
    ("further", "first", "second", "sentence"),
    [
        ("id", "Ada", "Ada", "row 3: another person has the id Ada"),
        ("id", "Ada", "", "row 3: it has no id"),
        ("split", "train", "", "row 3: it has no split"),
        ("split", "train", "val", "row 3: a.jpg is in train and in val"),
        ("head_size", "5", "0", "row 3: head_size must be above 0, not 0"),
        ("area", "5", "-2", "row 3: area must be above 0, not -2"),
        ("area", "5", "1e300", "row 3: its area is 1e[+]300"),
    ],
)
def test_two_rows_that_do_not_go_together_are_named(
    path: Path, further: str, first: str, second: str, sentence: str
) -> None:
    with pytest.raises(NotAvailable, match=sentence):
        read(tabled(path, [*ROW, first], [*ROW, second], header=[*COLUMNS, further]))


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ([], "it is empty"),
        (["tail_x", "tail_y"], "it has no column image"),
        (["image"], "it has no columns of joints"),
        (["image", "x", "y", "w", "h"], "it has no columns of joints"),
        (["image", "tail_x"], "the joint tail has no column tail_y"),
        (["image", "tail_y", "tail_v"], "the joint tail has no column tail_x"),
        (["image", "tail_v"], "the joint tail has no column tail_x"),
        (["image", "tail_x", "tail_y", "Tail_Y", "tail_y"], "two columns are called tail_y"),
        (["image", "Image", "tail_x", "tail_y"], "two columns are called image"),
        (["image", "x", "y", "w", "tail_x", "tail_y"], "of a box it has the columns x, y, w only"),
        (["image", "bbox_x", "bbox_y", "bbox_w", "bbox_h"], "bbox looks like a box, whose columns are called x, y, w"),
        (["image", "tail_x", "tail_y", "splt"], "there is no column splt, but split"),
        (["image", "tail_x", "tail_y", "headsize"], "there is no column headsize, but head_size"),
    ],
)
def test_a_header_that_cannot_be_is_explained(path: Path, header: list[str], sentence: str) -> None:
    with pytest.raises(NotAvailable, match=rf"mine\.csv: {sentence}") as caught:
        read(tabled(path, header=header))
    assert caught.value.hint


def test_columns_of_other_programs_are_not_read(path: Path) -> None:
    header = [*COLUMNS, "uid", "idx", "pid"]
    assert len(read(tabled(path, [*ROW, "3", "5", "7"], header=header)).persons) == 1


@pytest.mark.parametrize("cells", [ROW[:-1], [*ROW, ""]])
def test_a_row_of_another_length_is_named(path: Path, cells: list[str]) -> None:
    with pytest.raises(NotAvailable, match=rf"mine\.csv, row 3: it has {len(cells)} cells, the first row 10"):
        read(tabled(path, ROW, cells))


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xef\xbb\xbf", b"\xff\xd8\xff\xe0JFIF", b'image,"tail', b"PK\3\4\0\0"]
)
def test_what_is_no_table_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(NotAvailable, match=r"mine\.csv") as caught:
        read(path)
    assert caught.value.hint


def test_a_table_in_another_encoding_is_refused(path: Path) -> None:
    with pytest.raises(NotAvailable, match="not a table of text in UTF-8") as caught:
        read(tabled(path, ["ä.jpg", *ROW[1:]], encoding="cp1252"))
    assert caught.value.hint == "Save it as CSV in UTF-8."


# ---- names and files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        ("mine.json", [("mine.json", 1)]),
        ("a/mine.CSV:2 + lspet:0.5", [("a/mine.CSV", 2), ("lspet", 0.5)]),
        ("people-{split}.json:3", [("people-{split}.json", 3)]),
        ("C:\\pets\\mine.json", [("C:\\pets\\mine.json", 1)]),
        ("C:\\pets\\mine.json:2", [("C:\\pets\\mine.json", 2)]),
        ("mine.json#sea horse:2+b.csv", [("mine.json#sea horse", 2), ("b.csv", 1)]),
    ],
)
def test_files_are_named_like_sets(names: str, parts: list[tuple[str, float]]) -> None:
    assert parse(names) == parts


@pytest.mark.parametrize("names", ["mine.json:two", "mine.json:", ":mine:2", "mine.json:0", "mpii:1001"])
def test_weights_that_cannot_be_meant_are_refused(names: str) -> None:
    with pytest.raises(UsageError):
        load(names, None, "train")


def test_a_part_that_is_nobody_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "pets.json", animals(31))
    with pytest.raises(UsageError, match=r"0\.001 times the \d\d persons of pets is nobody"):
        load(f"{path}:0.001", None, "train")


def test_two_sets_of_one_name_are_found_by_their_names_alone() -> None:
    for names in ("a/pets.json+b/pets.csv:2", "pets+pets.json", "coco.json+coco-json"):
        with pytest.raises(UsageError, match="is named twice: by ") as caught:
            parse(names)
        assert "renamed" in caught.value.hint
    assert len(parse("coco+coco.json+coco.csv+mpii+mpii:2")) == 5


def test_a_path_may_have_a_plus_and_a_colon_in_it(tmp_path: Path) -> None:
    one, two = (write(tmp_path / "a+b:2" / name, animals(2)) for name in ("c+d.json", "e.json"))
    assert parse(f"{one}:3+{two}+mpii") == [(str(one), 3), (str(two), 1), ("mpii", 1)]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a/mine.json", "mine"),
        ("people-{split}.json", "people"),
        ("{split}_people.csv", "people"),
        ("pets/{split}.json", "pets"),
        ("{split}/_annotations.coco.json", "annotations.coco"),
        ("mine.json#sea horse", "mine-sea horse"),
        ("coco.json", "coco-json"),
        ("a/{split}/{split}.json", "a"),
        ("{split}/{split}.json", "own"),
        ("a.JSON.json", "a-JSON"),
        ("a:b.csv", "a-b"),
        ("table.csv.json", "table-csv"),
    ],
)
def test_a_set_is_called_as_its_file(file: str, name: str) -> None:
    assert set_names(f"{file}:2+lspet") == f"{name}:2+lspet"
    assert set_names(name) == name


def test_a_file_is_named_in_place_of_a_set(tmp_path: Path) -> None:
    path = write(tmp_path / "pets.json", animals())
    data = load(str(path), None, "all")
    assert (data.name, data.split, len(data), data.skeleton.joints) == ("pets", "all", 11, FIVE)
    assert data.persons[4].image == tmp_path / "a5.jpg"
    assert data.images["5"] == tmp_path / "a5.jpg"
    assert data.read(data.persons[4]).shape == (5, 7, 3)


def test_a_file_is_joined_with_known_sets(tmp_path: Path) -> None:
    make_lspet(tmp_path / "lspet")
    content = animals(0, keypoints=["head_top", "left_ear"])
    content |= {"images": animals(5)["images"], "annotations": [annotation(3, ("head_top", "left_ear"))]}
    path = write(tmp_path / "heads.json", content)
    path.write_text(path.read_text().replace('"file_name"', '"split": "train", "file_name"'))
    data = load(f"lspet+{path}:2", tmp_path, "train")
    assert (data.name, data.skeleton, len(data)) == ("lspet+heads", LSP, 4)
    np.testing.assert_array_equal(data.persons[3].keypoints[LSP.index("head_top")], [19, 26])
    assert data.read(data.persons[3]).shape == (5, 7, 3)


@pytest.mark.parametrize("name", ["pets.json", "pets.csv", "pets-{split}.json"])
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=r"There is no file .*pets") as caught:
        load(str(tmp_path / name), None, "val")
    assert caught.value.hint


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pets.txt").write_text("a dog")
    with pytest.raises(UsageError, match=r"pets\.txt is neither a \.json nor a \.csv file"):
        load(str(tmp_path / "pets.txt"), None, "train")


def test_two_files_of_one_name_need_another(tmp_path: Path) -> None:
    paths = [write(tmp_path / folder / "pets.json", animals(31)) for folder in "ab"]
    with pytest.raises(UsageError, match="pets is named twice") as caught:
        load("+".join(map(str, paths)), None, "train")
    assert "renamed" in caught.value.hint


# ---- pictures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "given"), [("", False), ("images", False), ("far", True), ("far/images", True), ("images", True)]
)
def test_pictures_are_looked_for(tmp_path: Path, folder: str, given: bool) -> None:
    path = write(tmp_path / "pets.json", animals(3), pictures=False)
    for number in (1, 2, 3):
        picture(tmp_path / folder / f"a{number}.jpg")
    data = load(str(path), tmp_path / "far" if given else None, "all")
    assert [person.image for person in data.persons] == [tmp_path / folder / f"a{n}.jpg" for n in (1, 2, 3)]


def test_a_name_that_no_picture_can_have_is_missing(tmp_path: Path) -> None:
    content = animals(2)
    content["images"][1]["file_name"] = "a" * 300 + ".jpg"
    path = write(tmp_path / "pets.json", content, pictures=False)
    with pytest.raises(NotAvailable, match="2 of 2 images of pets are missing"):
        load(str(path), None, "all")


def test_the_folder_that_is_given_comes_first(tmp_path: Path) -> None:
    path = write(tmp_path / "pets.json", animals(3))
    for number in (1, 2, 3):
        picture(tmp_path / "far" / f"a{number}.jpg")
    assert load(str(path), tmp_path / "far", "all").persons[0].image == tmp_path / "far/a1.jpg"


def test_pictures_that_are_missing_are_said_to_be_looked_for_where(tmp_path: Path) -> None:
    path = write(tmp_path / "pets.json", animals(3), pictures=False)
    with pytest.raises(NotAvailable, match="3 of 3 images of pets are missing in ") as caught:
        load(str(path), tmp_path / "far", "all")
    for folder in ("far", "far/images", "", "images"):
        assert str(tmp_path / folder) in caught.value.hint
    assert "--data" in caught.value.hint
    assert len(load_one(str(path), None, "all", need_images=False)) == 3


# ---- splits ------------------------------------------------------------------------------------------------------


def ids(path: Path, split: str) -> set[str]:
    return {person.id for person in load_one(str(path), None, split, need_images=False).persons}


def test_without_marks_one_picture_in_ten_is_held_out(tmp_path: Path) -> None:
    content = animals(997)
    content["annotations"] += [annotation(number, id=5000 + number) for number in range(1, 998)]
    path = write(tmp_path / "pets.json", content, pictures=False)
    training, validation = ids(path, "train"), ids(path, "val")
    assert training | validation == ids(path, "all")
    assert not training & validation
    assert 0.07 < len(validation) / (2 * 997) < 0.13
    assert {str(int(id) + 4900) for id in validation if int(id) < 5000} <= validation  # both animals of a picture
    assert load_one(str(path), None, "val", need_images=False).note == own.NO_SPLITS
    assert load_one(str(path), None, "all", need_images=False).note == ""


def test_a_picture_stays_in_its_split_when_others_come_and_go(tmp_path: Path) -> None:
    few, many = (write(tmp_path / f"{count}.json", animals(count), pictures=False) for count in (101, 211))
    assert ids(few, "val") == ids(many, "val") & ids(few, "all")


def test_the_pictures_of_a_split_are_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "pets.json", animals(97), pictures=False)
    named = [load_one(str(path), None, split, need_images=False).images.keys() for split in ("train", "val", "all")]
    assert named[0] | named[1] == named[2]
    assert not named[0] & named[1]


@pytest.mark.parametrize(
    "marks", [("train", "val", "test"), ("Training", "valid", "test"), ("TRAIN", "Validation", "x")]
)
def test_the_marks_of_the_file_are_kept(tmp_path: Path, marks: Sequence[str]) -> None:
    content = animals(7)
    for number, image in enumerate(content["images"]):
        image["split"] = marks[number % 3]
    path = write(tmp_path / "pets.json", content, pictures=False)
    header = ["image", "split", "tail_x", "tail_y", "nose_x", "nose_y", "id"]
    rows = [[f"a{n}.jpg", marks[(n - 1) % 3], "1", "2", "3", "4", str(100 + n)] for n in range(1, 8)]
    for file in (path, tabled(tmp_path / "pets.csv", *rows, header=header)):
        assert ids(file, "train") == {"101", "104", "107"}
        assert ids(file, "val") == {"102", "105"}
        assert ids(file, marks[2]) == {"103", "106"}
        assert len(ids(file, "all")) == 7
        assert own.NO_SPLITS not in load_one(str(file), None, "val", need_images=False).note
        with pytest.raises(UsageError, match="no split 'tset'") as caught:
            ids(file, "tset")
        assert marks[2] in caught.value.hint


def test_a_split_that_nobody_is_in_is_not_available(tmp_path: Path) -> None:
    content = animals(3)
    for image in content["images"]:
        image["split"] = "train"
    path = write(tmp_path / "pets.json", content)
    with pytest.raises(NotAvailable, match=r"pets\.json has nobody of the split 'val'\."):
        load(str(path), None, "val")


def test_a_split_may_be_called_in_capitals(tmp_path: Path) -> None:
    content = animals(3)
    for image, mark in zip(content["images"], ("train", "Test", "TEST"), strict=True):
        image["split"] = mark
    path = write(tmp_path / "pets.json", content, pictures=False)
    assert ids(path, "test") == ids(path, "Test") == {"102", "103"}


def test_whom_nothing_can_be_cut_out_by_is_counted_in_the_split(tmp_path: Path) -> None:
    content = animals(5)
    for number, image in enumerate(content["images"]):
        image["split"] = "val" if number == 4 else "train"
    for entry, further in zip(content["annotations"], ({}, {"iscrowd": 1}, {"keypoints": [0] * 15}), strict=False):
        entry |= {"bbox": [0, 0, 0, 0], "keypoints": [5, 6, 2, *[0] * 12], **further}
    path = write(tmp_path / "pets.json", content, pictures=False)
    notes = [load_one(str(path), None, split, need_images=False).note for split in ("train", "val")]
    assert notes == ["1 without a box and with fewer than two joints is left out.", ""]


def test_whom_a_split_ignores_are_its_own(tmp_path: Path) -> None:
    content = animals(4)
    for number, image in enumerate(content["images"]):
        image["split"] = "val" if number % 2 else "train"
    for entry in content["annotations"][:2]:
        entry["iscrowd"] = 1
    path = write(tmp_path / "pets.json", content, pictures=False)
    for split, id in (("train", "101"), ("val", "102")):
        ignored = load_one(str(path), None, split, need_images=False).ignored
        assert [person.id for person in ignored] == [id]


def test_a_misspelt_split_of_a_file_without_marks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no split 'test'") as caught:
        ids(write(tmp_path / "pets.json", animals(3)), "test")
    assert caught.value.hint == "It has: train, val, all."


@pytest.mark.parametrize("spelling", ["val", "valid", "validation"])
def test_a_file_may_be_there_for_each_split(tmp_path: Path, spelling: str) -> None:
    write(tmp_path / "train" / "pets.json", animals(5))
    write(tmp_path / spelling / "pets.json", animals(3))
    pattern = tmp_path / "{split}" / "pets.json"
    assert [len(load(str(pattern), None, split)) for split in ("train", "val")] == [5, 3]
    assert load(str(pattern), None, "val").note == ""
    with pytest.raises(NotAvailable, match=r"There is no file .*test"):
        load(str(pattern), None, "test")


# ---- left and right ----------------------------------------------------------------------------------------------


def test_joints_without_sides_are_told(tmp_path: Path) -> None:
    for category, told in (({}, False), ({"keypoints": list("abcde")}, True)):
        path = write(tmp_path / "pets.json", animals(3, **category), pictures=False)
        assert (own.NO_SIDES in load_one(str(path), None, "all", need_images=False).note) == told
    path = write(tmp_path / "pets.json", animals(3, keypoints=list("abcde"), flip_pairs=[]), pictures=False)
    assert load_one(str(path), None, "all", need_images=False).note == ""


def test_joints_of_one_side_alone_are_told(tmp_path: Path) -> None:
    joints = ["left_eye", "right_eye", "leftear", "LWrist", "nose"]
    path = write(tmp_path / "pets.json", animals(3, keypoints=joints), pictures=False)
    note = load_one(str(path), None, "all", need_images=False).note
    assert note == own.ONE_SIDE.format("leftear, LWrist")


def test_ignored_people_are_no_background(tmp_path: Path) -> None:
    content = animals(3)
    content["annotations"].append(annotation(2, id=900, iscrowd=1, bbox=[50, 60, 7, 8]))
    data = load(str(write(tmp_path / "pets.json", content)), None, "all")
    boxes = datasets.dataset.people_by_image(data)[("", tmp_path / "a2.jpg")]
    assert boxes == [(1, Box(7, 6, 41, 43.5)), (-1, Box(50, 60, 7, 8))]


def test_whom_a_limit_leaves_out_is_no_background_and_known_to_packs(tmp_path: Path) -> None:
    content = animals(2)
    content["annotations"].append(annotation(1, id=900, bbox=[50, 60, 7, 8]))
    data = datasets.spread(load(str(write(tmp_path / "pets.json", content)), None, "all"), 1)
    assert [[person.id for person in people] for people in (data.persons, data.ignored)] == [["101"], ["102", "900"]]
    boxes = datasets.dataset.people_by_image(data)[("", tmp_path / "a1.jpg")]
    assert boxes == [(0, Box(6, 6, 41, 43.5)), (-1, Box(50, 60, 7, 8))]
    few = datasets.spread(load("synthetic", None, "val"), 5)  # whom nobody is rendered for
    assert (len(few), few.ignored) == (5, ())


def by_id(persons: Sequence[Person]) -> Mapping[str, Person]:
    return {person.id: person for person in persons}


def test_a_table_and_a_json_of_the_same_people_are_the_same(tmp_path: Path) -> None:
    content = animals(13)
    header = ["image", "id", "area", "x", "y", "w", "h", *(f"{joint}_{column}" for joint in FIVE for column in "xyv")]
    rows = [
        [f"a{entry['image_id']}.jpg", entry["id"], entry["area"], *entry["bbox"], *entry["keypoints"]]
        for entry in content["annotations"]
    ]
    one = load(str(write(tmp_path / "one.json", content)), None, "train")
    two = load(str(tabled(tmp_path / "two.csv", *rows, header=header)), None, "train")
    assert (one.skeleton.joints, one.skeleton.flip) == (two.skeleton.joints, two.skeleton.flip)
    people = by_id(two.persons)
    assert people.keys() == by_id(one.persons).keys()
    for person in one.persons:
        np.testing.assert_array_equal(people[person.id].keypoints, person.keypoints)
        assert (people[person.id].box, people[person.id].area) == (person.box, person.area)


def test_a_table_without_rows_has_nobody(tmp_path: Path) -> None:
    (tmp_path / "pets.csv").write_text("image,nose_x,nose_y\n")
    with pytest.raises(NotAvailable, match=r"pets\.csv has no people\."):
        load_one(str(tmp_path / "pets.csv"), None, "all")
