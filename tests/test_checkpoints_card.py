"""The card that the Hub shows of a model."""

from __future__ import annotations

import ast
import hashlib
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from posehg import checkpoints
from posehg.checkpoints import Checkpoint, card
from tests import stubs


def written(folder: Path, **provenance: str) -> str:
    made = stubs.mpii_checkpoint()
    checkpoints.save_folder(folder, Checkpoint(replace(made.config, provenance=provenance), made.state))
    card.write(folder, "ann/toy")
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_hub_reads_what_it_needs(tmp_path: Path) -> None:
    text = written(
        tmp_path / "a",
        trained_on="mpii:3+coco+synthetic:0.2, after lspet",
        licence="CC BY 4.0",
        results="PCKh@0.5 66.3",
    )
    data = ModelCard(text).data.to_dict()
    assert data["library_name"] == "posehg"
    assert data["pipeline_tag"] == "keypoint-detection"
    assert data["license"] == "cc-by-4.0"
    assert data["datasets"] == ["mpii", "coco", "synthetic", "lspet"]
    assert data["metrics"] == ["pckh"]


def test_what_its_file_does_not_say_is_left_out(tmp_path: Path) -> None:
    text = written(tmp_path / "a")
    data = ModelCard(text).data.to_dict()
    assert data["license"] == "other"
    assert not {"datasets", "metrics"} & data.keys()
    assert "does not say" in text


def test_the_reader_is_told_how_to_use_it_and_which_file_it_is(tmp_path: Path) -> None:
    text = written(tmp_path / "a", made_by="posehg 0.1.0")
    digest = hashlib.sha256((tmp_path / "a" / "model.safetensors").read_bytes()).hexdigest()
    for expected in (
        "posehg predict photo.jpg --model ann/toy",
        'posehg.load("ann/toy")',
        "| joints | 16: right ankle, ",
        "| input | 64 x 64 pixels |",
        "| made by | posehg 0.1.0 |",
        digest,
    ):
        assert expected in text


def test_what_was_written_by_hand_stays(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    written(folder)
    (folder / "README.md").write_text("By hand.")
    card.write(folder, "ann/toy")
    assert (folder / "README.md").read_text() == "By hand."


@pytest.mark.parametrize("text", ["a\n---\nlicense: mit", "a | b", '"', "- x\n# y", "}{", "mpii\nlicense: mit"])
def test_no_text_breaks_out_of_its_place(tmp_path: Path, text: str) -> None:
    made = written(tmp_path / "a", trained_on=text, licence=text, note=text)
    _, _, body = made.split("---\n", 2)
    assert ModelCard(made).data.to_dict()["license"] == "other"
    rows = [line for line in body.splitlines() if line.startswith("| note")]
    assert len(rows) == 1
    assert rows[0].endswith(" |")


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("MIT", "mit"),
        ("GPL-3.0, as the project", "gpl-3.0"),
        ("cc-by-nc-4.0", "cc-by-nc-4.0"),
        ("Apache 2.0", "apache-2.0"),
        ("mitigated", "other"),
        ("weights for research use, as the data sets", "other"),
        ("", "other"),
    ],
)
def test_a_licence_is_known_by_its_first_words(text: str, identifier: str) -> None:
    assert card.licence({"licence": text}) == card.licence({"license": text}) == identifier


@pytest.mark.parametrize(
    ("trained_on", "names"),
    [
        ("mpii", ["mpii"]),
        ("mpii+mpii:2", ["mpii"]),
        ("lsp, after mpii, after coco", ["lsp", "mpii", "coco"]),
        ("my photos of cats, after mpii", ["mpii"]),
        ("", []),
    ],
)
def test_data_sets_are_named_once_and_without_weights(trained_on: str, names: list[str]) -> None:
    assert card.data_sets(trained_on) == names


@pytest.mark.parametrize("text", ["<b>x</b>", "![x](http://a.org)", "[x](http://a.org)", "`x`", "\\| a", "\x1b[31m"])
def test_no_text_of_a_file_is_markdown(tmp_path: Path, text: str) -> None:
    made = written(tmp_path / "a", note=text)
    [row] = [line for line in made.splitlines() if line.startswith("| note")]
    cell = row.removeprefix("| note | ").removesuffix(" |")
    assert cell.isprintable()
    for letter in "<[`!|":
        for place in (place for place, found in enumerate(cell) if found == letter):
            before = cell[:place]
            assert (len(before) - len(before.rstrip("\\"))) % 2 == 1, cell


@pytest.mark.parametrize("name", ["a\n```\n# b", "a\n\n<script>", 'a"; import os', "a; rm -rf b", "\x1b[31ma", "`x`"])
def test_no_name_breaks_out_of_its_place(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "a"
    checkpoints.save_folder(folder, stubs.mpii_checkpoint())
    card.write(folder, name)
    text = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").unlink()
    card.write(folder, "plain")
    assert text.count("\n") == (folder / "README.md").read_text(encoding="utf-8").count("\n")
    assert all(line.isprintable() for line in text.splitlines())
    assert sum(line.startswith("```") for line in text.splitlines()) == 4
    assert not re.search(r"(?<!\\)[<`]", text.partition("```")[0])
    [command] = [line for line in text.splitlines() if line.startswith("posehg predict")]
    assert len(shlex.split(command)) == 7
    [call] = [line for line in text.splitlines() if line.startswith("model = ")]
    assert isinstance(ast.parse(call).body[0], ast.Assign)
    assert len(ast.parse(call).body) == 1
