import contextlib
import copy
import itertools
import json
import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from posehg.errors import InputError, NotAvailable
from posehg.geometry import Box
from posehg.io import boxes
from posehg.io.boxes import BoxFile
from posehg.io.sources import Source, kind_of

A, B, C = Box(2, 3.25, 5, 7), Box(-11, 13, 17.5, 19), Box(23, 29, 31, 37)


def source(name: str, relative: str = "") -> Source:
    """As posehg predict makes it of an argument; relative: of several, the path below their common folder."""
    return Source(name, kind_of(name), Path(relative or Path(name).name))


def read(folder: Path, content: object, note: Callable[[str], Any] = pytest.fail) -> BoxFile:
    path = folder / "boxes"
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return boxes.read(path, note)


def detection(image: object, box: Box = A, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "bbox": list(box), "category_id": 1, "score": 0.5, **more}


def detections(*images: object) -> list[dict[str, Any]]:
    """Of each image one box; the first has A, the second B, and so on."""
    return [detection(image, box) for image, box in zip(images, (A, B, C), strict=False)]


def annotated(**changes: Any) -> dict[str, Any]:
    content = {
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 11, "file_name": "b.jpg"}, {"id": 13, "file_name": "c.jpg"}],
        "categories": [{"id": 3, "name": "dog"}, {"id": 5, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 11, "category_id": 5, "bbox": list(A)},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": list(B)},
            {"id": 3, "image_id": 11, "category_id": 5, "bbox": list(C), "iscrowd": 0},
            {"id": 4, "image_id": 7, "category_id": 5, "bbox": [0, 0, 0, 0], "iscrowd": 1},
        ],
    }
    return {**content, **changes}


def record(source: str, *people: Box, frame: int | None = None) -> dict[str, Any]:
    listed = [{"id": None, "score": 0.5, "bbox": list(box), "keypoints": []} for box in people]
    return {"posehg": 1, "source": source, "frame": frame, "people": listed, "error": None}


def lines(*given: object) -> str:
    return "".join(json.dumps(line) + "\n" for line in given)


# ---- formats -----------------------------------------------------------------------------------------------------


def test_detections_of_people_are_read_in_order_and_those_without_area_are_counted(tmp_path: Path) -> None:
    given = [
        detection("a.jpg", B),
        detection("b.jpg", C),
        detection("a.jpg", C, category_id=3),
        {"image_id": "a.jpg", "bbox": list(A)},
        *({"image_id": "a.jpg", "bbox": bbox} for bbox in ([1, 2, 0, 5], [1, 2, 5, 0], None, [])),
    ]
    notes: list[str] = []
    file = read(tmp_path, given, notes.append)
    assert [list(file.of(source(name))) for name in ("a.jpg", "b.jpg", "c.jpg")] == [[B, A], [C], []]
    assert ["(4)" in note for note in notes] == [True]


def test_annotations_are_read_without_crowds_and_other_categories(tmp_path: Path) -> None:
    file = read(tmp_path, annotated())
    assert list(file.of(source("b.jpg"))) == [A, C]
    assert list(file.of(source("a.jpg"))) == []  # a crowd and a dog


@pytest.mark.parametrize(
    ("names", "category"), [((), 1), (("dog",), 3), (("dog", "People"), 4), (("dog", "person", "people"), 5)]
)
def test_the_category_of_people_is_the_one_of_that_name_or_the_only_one(
    tmp_path: Path, names: tuple[str, ...], category: int
) -> None:
    categories = [{"id": 3 + number, "name": name} for number, name in enumerate(names)]
    annotations = [{"image_id": 7, "category_id": category, "bbox": list(B)}]
    file = read(tmp_path, annotated(categories=categories, annotations=annotations))
    assert list(file.of(source("a.jpg"))) == [B]


def test_ids_as_floats_numbers_as_text_and_people_without_a_box_are_read(tmp_path: Path) -> None:
    first, _, third, crowd = annotated()["annotations"]
    given = [
        {**first, "image_id": 11.0, "category_id": "5", "bbox": [str(side) for side in A], "iscrowd": "0"},
        *({**first, "bbox": bbox} for bbox in (None, [], [1, 2, 0.0, 5])),
        {key: value for key, value in first.items() if key != "bbox"},
        *({**third, "iscrowd": False}, {**crowd, "iscrowd": "1"}, {**crowd, "iscrowd": 0, "category_id": 3}),
    ]
    notes: list[str] = []
    assert list(read(tmp_path, annotated(annotations=given), notes.append).of(source("b.jpg"))) == [A, C]
    assert ["(4)" in note for note in notes] == [True]
    assert list(read(tmp_path, [detection(785.0)]).of(source("000000000785.jpg"))) == [A]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_records_of_posehg_are_read_one_a_line_or_alone(tmp_path: Path, end: str) -> None:
    given = [record("a.jpg", A, B), record("empty.jpg"), record("b\u2028.jpg", C)]
    file = read(tmp_path, end.join(json.dumps(line, ensure_ascii=False) for line in given))
    assert [list(file.of(source(line["source"]))) for line in given] == [[A, B], [], [C]]
    alone = read(tmp_path, json.dumps(given[0], indent=len(end)))
    assert list(alone.of(source("a.jpg"))) == [A, B]


@pytest.mark.parametrize(
    "text",
    [
        *(f"{column},score,X,y,w,h,note\na.jpg,0.5,2,3.25,5,7,x\n" for column in ("source", "file", " Image ")),
        *("filename,x1,y1,x2,y2\na.jpg,2,3.25,7,10.25\n", "file,xmin,ymin,Xmax,ymax\na.jpg,2,3.25,7,10.25\n"),
        "source,bbox_x,bbox_y,bbox_w,bbox_h,neck_x,neck_y,neck_score\na.jpg,2,3.25,5,7,4,5,0.5\n",
        "sep=;\r\nimage;x;y;w;h\r\na.jpg;2;3,25;5;7\r\n",
        *("image;x;y;w;h\r\na.jpg;2;3,25;5;7\r\n\r\n".replace(";", separator) for separator in ";\t"),
    ],
)
def test_tables_are_read_with_other_columns_separators_and_decimal_commas(tmp_path: Path, text: str) -> None:
    assert list(read(tmp_path, text).of(source("a.jpg"))) == [A]


@pytest.mark.parametrize(
    "content",
    [
        "source,frame,x,y,w,h\nv/walk.mp4,5,2,3.25,5,7\nv/walk.mp4,7,-11,13,17.5,19\nv/walk.mp4,11,,,,\n",
        lines(record("walk.mp4", A, frame=5), record("walk.mp4", B, frame=7), record("walk.mp4", frame=11)),
    ],
)
def test_each_frame_of_a_video_has_its_own_boxes(tmp_path: Path, content: object) -> None:
    file = read(tmp_path, content)
    walk = source("v/walk.mp4")
    assert [list(file.of(walk, frame)) for frame in (5, 6, 7, 11)] == [[A], [], [B], []]


# ---- which image is meant --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "given", "relative", "expected"),
    [
        # the same image
        (["photos/a.jpg"], "photos/a.jpg", "", A),
        (["/elsewhere/photos/a.jpg"], "mine/a.jpg", "", A),
        (["C:\\photos\\a.jpg"], "mine/a.jpg", "", A),
        (["a.b"], "photos/a.b.jpg", "", A),
        (["a.jpg"], "https://host/photos/a.jpg?size=7", "a-1234.jpg", A),
        (["my photo.jpg"], "https://host/my%20photo.jpg", "", A),
        (["-"], "-", "stdin", A),
        ([785], "val2017/000000000785.jpg", "", A),
        ([785], "COCO_val2014_000000000785.jpg", "", A),
        (["000000000785.jpg"], "COCO_val2014_000000000785.jpg", "", A),
        # another image
        (["a.jpg"], "A.jpg", "", None),
        (["a.b.jpg"], "a.jpg", "", None),
        ([785], "0785.jpg", "", None),
        ([785], "walk_000000000785.jpg", "", None),
        (["a.jpg"], "-", "", None),
        (["x/a.jpg", "y/b.jpg"], "photos/y/a.jpg", "y/a.jpg", None),
        # the closest
        (["x/a.jpg", "y/b.jpg"], "photos/x/a.jpg", "x/a.jpg", A),
        (["a.jpg", "x/a.jpg"], "a.jpg", "", A),
        (["x/a.jpg", "y/a.jpg"], "/data/y/a.jpg", "", B),
        (["a.jpg", "a.png", "a"], "photos/a.png", "", B),
        (["x/a.png", "y/a.png"], "photos/y/a.jpg", "", B),
        ([785, "000000000785.png"], "000000000785.jpg", "", B),
    ],
)
def test_the_closest_name_of_an_image_wins(
    tmp_path: Path, names: list[object], given: str, relative: str, expected: Box | None
) -> None:
    for order in (1, -1):
        file = read(tmp_path, detections(*names)[::order])
        assert list(file.of(source(given, relative))) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("listed", "given", "relative"),
    [
        (("x/a.jpg", "y/a.jpg"), "z/a.jpg", "a.jpg"),
        (("a.jpg", "a.png"), "z/a", "a"),
    ],
)
def test_two_names_that_are_as_close_are_an_error(
    tmp_path: Path, listed: tuple[str, str], given: str, relative: str
) -> None:
    with pytest.raises(InputError, match=f"{given} .*{listed[0]} and {listed[1]}"):
        read(tmp_path, detections(*listed)).of(source(given, relative))


def test_an_image_without_boxes_does_not_get_those_of_another_folder(tmp_path: Path) -> None:
    images = [{"id": 11, "file_name": "x/a.jpg"}, {"id": 7, "file_name": "y/a.jpg"}]
    assert list(read(tmp_path, annotated(images=images)).of(source("photos/y/a.jpg", "a.jpg"))) == []


def test_one_name_cannot_be_that_of_two_images(tmp_path: Path) -> None:
    file = read(tmp_path, detections("a.jpg"))
    assert list(file.of(source("x/a.jpg", "x/a.jpg"))) == [A]
    with pytest.raises(InputError, match=r"x/a.jpg and y/a.jpg"):
        file.of(source("y/a.jpg", "y/a.jpg"))
    assert list(file.of(source("x/a.jpg", "x/a.jpg"))) == [A]


names = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=150)
@given(st.lists(names, min_size=1, max_size=5, unique=True), st.randoms())
@example(["a/a", "a/a/a"], Random(0))
@example(["a/a/a", "a/a"], Random(0))
def test_every_image_of_a_tree_gets_its_own_boxes(files: list[str], random: Any) -> None:
    """Wherever the tree lies, and whatever the order."""
    entries = [(f"{name}.jpg", None, Box(number, 0, 1, 1)) for number, name in enumerate(files)]
    file = BoxFile(Path("boxes.csv"), entries)
    order = list(enumerate(files))
    random.shuffle(order)
    for number, name in order:
        assert list(file.of(source(f"/elsewhere/{name}.jpg", f"{name}.jpg"))) == [Box(number, 0, 1, 1)]


def test_many_images_are_found_in_little_time(tmp_path: Path) -> None:
    """Also where all are called alike, and those of the shared names of folders are many."""
    count = 503
    file = read(tmp_path, [detection(f"{n}/img.jpg", Box(n, 0, 1, 1)) for n in range(count)])
    begin = time.process_time()
    for n in range(count):
        assert list(file.of(source(f"photos/{n}/img.jpg", f"{n}/img.jpg"))) == [Box(n, 0, 1, 1)]
    assert time.process_time() - begin < 2


# ---- what cannot be read -----------------------------------------------------------------------------------------


def of_boxes(*bboxes: object) -> str:
    return json.dumps([{"image_id": "a.jpg", "bbox": bbox} for bbox in bboxes])


FIRST = [1, 2, 3, 5]
BAD = {
    "": "lacks image and x",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR": "text",
    '[{"image_id": 7, "bbox": [1, 2': "JSON",
    "[" * 100_000 + "]" * 100_000: "JSON",
    '{"boxes": []}': "neither",
    '[{"bbox": [1, 2, 3, 5]}]': "detection 1 .*image",
    '[{"image_id": " ", "bbox": [1, 2, 3, 5]}]': "detection 1: .*' '",
    of_boxes(FIRST, "x"): "detection 2: .*bbox",
    of_boxes(FIRST, [1, 2, 3]): "detection 2: .*3",
    of_boxes(FIRST, ["1" * 1000, 2, 3, 5]): r"detection 2: .*'1+\.\.\.1+'",
    of_boxes(FIRST, [math.nan, 2, 3, 5]): "detection 2: .*nan",
    of_boxes(FIRST, [1, 2, 3, 1e7]): "detection 2: .*10000000",
    of_boxes(FIRST, [1, 2, 3, -5]): "detection 2: .*-5",
    json.dumps([detection(7, category_id=0)]): "category 1: .* of 0",
    json.dumps(annotated(categories=[{"id": 3, "name": "dog"}, {"id": 5, "name": "cat"}])): "named person",
    json.dumps(annotated(images=None)): "image: .*None",
    json.dumps(annotated(images=[{"file_name": "a.jpg"}])): "image 1 .*id",
    json.dumps(annotated(images=[{"id": 7}, {"id": 7}])): "same id",
    json.dumps(annotated(images=[{"id": id, "file_name": "a.jpg"} for id in (7, 11)])): "file_name",
    json.dumps(annotated(annotations=[{"image_id": 7, "bbox": [1, 2, 3, 5], "iscrowd": "no"}])): "1: .*iscrowd.*'no'",
    "sep=;\nimage;x;y;w;h\na.jpg;1;2;three;5\n": "line 3: .*'three'",
    json.dumps(annotated(annotations=[{"image_id": 17, "bbox": [1, 2, 3, 5]}])): "annotation 1: .*17",
    json.dumps({**record("a.jpg", A), "posehg": 2}): "record 1: .*version.*2",
    json.dumps(record("a.mp4", A, frame=-1)): "record 1: .*frame.*-1",
    lines(record("a.jpg", A)) + "\n" + '{"posehg": 1, "sou': "line 3",
    lines(record("a.jpg", A), {**record("b.jpg"), "people": [{"bbox": [1, 2, 3, -5]}]}): "record 2: person 1: .*-5",
    "image,x,y,width,h\na.jpg,1,2,3,4\n": "lacks w",
    "image,x,y,w,h\na.jpg,1,2,3\n": "line 2: .*5 cells",
    "image,x,y,w,h\na.jpg,1,2,3,5\n\na.jpg,1,2,three,5\n": "line 4: .*'three'",
    "image,x,y,w,h\na.jpg,,2,3,5\n": "line 2: .*x, y, w",
    "image,frame,x,y,w,h\na.mp4,0.5,1,2,3,5\n": "line 2: .*frame.*0.5",
    'image,x,y,w,h\n"a.jpg,1,2,3,5\n': "line 1",
}


@pytest.mark.parametrize("number", range(len(BAD)))
def test_what_is_wrong_is_reported_with_the_file_and_the_place(tmp_path: Path, number: int) -> None:
    content, what = list(BAD.items())[number]
    with pytest.raises(NotAvailable, match=what) as raised:
        read(tmp_path, content)
    assert str(raised.value).startswith(str(tmp_path / "boxes"))
    assert "\n" not in str(raised.value)


def test_files_that_cannot_be_read_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in (tmp_path, tmp_path / "nothing.json"):
        with pytest.raises(NotAvailable, match=re.escape(str(bad))):
            boxes.read(bad, pytest.fail)
    monkeypatch.setattr(boxes, "MAX_BYTES", 7)
    with pytest.raises(NotAvailable, match=r"boxes .*larger"):
        read(tmp_path, detections("a.jpg"))


words = st.sampled_from(["a.jpg", "walk.mp4", "0", "1", "7.5", "", "-1", "nan", "1e9", '"']) | st.text(max_size=4)
tables = (
    st.lists(st.lists(words, min_size=6, max_size=6).map(",".join)).map("\n".join).map("image,x,y,w,h,frame\n".__add__)
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.integers(0, 3)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner))
VALID = [detections("a.jpg"), annotated(), record("walk.mp4", A, B, frame=0)]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """JSON of a valid file with some values in place of others, however deep."""
    content = copy.deepcopy(draw(st.sampled_from(VALID)))
    for value in draw(st.lists(values, min_size=1, max_size=3)):
        inner: Any = content
        while True:
            key = draw(st.sampled_from(list(inner if isinstance(inner, dict) else range(len(inner)))))
            if not isinstance(inner[key], dict | list) or not inner[key] or draw(st.booleans()):
                inner[key] = value
                break
            inner = inner[key]
    return json.dumps(content) + draw(st.sampled_from(["", "\n" + json.dumps(record("b.jpg", C)), "\n{"]))


@settings(max_examples=700)
@given(st.binary(max_size=200) | (tables | damaged()).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_content_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    with contextlib.suppress(InputError, NotAvailable):
        file = read(tmp_path_factory.getbasetemp(), content, lambda text: None)
        for name, frame in itertools.product(["a.jpg", "walk.mp4", "000000000785.jpg"], (None, 0)):
            assert all(box.w > 0 and box.h > 0 for box in file.of(source(name), frame))


@pytest.mark.shared
def test_a_detectors_file_of_coco_is_read(shared: Path) -> None:
    folder = shared / "samples" / "mmpose_coco"
    path = folder / "test_coco_det_AP_H_56.json"
    listed = json.loads(path.read_text())
    file = boxes.read(path, pytest.fail)
    for image in sorted(folder.glob("*.jpg")):
        expected = [tuple(entry["bbox"]) for entry in listed if entry["image_id"] == int(image.stem)]
        assert expected
        assert [tuple(box) for box in file.of(source(str(image)))] == expected
