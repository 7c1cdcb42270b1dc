"""Which files --out and --save mean."""

from pathlib import Path

import pytest

from posehg.cli.outputs import Output, Outputs, plan
from posehg.cli.predict import PredictOptions
from posehg.errors import InputError, UsageError
from posehg.io.sources import Source, expand
from posehg.io.writers import CocoWriter, JsonWriter
from posehg.io.writers.csv import WideCsvWriter
from posehg.io.writers.writer import Writer

OUT = Path("out")


def source(name: str) -> Source:
    kind = "video" if name.endswith((".mp4", ".mov")) else "image"
    return Source(name, kind, Path(name))  # type: ignore[arg-type]


def paths(outputs: Outputs, of: Source) -> list[Path]:
    return [file.path for file in outputs.of(of)]


@pytest.mark.parametrize(
    ("name", "formats", "expected"),
    [
        ("a.jpg", "json", "out/a.json"),
        ("walks/a.b.jpg", "openpose", "out/walks/a.b_keypoints.json"),
        ("v.mp4", "openpose", "out/v_keypoints.json"),
        ("v.mp4", "json", "out/v.jsonl"),
        ("v.mov", "image", "out/v.mp4"),
        ("a.JPEG", "image", "out/a.JPEG"),
        ("a.heic", "image", "out/a.png"),
        ("stdin", "crops", "out/stdin_person1.jpg"),
        ("a.jpg", "json,npz", "out/json/a.json out/npz/a.npz"),
    ],
)
def test_files_are_named_after_their_source(name: str, formats: str, expected: str) -> None:
    outputs = Outputs(OUT, tuple(formats.split(",")))
    assert paths(outputs, source(name)) == [Path(path) for path in expected.split()]


@pytest.mark.parametrize(
    ("names", "formats", "expected"),
    [
        ("a.jpg a.png a.webp a.jpeg", "image", "a.jpg a.png a.webp a.jpeg"),
        ("a.jpg A.JPG x/a.jpg", "image", "a.jpg A-2.JPG x/a.jpg"),
        ("a.jpg a.tif b.png", "json", "a.json a-2.json b.json"),
        ("a.jpg a.png a-2.tif A.webp", "json", "a.json a-3.json a-2.json A-4.json"),
        ("a.jpg a.mp4", "json", "a.json a.jsonl"),
        ("a.jpg a.mp4", "openpose", "a_keypoints.json a_keypoints.json"),  # the latter with frame numbers
        ("a.jpg a.png", "image,csv", "image/a.jpg csv/a.csv image/a-2.png csv/a-2.csv"),
    ],
)
def test_names_are_kept_unless_two_files_would_be_one(
    names: str, formats: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = Outputs(OUT, tuple(formats.split(",")))
    named = outputs.named([source(name) for name in names.split()])
    assert [path.relative_to(OUT).as_posix() for one in named for path in paths(outputs, one)] == expected.split()
    assert [one.name for one in named] == names.split()
    assert bool(capsys.readouterr().err) == ("-2" in expected)


def test_thousands_of_one_name_are_numbered_at_once() -> None:
    outputs, same = Outputs(OUT, ("json",)), [Source(f"http://h/?{n}", "image", Path("index")) for n in range(5000)]
    assert {path for one in outputs.named(same) for path in paths(outputs, one)} == {
        OUT / "index.json",
        *(OUT / f"index-{number}.json" for number in range(2, 5001)),
    }


def test_what_is_no_source_has_no_file() -> None:
    assert paths(Outputs(), source("a.jpg")) == []
    assert paths(Outputs(OUT, ("json",)), Source("empty/", "image", Path(), InputError("No."))) == []
    assert paths(Outputs(OUT, ("image",), transparent=True), source("a.jpg")) == [OUT / "a.png"]


def test_a_source_is_missing_until_it_has_all_its_files(tmp_path: Path) -> None:
    outputs, a, b, video = Outputs(tmp_path, ("openpose", "json")), *map(source, ("a.webp", "b.webp", "v.mp4"))
    steps = (("openpose/a_keypoints.json", [a, b, video]), ("json/a.json", [b, video]), ("json/v.jsonl", [b]))
    for name, left in steps:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        assert outputs.left_to_do([a, b, video]) == left
    assert Outputs(tmp_path / "openpose", ("openpose",)).left_to_do([video])


def test_a_file_of_all_sources_is_written_again_for_one_that_is_new(tmp_path: Path) -> None:
    run, sources = Output(JsonWriter, tmp_path / "all.jsonl"), [source("a.png"), source("b.png")]
    assert Outputs(run=(run,)).left_to_do(sources) == sources
    run.path.touch()
    assert Outputs(run=(run,)).left_to_do(sources) == []
    (tmp_path / "a.json").touch()
    assert Outputs(tmp_path, ("json",), run=(run,)).left_to_do(sources) == sources


def test_results_below_an_input_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "out/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    sources = list(expand([str(tmp_path)], recursive=True))
    left = Outputs(tmp_path / "out", ("image",)).without_results(sources, [str(tmp_path)])
    assert [one.name for one in left] == [str(tmp_path / "a.png")]
    monkeypatch.chdir(tmp_path / "out")
    assert Outputs().without_results(sources, [str(tmp_path)]) == sources
    assert Outputs(Path("../out"), ("image",)).without_results(sources, [".."]) == left


@pytest.mark.parametrize(
    ("out", "save", "writer"), [("a.csv", "csv-wide", WideCsvWriter), ("a.json", "coco", CocoWriter)]
)
def test_a_format_of_one_file_is_written_to_the_file_named(out: str, save: str, writer: type[Writer]) -> None:
    sources = [Source(name, "image", Path(name)) for name in ("a.jpg", "b.jpg")]
    [output] = plan(PredictOptions(inputs=[], out=out, save=save), sources, Path()).run
    assert (output.writer, output.path) == (writer, Path(out))
    for wrong in (
        {"out": "a.csv", "save": "coco"},
        {"out": "a.mp4", "save": "image"},
        {"out": out, "save": "json,csv"},
    ):
        with pytest.raises(UsageError):
            plan(PredictOptions(inputs=[], **wrong), sources, Path())
