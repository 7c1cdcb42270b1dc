"""posehg eval with the files that it writes and reads: predictions, reports, curves, sheets, submissions."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from posehg import images
from posehg.datasets import load_one
from posehg.errors import InputError
from posehg.evaluation import curve
from posehg.geometry import Box
from posehg.io import writers
from posehg.poses import Pose, Result
from tests import stubs
from tests.coco_files import make_coco
from tests.journeys.conftest import ROOT, Posehg, Run
from tests.test_architecture import modules_after
from tests.test_submission import PICTURES, release

COUNT = 7
WRONG = (2, 3, 5)
"""Persons whose right hand is labelled 60 pixels from where it is."""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """people.csv, each person on a photo of its own, with a head of 20 pixels."""
    folder = tmp_path_factory.mktemp("people")
    with open(folder / "people.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "split", "head_size", *(f"{j}_{axis}" for j in stubs.DOTS.joints for axis in "xy")])
        for number in range(COUNT):
            points = np.array([[200.0, 150], [140, 110], [259, 191]]) + np.array([3, -2]) * number
            images.write(folder / f"{number}.png", stubs.dots_photo(points))
            points[1] += 60 * (number in WRONG)
            table.writerow([f"{number}.png", "val", 20, *points.ravel()])
    return folder / "people.csv"


@pytest.fixture
def of_people(people: Path, dots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    """eval of these people by the network that sees dots, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return ("eval", "--dataset", people, "--model", dots)


def tables(run: Run) -> str:
    """What was printed, without the heading."""
    assert run.code == 0, run.err
    return run.out.partition("\n\n")[2]


def without_pictures(people: Path, folder: Path) -> Path:
    """The same people in a folder of their own."""
    folder.mkdir()
    return Path(shutil.copy(people, folder / people.name))


# ---- predictions to a file and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".json", ".npz", ".h5"])
def test_predictions_give_the_table_of_their_network(
    posehg: Posehg, of_people: tuple[object, ...], people: Path, tmp_path: Path, suffix: str
) -> None:
    name = f"said{suffix}"
    estimated = posehg(*of_people, "--predictions", name, "--joints", "--report", "a.json")
    assert f"Wrote {name}.\n" in estimated.err
    alone = without_pictures(people, tmp_path / "alone")
    read = posehg("eval", "--dataset", alone, "--from", name, "--joints", "--report", "b.json")
    assert tables(read) == tables(estimated)
    assert "78.57" in read.out  # of the hands: 3 of 7 right ones are elsewhere
    a, b = (json.loads(Path(report).read_text()) for report in ("a.json", "b.json"))
    assert a["data"] == b["data"]
    for one, other in zip(a["metrics"], b["metrics"], strict=True):
        assert one["tables"] == other["tables"]
        np.testing.assert_allclose(*(np.array(m["distances"], dtype=float) for m in (one, other)), rtol=1e-9)


def test_what_is_known_of_predictions_is_printed(
    posehg: Posehg, of_people: tuple[object, ...], people: Path, dots: Path
) -> None:
    posehg(*of_people, "--predictions", "said.json", "--no-flip")
    run = posehg("eval", "--dataset", people, "--from", "said.json")
    assert run.out.startswith(
        f"people val: {COUNT} persons; predictions said.json\nmodel {dots}, without flip test, subpixel decoding\n"
    )
    np.savez("bare.npz", keypoints=np.zeros((COUNT, 3, 2)))
    run = posehg("eval", "--dataset", people, "--from", "bare.npz")
    assert run.out.startswith(f"people val: {COUNT} persons; predictions bare.npz\n\n")


def test_some_persons_can_be_written_and_read_as_well(
    posehg: Posehg, of_people: tuple[object, ...], people: Path
) -> None:
    some = posehg(*of_people, "--limit", 3, "--predictions", "said.h5")
    assert tables(posehg("eval", "--dataset", people, "--from", "said.h5", "--limit", 3)) == tables(some)
    posehg("eval", "--dataset", people, "--from", "said.h5").assert_failed(
        5, "said.h5 holds predictions of shape 3 x 3 x 2"
    )
    posehg("eval", "--dataset", people, "--from", "said.h5", "--limit", 2).assert_failed(
        5, "said.h5 holds predictions of shape 3 x 3 x 2, where people val has 7 persons"
    )


@pytest.mark.parametrize("suffix", [".json", ".npz", ".h5"])
def test_some_persons_of_a_whole_file_are_those_of_the_same_limit(
    posehg: Posehg, of_people: tuple[object, ...], people: Path, suffix: str
) -> None:
    posehg(*of_people, "--predictions", f"said{suffix}")
    some = posehg(*of_people, "--limit", 4)
    assert tables(posehg("eval", "--dataset", people, "--from", f"said{suffix}", "--limit", 4)) == tables(some)
    assert tables(posehg("eval", "--dataset", people, "--from", f"said{suffix}")) != tables(some)


def test_persons_of_whom_nothing_is_predicted_are_counted(
    posehg: Posehg, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keypoints = np.zeros((COUNT, 3, 2))
    keypoints[[1, 4]] = np.nan
    np.savez("some.npz", keypoints=keypoints)
    run = posehg("eval", "--dataset", people, "--from", "some.npz")
    assert "\nFor 2 of 7 persons nothing is predicted: they count as not found.\n" in run.out
    assert run.out.count("7 of 7 persons can be measured.") == 2
    np.savez("none.npz", keypoints=np.full((COUNT, 3, 2), np.nan))
    posehg("eval", "--dataset", people, "--from", "none.npz").assert_failed(5, "No joint of anybody in people val is")


def test_predictions_can_be_written_in_another_form(
    posehg: Posehg, of_people: tuple[object, ...], people: Path
) -> None:
    first = posehg(*of_people, "--predictions", "said.json")
    posehg("eval", "--dataset", people, "--from", "said.json", "--predictions", "said.npz")
    assert tables(posehg("eval", "--dataset", people, "--from", "said.npz")) == tables(first)


def test_scoring_a_file_does_not_load_torch(
    posehg: Posehg, of_people: tuple[object, ...], people: Path, tmp_path: Path
) -> None:
    posehg(*of_people, "--predictions", "said.json")
    options = ("--worst", "2", "--curve", str(tmp_path / "c.png"), "--report", str(tmp_path / "r.json"))
    command = ("eval", "--dataset", str(people), "--from", str(tmp_path / "said.json"), *options)
    loaded = modules_after("from posehg.cli.app import main; main()", *command, "--sheet", str(tmp_path / "w.png"))
    assert "numpy" in loaded
    assert not loaded & {"torch", "huggingface_hub", "safetensors"}
    assert "torch" not in json.loads((tmp_path / "r.json").read_text())["versions"]


def test_comparing_does_not_load_torch(posehg: Posehg, of_people: tuple[object, ...], tmp_path: Path) -> None:
    posehg(*of_people, "--report", "a.json")
    report = str(tmp_path / "a.json")
    assert "torch" not in modules_after("from posehg.cli.app import main; main()", "eval", "--compare", report, report)


def test_coco_results_are_scored_by_oks(
    posehg: Posehg, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = load_one(str(people), None, "val")
    results = [
        {
            "image_id": person.image.name,
            "category_id": 1,
            "keypoints": np.column_stack([person.keypoints, np.ones(3)]).ravel().tolist(),
            "score": 0.5,
        }
        for person in data.persons
    ]
    Path("results.json").write_text(json.dumps(results))
    run = posehg("eval", "--dataset", people, "--from", "results.json", "--report", "r.json", "--min", 100)
    assert (run.code, run.err) == (0, "Wrote r.json.\n")
    assert run.out.startswith(f"people val: {COUNT} persons; COCO results results.json\n")
    assert "AP         1.000  1.000  1.000" in run.out
    assert "annotated boxes were given" not in run.out
    assert json.loads(Path("r.json").read_text())["oks"]["AP"] == pytest.approx(1)
    for option in (
        ("--worst", 2),
        ("--curve", "c.csv"),
        ("--metric", "pck"),
        ("--threshold", 1),
        ("--predictions", "p.npz"),
        ("--limit", 3),
        ("--joints",),
        ("--bootstrap", 100),
    ):
        posehg("eval", "--dataset", people, "--from", "results.json", *option).assert_failed(2, "scored by OKS alone")


def test_results_of_another_category_than_people_are_refused(
    posehg: Posehg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_coco(tmp_path / "coco", "val")
    result = {"image_id": 7, "category_id": 3, "keypoints": [0] * 51, "score": 1}
    Path("results.json").write_text(json.dumps([result]))
    run = posehg("eval", "--dataset", "coco", "--data", tmp_path, "--from", "results.json")
    run.assert_failed(5, "results.json holds results of category 3, and the set's persons are category 1.")
    Path("results.json").write_text(json.dumps([{**result, "category_id": 1}]))
    assert posehg("eval", "--dataset", "coco", "--data", tmp_path, "--from", "results.json").code == 0


# ---- what posehg predict found -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run.jsonl", "run.json", "run.csv"])
def test_what_predict_found_is_scored(
    posehg: Posehg, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By PCK those who are taken for annotated persons, by OKS everybody."""
    monkeypatch.chdir(tmp_path)
    data = load_one(str(people), None, "val")
    with writers.RUN_FILES[".csv" if name == "run.csv" else ".jsonl"](Path(name)) as writer:
        for source in ["unlabelled.png", *(str(person.image) for person in data.persons)]:
            truth = next((person.keypoints for person in data.persons if str(person.image) == source), np.eye(3)[:, :2])
            pose = Pose(stubs.DOTS, truth, np.full(3, 0.9), Box(0, 0, 400, 400), 0.9)
            writer.add(Result(source, "dots", stubs.DOTS, [pose], size=(300, 420)))
    run = posehg("eval", "--dataset", people, "--from", name, "--min", 100, "--worst", 2)
    assert run.code == 0, run.err
    said = run.out.splitlines()[1]
    assert f"{COUNT} of {COUNT} people found are taken for annotated persons" in said
    assert said.endswith("pictures left out that the set does not have: 1")
    posehg("eval", "--dataset", people, "--from", name, "--limit", 3, "--min", 100, "--bootstrap", 0)
    run = posehg("eval", "--dataset", people, "--from", name, "--metric", "oks", "--min", 100, "--report", "r.json")
    assert run.code == 0, run.err
    assert "annotated boxes were given" not in run.out
    assert json.loads(Path("r.json").read_text())["predictions"]["people"] == COUNT
    for option in (("--worst", 2), ("--predictions", "p.npz"), ("--limit", 3)):
        run = posehg("eval", "--dataset", people, "--from", name, "--metric", "oks", *option)
        run.assert_failed(2, option[0])


def test_scoring_what_predict_found_does_not_load_torch(people: Path, tmp_path: Path) -> None:
    data = load_one(str(people), None, "val")
    with writers.RUN_FILES[".jsonl"](tmp_path / "run.jsonl") as writer:
        for person in data.persons:
            pose = Pose(stubs.DOTS, person.keypoints, np.full(3, 0.9), Box(0, 0, 400, 400), 0.9)
            writer.add(Result(str(person.image), "dots", stubs.DOTS, [pose], size=(300, 420)))
    command = ("eval", "--dataset", str(people), "--from", str(tmp_path / "run.jsonl"), "--bootstrap", "0")
    assert "torch" not in modules_after("from posehg.cli.app import main; main()", *command)


# ---- a reader who goes, a disk that is full -----------------------------------------------------------------------


def run_into(out: int, folder: Path, *options: object) -> subprocess.CompletedProcess[str]:
    """posehg eval with these options in a process of its own, its output into that descriptor."""
    command = [sys.executable, "-m", "posehg", "eval", *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=out, stderr=subprocess.PIPE, text=True, timeout=60
    )


@pytest.fixture
def closed() -> Iterator[int]:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.fixture
def said(posehg: Posehg, of_people: tuple[object, ...], people: Path) -> tuple[object, ...]:
    """eval of predictions in a file, whose mean PCK is 85.71."""
    posehg(*of_people, "--predictions", "said.json")
    return ("--dataset", people, "--from", "said.json", "--bootstrap", 0)


def test_a_closed_pipe_loses_neither_files_nor_the_gate(closed: int, said: tuple[object, ...], tmp_path: Path) -> None:
    run = run_into(closed, tmp_path, *said, "--report", "r.json", "--curve", "c.csv", "--worst", 2, "--min", 99)
    assert run.returncode == 4, run.stderr
    assert "below the 99 that --min asks for" in run.stderr
    assert all((tmp_path / name).exists() for name in ("r.json", "c.csv", "worst.png"))
    assert run_into(closed, tmp_path, *said, "--min", 5).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_a_full_disk_is_no_bug(said: tuple[object, ...], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        run = run_into(full.fileno(), tmp_path, *said, "--report", "r.json")
    assert (run.returncode, run.stderr.splitlines()) == (
        3,
        ["Wrote r.json.", "Error: The output cannot be written: there is no room left where it goes."],
    )
    assert (tmp_path / "r.json").exists()


def test_the_figures_are_printed_even_where_a_file_cannot_be_written(
    posehg: Posehg, said: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise InputError("c.csv cannot be written: no space left on device.")

    monkeypatch.setattr(curve, "write", fail)
    run = posehg("eval", *said, "--curve", "c.csv")
    assert run.code == 3
    assert "PCKh@0.5" in run.out
    assert "Error: c.csv cannot be written" in run.err


# ---- reports -----------------------------------------------------------------------------------------------------


def test_the_report_names_model_options_and_versions(posehg: Posehg, of_people: tuple[object, ...], dots: Path) -> None:
    posehg(*of_people, "--no-flip", "--device", "cpu", "--report", "r.json")
    values = json.loads(Path("r.json").read_text(), parse_constant=pytest.fail)
    about = values["predictions"]
    assert about["weights_sha256"] == sha256((dots / "model.safetensors").read_bytes()).hexdigest()
    assert {key: about[key] for key in ("model", "flip", "decoder", "device")} == {
        "model": str(dots),
        "flip": False,
        "decoder": "subpixel",
        "device": "cpu",
    }
    assert values["command"].startswith("posehg eval --dataset ")
    assert values["command"].endswith(" --no-flip --device cpu --report r.json")
    assert "torch" in values["versions"]
    assert values["metrics"][0]["tables"][0]["means"][0]["percent"] == pytest.approx(100 * (1 + 1 + 4 / 7) / 3)


def test_the_report_of_a_file_names_it_and_its_hash(
    posehg: Posehg, of_people: tuple[object, ...], people: Path
) -> None:
    posehg(*of_people, "--predictions", "said.npz")
    posehg("eval", "--dataset", people, "--from", "said.npz", "--report", "r.json")
    about = json.loads(Path("r.json").read_text())["predictions"]
    assert (about["file"], about["sha256"]) == ("said.npz", sha256(Path("said.npz").read_bytes()).hexdigest())
    assert (about["flip"], about["decoder"]) == (True, "subpixel")


def test_two_reports_are_compared(posehg: Posehg, of_people: tuple[object, ...], people: Path, dots: Path) -> None:
    posehg(*of_people, "--report", "b.json", "--predictions", "said.npz")
    with np.load("said.npz") as arrays:
        shaken = dict(arrays)
    shaken["keypoints"] = shaken["keypoints"] + 30.0
    np.savez("worse.npz", **shaken)
    posehg("eval", "--dataset", people, "--from", "worse.npz", "--report", "a.json")
    run = posehg("eval", "--compare", "a.json", "b.json")
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    made = f"model {dots}, with flip test, subpixel decoding"
    assert lines[:2] == [f"A: a.json, predictions worse.npz, {made}", f"B: b.json, {made}"]
    assert lines[2] == "people val: 7 persons"
    assert lines[3] == "B > A: in so many of 1,000 resamples of the persons, drawn for both alike."
    assert ["3", "joints", "0.00", "85.71", "+85.71"] in [line.split()[:5] for line in lines]
    assert lines[-1].startswith("B is better: PCKh@0.5, mean of 3 joints, is 85.71 points higher in B (95 % interval +")
    assert max(map(len, lines[3:-1])) <= 80
    other = posehg("eval", "--compare", "b.json", "a.json", "--bootstrap", 200).out.splitlines()
    assert other[3].startswith("B > A: in so many of 200 resamples")
    assert other[-1].startswith("A is better: PCKh@0.5, mean of 3 joints, is 85.71 points lower in B")


def test_reports_on_other_persons_are_not_compared(posehg: Posehg, of_people: tuple[object, ...]) -> None:
    posehg(*of_people, "--report", "a.json")
    posehg(*of_people, "--report", "b.json", "--limit", 5)
    run = posehg("eval", "--compare", "a.json", "b.json")
    run.assert_failed(2, "not on the same data: the number of persons is 7 in a.json, 5 in b.json")


@pytest.mark.parametrize(
    ("option", "name"),
    [(("--model", "m"), "model"), (("--limit", 3), "limit"), (("--min", 3), "min"), (("--from", "a"), "from")],
)
def test_nothing_else_is_done_while_comparing(posehg: Posehg, option: tuple[object, ...], name: str) -> None:
    posehg("eval", "--compare", "a.json", "b.json", *option).assert_failed(
        2, f"--{name} has no use with --compare, which takes two reports and nothing else."
    )


def test_something_else_is_no_report(posehg: Posehg, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    run = posehg("eval", "--compare", tmp_path / "a.json", tmp_path / "a.json")
    run.assert_failed(5, "is not a report of posehg eval")


# ---- curves and sheets -------------------------------------------------------------------------------------------


def test_curves_and_the_sheet_are_written_and_told(posehg: Posehg, of_people: tuple[object, ...]) -> None:
    run = posehg(*of_people, "--curve", "c.csv", "--curve", "c.png", "--worst", 4)
    assert run.code == 0
    assert (
        run.err
        == "Wrote c.csv.\nWrote c.png.\nWrote worst.png. Thin and green: the annotation; in colour: the prediction.\n"
    )
    rows = list(csv.DictReader(Path("c.csv").read_text().splitlines()))
    assert len(rows) == 51 + 21
    assert float(rows[50]["mean"]) == pytest.approx(100 * (1 + 1 + 4 / 7) / 3, abs=1e-3)
    assert images.read("c.png").shape == (480, 1440, 3)
    assert images.read("worst.png").shape[1] == 4 * 260 + 4


def test_the_worst_of_a_file_are_drawn_on_their_pictures(
    posehg: Posehg, of_people: tuple[object, ...], people: Path, tmp_path: Path
) -> None:
    posehg(*of_people, "--predictions", "said.json", "--worst", 3)
    posehg("eval", "--dataset", people, "--from", "said.json", "--worst", 3, "--sheet", "again.png")
    np.testing.assert_array_equal(images.read("worst.png"), images.read("again.png"))
    alone = without_pictures(people, tmp_path / "alone")
    run = posehg("eval", "--dataset", alone, "--from", "said.json", "--worst", 3, "--sheet", "third.png")
    run.assert_failed(5, "7 of 7 pictures of people are missing")


# ---- what goes wrong goes wrong before the work ------------------------------------------------------------------


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*arguments: object, **options: object) -> None:
        raise AssertionError("a network was asked")

    monkeypatch.setattr(stubs.Dots, "forward", work)


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--report", "old.json"), 2, "old.json exists already."),
        (("--predictions", "old.json"), 2, "old.json exists already."),
        (("--curve", "old.csv"), 2, "old.csv exists already."),
        (("--worst", 2), 2, "worst.png exists already."),
        (("--report", "r.txt"), 2, "--report r.txt: its name has to end in .json."),
        (("--predictions", "r.mat"), 2, "--predictions r.mat: its name has to end in .json or .npz or .h5."),
        (("--curve", "c.jpg"), 2, "--curve c.jpg: its name has to end in .csv or .png."),
        (("--worst", 2, "--sheet", "w.gif"), 2, "--sheet w.gif: its name has to end in .png or"),
        (("--report", "none/r.json"), 2, "There is no folder none."),
        (("--predictions", "folder.json"), 2, "folder.json is a folder"),
        (("--report", "r.json", "--predictions", "r.json"), 2, "r.json is named twice: by --predictions and --report."),
        (("--curve", "c.csv", "--curve", "c.csv"), 2, "c.csv is named twice"),
        (("--sheet", "w.png"), 2, "--sheet is where the persons of --worst go."),
        (("--metric", "oks", "--worst", 3), 2, "--worst needs PCK or PCKh"),
        (("--metric", "oks", "--curve", "c.csv"), 2, "--curve needs PCK or PCKh"),
        (("--metric", "oks", "--threshold", 0.5), 2, "--threshold needs PCK or PCKh"),
        (("--metric", "oks", "--joints"), 2, "--joints needs PCK or PCKh"),
        (("--metric", "oks", "--bootstrap", 200), 2, "--bootstrap needs PCK or PCKh"),
        (("--min", "inf"), 2, "--min inf: it is a percentage."),
        (("--min", 5, "--threshold", 0.3), 2, "may be meant for two metrics"),
        (("--bootstrap", 99), 2, "--bootstrap 99: resamples are 100 to 100000"),
        (("--bootstrap", 100_001), 2, "--bootstrap 100001: resamples are"),
        (("--report", "locked/r.json"), 3, "locked/r.json cannot be written"),
        (("--curve", "c.csv", "--report", "r.json", "--curve", "./c.csv"), 2, "c.csv is named twice: by --curve and"),
        (("--threshold", 0), 2, "--threshold 0: a threshold is a number above 0."),
        (("--threshold", "nan"), 2, "a threshold is a number above 0."),
        (("--submission", "s.mat"), 2, "--submission is for MPII's test persons."),
        (("--split", "train"), 5, "has nobody of the split 'train'."),
    ],
)
def test_a_mistake_is_told_before_the_network_is_asked(
    posehg: Posehg,
    of_people: tuple[object, ...],
    tmp_path: Path,
    no_work: None,
    options: tuple[object, ...],
    code: int,
    sentence: str,
) -> None:
    (tmp_path / "folder.json").mkdir()
    for name in ("old.json", "old.csv", "worst.png"):
        (tmp_path / name).write_text("mine")
    # Root may write to any real folder.
    (tmp_path / "locked").symlink_to("/proc/self") if os.geteuid() == 0 else (tmp_path / "locked").mkdir(mode=0o500)
    posehg(*of_people, *options).assert_failed(code, sentence)
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()} == dict.fromkeys(
        ("old.json", "old.csv", "worst.png"), "mine"
    )


def test_what_exists_is_replaced_when_asked(posehg: Posehg, of_people: tuple[object, ...], tmp_path: Path) -> None:
    names = ("p.json", "r.json", "c.csv", "w.png")
    for name in names:
        (tmp_path / name).write_text("mine")
    outputs = ("--predictions", "p.json", "--report", "r.json", "--curve", "c.csv", "--worst", 2, "--sheet", "w.png")
    assert posehg(*of_people, *outputs, "--overwrite").code == 0
    assert all((tmp_path / name).read_bytes() != b"mine" for name in names)


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--model", "bundled"), 2, "--model is for a network, and --from scores what a file says."),
        (("--no-flip",), 2, "--flip is for a network"),
        (("--decoder", "quarter"), 2, "--decoder is for a network"),
        (("--device", "cpu"), 2, "--device is for a network"),
        (("--predictions", "said.json", "--overwrite"), 2, "said.json is named twice: by --from and --predictions."),
        (("--report", "folder/../said.json", "--overwrite"), 2, "said.json is named twice: by --from and --report."),
    ],
)
def test_what_makes_no_sense_with_a_file_is_refused(
    posehg: Posehg,
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("said.json").write_text("{}")
    posehg("eval", "--dataset", people, "--from", "said.json", *options).assert_failed(code, sentence)


def test_the_environments_model_and_device_do_not_disturb_a_file(
    posehg: Posehg, of_people: tuple[object, ...], people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posehg(*of_people, "--predictions", "said.json")
    monkeypatch.setenv("POSEHG_MODEL", "elsewhere")
    monkeypatch.setenv("POSEHG_DEVICE", "cuda")
    assert posehg("eval", "--dataset", people, "--from", "said.json").code == 0


def test_a_file_is_scored_by_one_process(
    posehg: Posehg, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "said.json").write_text("{}")
    monkeypatch.setenv("WORLD_SIZE", "2")
    run = posehg("eval", "--dataset", people, "--from", tmp_path / "said.json")
    run.assert_failed(2, "--from has nothing to share between processes.")


@pytest.mark.parametrize(
    ("name", "content", "code", "sentence"),
    [
        ("none.json", None, 5, "There is no file none.json."),
        ("/dev/null", None, 5, "/dev/null is no regular file."),
        ("/", None, 5, "/ is no regular file."),
        ("said.txt", b"", 2, "--from said.txt: its name has to end in .json or .npz or .h5 or .mat or .jsonl or .csv."),
        ("said.json", b"", 5, "said.json is not a file of predictions that posehg wrote"),
        ("said.npz", b"PK", 5, "said.npz is not a .npz file"),
        ("said.h5", b"\x89HDF", 5, "said.h5 is not an HDF5 file"),
        ("said.mat", b"MATLAB 5", 5, "said.mat is not a MATLAB file"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    posehg: Posehg,
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes | None,
    code: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_bytes(content)
    posehg("eval", "--dataset", people, "--from", name).assert_failed(code, sentence)


def test_predictions_of_other_people_are_told(
    posehg: Posehg, people: Path, of_people: tuple[object, ...], tmp_path: Path
) -> None:
    posehg(*of_people, "--predictions", "said.json")
    values = json.loads(Path("said.json").read_text())
    values["people"][2]["id"] = "somebody"
    Path("said.json").write_text(json.dumps(values))
    run = posehg("eval", "--dataset", people, "--from", "said.json")
    run.assert_failed(5, "The people in said.json are not those of people val: 1 of 7 missing")


# ---- MPII's test persons -----------------------------------------------------------------------------------------


@pytest.fixture
def benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    """eval of five test persons of MPII, none of whom is labelled, in an empty folder."""
    root = tmp_path / "mpii"
    root.mkdir()
    release(root)
    for name, *_ in PICTURES:
        (root / "images").mkdir(exist_ok=True)
        images.write(root / "images" / name, np.full((211, 307, 3), 90, dtype=np.uint8))
    monkeypatch.chdir(tmp_path)
    return ("eval", "--dataset", "mpii", "--split", "test", "--data", root)


def test_a_submission_has_what_the_network_said(posehg: Posehg, benchmark: tuple[object, ...], model: Path) -> None:
    run = posehg(*benchmark, "--model", model, "--submission", "s.mat", "--predictions", "p.npz")
    assert run.code == 0, run.err
    assert run.err == "Wrote p.npz.\nWrote s.mat.\n"
    assert run.out.startswith("mpii test: ")
    assert "PCK" not in run.out
    with np.load("p.npz") as arrays:
        place = arrays["ids"].tolist().index("001:1")
        x = arrays["keypoints"][place, :, 0]
    pictures = loadmat("s.mat", struct_as_record=False, squeeze_me=True)["pred"]
    points = pictures[0].annorect[0].annopoints.point
    np.testing.assert_allclose([point.x for point in sorted(points, key=lambda point: point.id)], x + 1)


def test_a_submission_can_be_made_of_a_file(posehg: Posehg, benchmark: tuple[object, ...], model: Path) -> None:
    posehg(*benchmark, "--model", model, "--predictions", "p.json")
    assert posehg(*benchmark, "--from", "p.json", "--submission", "s.mat").code == 0
    posehg(*benchmark, "--from", "p.json").assert_failed(2, "The split test of mpii has no labelled joints")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--submission", "s.mat", "--report", "r.json"), "--report needs labels"),
        (("--submission", "s.mat", "--min", 5), "--min needs labels"),
        (("--submission", "s.txt"), "--submission s.txt: its name has to end in .mat."),
    ],
)
def test_a_submission_has_no_figures(
    posehg: Posehg, benchmark: tuple[object, ...], options: tuple[object, ...], sentence: str
) -> None:
    posehg(*benchmark, *options).assert_failed(2, sentence)


def test_nothing_can_be_scored_without_labels(posehg: Posehg, benchmark: tuple[object, ...], model: Path) -> None:
    run = posehg(*benchmark, "--model", model)
    run.assert_failed(2, "The split test of mpii has no labelled joints to score by.")
    assert "Hint: Its predictions can be written: --predictions" in run.err


# ---- published predictions ---------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_hourglass_authors_own_predictions_have_their_published_scores(posehg: Posehg, shared: Path) -> None:
    samples = shared / "samples"
    run = posehg("eval", "--data", samples, "--from", samples / "pose_hg_demo_valid-ours_preds.h5")
    assert run.code == 0, run.err
    lines = [line.split() for line in run.out.splitlines()]
    assert ["PCKh@0.5", "95.94", "94.68", "88.53", "83.38", "87.48", "83.09", "79.05", "87.56"] in lines
    assert "14 joints (bearpaw, anibali)                  87.56  " in run.out
    assert "14 joints, label-weighted (HRNet, mmpose)     88.04  " in run.out
    assert "all 16, label-weighted (princeton PyTorch)    88.96  " in run.out
    assert ["28.32"] in [line[8:] for line in lines if line[:1] == ["PCKh@0.1"]]
    for mean in ("28.32", "28.65", "28.80"):
        assert f"  {mean}  " in run.out
