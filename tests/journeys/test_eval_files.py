"""posehg eval with the files that it writes and reads: predictions, reports, curves, sheets, submissions."""

import csv
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from posehg import images
from posehg.datasets import load_one
from posehg.geometry import Box
from posehg.io import writers
from posehg.poses import Pose, Result
from tests import stubs
from tests.coco_files import make_coco
from tests.journeys.conftest import ROOT, Posehg, Run
from tests.test_architecture import modules_after
from tests.test_evaluation_submission import IMAGES, release

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
def evaluate(posehg: Posehg, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Posehg:
    """posehg eval of these people with more options, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return partial(posehg, "eval", "--dataset", people)


@pytest.fixture
def network(evaluate: Posehg, dots: Path) -> Posehg:
    """The same by the network that sees dots."""
    return partial(evaluate, "--model", dots)


def tables(run: Run) -> str:
    """What was printed, without the heading."""
    assert run.code == 0, run.err
    return run.out.partition("\n\n")[2]


@pytest.mark.parametrize("name", ["said.json", "said.npz", "said.h5"])
def test_predictions_give_the_table_of_their_network(posehg: Posehg, network: Posehg, people: Path, name: str) -> None:
    estimated = network("--predictions", name, "--joints", "--report", "a.json")
    assert f"Wrote {name}.\n" in estimated.err
    alone = shutil.copy(people, ".")  # without the images
    read = posehg("eval", "--dataset", alone, "--from", name, "--joints", "--report", "b.json")
    assert tables(read) == tables(estimated)
    assert "78.57" in read.out  # of the hands: 3 of 7 right ones are elsewhere
    a, b = (json.loads(Path(report).read_text()) for report in ("a.json", "b.json"))
    assert a["data"] == b["data"]
    for one, other in zip(a["metrics"], b["metrics"], strict=True):
        assert one["tables"] == other["tables"]
        np.testing.assert_allclose(*(np.array(m["distances"], dtype=float) for m in (one, other)), rtol=1e-9)


def test_limit_takes_the_same_persons_of_a_file_as_of_a_network(evaluate: Posehg, network: Posehg) -> None:
    """Whether the file holds the whole split or these persons alone."""
    some = network("--limit", 3, "--predictions", "some.h5")
    network("--predictions", "all.h5")
    for name in ("some.h5", "all.h5"):
        assert tables(evaluate("--from", name, "--limit", 3)) == tables(some)
    assert tables(evaluate("--from", "all.h5")) != tables(some)
    for options in ((), ("--limit", 2)):
        evaluate("--from", "some.h5", *options).assert_failed(5, "some.h5")


def test_scoring_a_file_does_not_load_torch(network: Posehg, people: Path, tmp_path: Path) -> None:
    network("--predictions", "said.json")
    said, curve, report, sheet = (str(tmp_path / name) for name in ("said.json", "c.png", "r.json", "w.png"))
    options = ("--from", said, "--worst", "2", "--curve", curve, "--report", report, "--sheet", sheet)
    loaded = modules_after("from posehg.cli.app import main; main()", "eval", "--dataset", str(people), *options)
    assert "numpy" in loaded
    assert not loaded & {"torch", "huggingface_hub", "safetensors"}
    assert "torch" not in json.loads(Path(report).read_text())["versions"]
    assert "torch" not in modules_after("from posehg.cli.app import main; main()", "eval", "--compare", report, report)


WITHOUT_NAMES = (("--worst", 2), ("--threshold", 1), ("--predictions", "p.npz"), ("--limit", 3), ("--joints",))


def test_coco_results_are_scored_by_oks_alone(posehg: Posehg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_coco(tmp_path / "coco", "val")
    data = load_one("coco", tmp_path, "val", need_images=False)
    names = {image: int(name) for name, image in data.images.items()}
    results = []
    for person in data.persons:
        keypoints = np.nan_to_num(np.column_stack([person.keypoints, np.ones(17)])).ravel().tolist()
        results.append({"image_id": names[person.image], "category_id": 1, "keypoints": keypoints, "score": 0.5})
    Path("results.json").write_text(json.dumps(results))
    of_file = partial(posehg, "eval", "--dataset", "coco", "--data", tmp_path, "--from", "results.json")
    run = of_file("--report", "r.json", "--min", 100, "--bootstrap", 0)
    assert (run.code, run.err) == (0, "Wrote r.json.\n")
    assert "AP         1.000  1.000  1.000" in run.out
    assert json.loads(Path("r.json").read_text())["oks"]["AP"] == pytest.approx(1)
    for option in (("--metric", "pck"), *WITHOUT_NAMES):
        of_file(*option).assert_failed(2, option[0])
    Path("results.json").write_text(json.dumps([*results, results[0] | {"category_id": 3}]))
    of_file().assert_failed(5, "1, 3")


@pytest.mark.parametrize("name", ["run.jsonl", "run.json", "run.csv", "run.npz"])
def test_what_predict_found_is_scored(evaluate: Posehg, people: Path, name: str) -> None:
    """By PCK those who are taken for annotated persons, by OKS everyone."""
    data = load_one(str(people), None, "val")
    found = [("unlabelled.png", np.eye(3)[:, :2]), *((str(one.image), one.keypoints) for one in data.persons)]
    with writers.RUN_FILES[".jsonl" if name == "run.json" else Path(name).suffix](Path(name)) as writer:
        for source, keypoints in found:
            pose = Pose(stubs.DOTS, keypoints, np.full(3, 0.9), Box(0, 0, 400, 400), 0.9)
            writer.add(Result(source, "dots", stubs.DOTS, [pose], size=(300, 420)))
    run = evaluate("--from", name, "--min", 100, "--worst", 2)
    assert run.code == 0, run.err
    assert f"{COUNT} of {COUNT} detections" in run.out.splitlines()[0]
    assert evaluate("--from", name, "--limit", 3, "--min", 100).code == 0
    run = evaluate("--from", name, "--metric", "oks", "--min", 100, "--report", "r.json")
    assert run.code == 0, run.err
    assert json.loads(Path("r.json").read_text())["predictions"]["people"] == COUNT
    evaluate("--from", name, "--metric", "oks", "--worst", 2).assert_failed(2, "--worst")


@pytest.fixture
def said(network: Posehg) -> tuple[object, ...]:
    """Options for predictions in a file, whose mean PCK is 85.71."""
    network("--predictions", "said.json")
    return ("--from", "said.json", "--bootstrap", 0)


def test_a_closed_pipe_loses_neither_files_nor_the_gate(said: tuple[object, ...], people: Path) -> None:
    reader, closed = os.pipe()
    os.close(reader)
    options = ("--report", "r.json", "--curve", "c.csv", "--worst", 2, "--min", 99)
    command = [sys.executable, "-m", "posehg", "eval", "--dataset", *map(str, (people, *said, *options))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}  # as usual
    run = subprocess.run(command, env=environment, stdout=closed, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(closed)
    assert run.returncode == 4, run.stderr
    assert "--min 99" in run.stderr
    assert all(Path(name).exists() for name in ("r.json", "c.csv", "worst.png"))


def test_the_report_names_model_options_and_versions(network: Posehg, dots: Path) -> None:
    network("--no-flip", "--device", "cpu", "--report", "r.json")
    values = json.loads(Path("r.json").read_text(), parse_constant=pytest.fail)
    about = values["predictions"]
    assert about["weights_sha256"] == sha256((dots / "model.safetensors").read_bytes()).hexdigest()
    options = [about[key] for key in ("model", "flip", "decoder", "device")]
    assert options == [str(dots), False, "subpixel", "cpu"]
    assert values["command"].startswith("posehg eval --dataset ")
    assert values["command"].endswith(" --no-flip --device cpu --report r.json")
    assert "torch" in values["versions"]
    assert values["metrics"][0]["tables"][0]["means"][0]["percent"] == pytest.approx(100 * (1 + 1 + 4 / 7) / 3)


def test_two_reports_are_compared(posehg: Posehg, evaluate: Posehg, network: Posehg, dots: Path) -> None:
    network("--report", "b.json", "--predictions", "said.npz")
    with np.load("said.npz") as arrays:
        np.savez("worse.npz", **{**arrays, "keypoints": arrays["keypoints"] + 30.0})
    evaluate("--from", "worse.npz", "--report", "a.json")
    run = posehg("eval", "--compare", "a.json", "b.json", "--bootstrap", 200)
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    made = f"model {dots}, with flip test, subpixel decoding"
    assert lines[:2] == [f"A: a.json, predictions worse.npz, {made}", f"B: b.json, {made}"]
    assert ["3", "joints", "0.00", "85.71", "+85.71"] in [line.split()[:5] for line in lines]
    assert lines[-1].startswith("B is better: ")
    for option in (("--model", "m"), ("--min", 3), ("--from", "a")):
        posehg("eval", "--compare", "a.json", "b.json", *option).assert_failed(2, option[0])
    network("--report", "few.json", "--limit", 5)
    posehg("eval", "--compare", "a.json", "few.json").assert_failed(2, "few.json")
    posehg("eval", "--compare", "a.json", "said.npz").assert_failed(5, "said.npz")


def test_curves_and_the_sheet_are_written_and_named(network: Posehg) -> None:
    run = network("--curve", "c.csv", "--curve", "c.png", "--worst", 4)
    assert run.code == 0
    assert [line.split()[1].rstrip(".:") for line in run.err.splitlines()] == ["c.csv", "c.png", "worst.png"]
    rows = list(csv.DictReader(Path("c.csv").read_text().splitlines()))
    assert len(rows) == 51 + 21
    assert float(rows[50]["mean"]) == pytest.approx(100 * (1 + 1 + 4 / 7) / 3, abs=1e-3)
    assert images.read("c.png").shape == (500, 1400, 3)
    assert images.read("worst.png").shape[1] == 4 * 260 + 4


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (("--report", "old.json"), 2, "old.json"),
        (("--worst", 2), 2, "worst.png"),
        (("--report", "r.txt"), 2, ".txt"),
        (("--report", "r.json", "--predictions", "r.json"), 2, "--predictions and --report"),
        (("--predictions", "r.mat"), 2, ".mat"),
        (("--worst", 2, "--sheet", "w.gif"), 2, ".gif"),
        (("--report", "none/r.json"), 2, "none"),
        (("--report", "locked/r.json"), 3, "locked"),
        (("--predictions", "folder.json"), 2, "folder.json"),
        (("--sheet", "w.png"), 2, "--sheet"),
        (("--metric", "oks", "--worst", 3), 2, "--worst"),
        (("--min", 101), 2, "--min"),
        (("--min", 5, "--threshold", 0.3), 2, "--threshold"),
        (("--threshold", -0.1), 2, "--threshold"),
        (("--threshold", "nan"), 2, "--threshold"),
        (("--bootstrap", 100_001), 2, "--bootstrap"),
        (("--submission", "s.mat"), 2, "--submission"),
        (("--split", "train"), 5, "train"),
        (("--from", "old.json"), 2, "--model"),
    ],
)
def test_a_mistake_is_reported_before_the_network_is_asked(
    network: Posehg, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...], code: int, named: str
) -> None:
    monkeypatch.setattr(stubs.Dots, "forward", lambda *arguments: pytest.fail("a network was asked"))
    Path("folder.json").mkdir()
    for name in ("old.json", "worst.png"):
        Path(name).write_text("mine")
    # Root may write to any real folder.
    Path("locked").symlink_to("/proc/self") if os.geteuid() == 0 else Path("locked").mkdir(mode=0o500)
    network(*options).assert_failed(code, named)
    files = {path.name: path.read_text() for path in Path().iterdir() if path.is_file()}
    assert files == dict.fromkeys(("old.json", "worst.png"), "mine")


@pytest.mark.parametrize(
    ("name", "content", "options", "code", "named"),
    [
        ("none.json", None, (), 5, "none.json"),
        ("/", None, (), 2, "not /"),
        ("said.txt", "", (), 2, ".txt"),
        ("said.json", "", (), 5, "said.json"),
        ("said.json", "{}", ("--no-flip",), 2, "--flip"),
        ("said.json", "{}", ("--report", "said.json", "--overwrite"), 2, "--report"),
    ],
)
def test_a_file_that_cannot_be_scored_is_named(
    evaluate: Posehg, name: str, content: str | None, options: tuple[object, ...], code: int, named: str
) -> None:
    if content is not None:
        Path(name).write_text(content)
    evaluate("--from", name, *options).assert_failed(code, named)


def test_the_environments_model_and_device_do_not_matter_to_a_file(
    evaluate: Posehg, said: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEHG_MODEL", "elsewhere")
    monkeypatch.setenv("POSEHG_DEVICE", "cuda")
    assert evaluate(*said).code == 0


def test_a_submission_has_what_the_network_said(
    posehg: Posehg, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five test persons of MPII, without labels."""
    monkeypatch.chdir(tmp_path)
    release(tmp_path)
    Path("images").mkdir()
    for name, *_ in IMAGES:
        images.write(Path("images") / name, np.full((211, 307, 3), 90, dtype=np.uint8))
    benchmark = partial(posehg, "eval", "--dataset", "mpii", "--split", "test", "--data", tmp_path)
    run = benchmark("--model", model, "--submission", "s.mat", "--predictions", "p.npz")
    assert run.code == 0, run.err
    assert run.err == "Wrote p.npz.\nWrote s.mat.\n"
    assert run.out.startswith("mpii test: ")
    assert "PCK" not in run.out
    with np.load("p.npz") as arrays:
        x = arrays["keypoints"][arrays["ids"].tolist().index("001:1"), :, 0]
    points = loadmat("s.mat", struct_as_record=False, squeeze_me=True)["pred"][0].annorect[0].annopoints.point
    np.testing.assert_allclose([point.x for point in points], x + 1)
    assert benchmark("--from", "p.npz", "--submission", "again.mat").code == 0
    benchmark("--from", "p.npz").assert_failed(2, "mpii")
    benchmark("--submission", "s.mat", "--report", "r.json").assert_failed(2, "--report")


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
