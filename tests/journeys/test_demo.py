from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from posehg import images
from posehg.datasets import synthetic
from tests.journeys.conftest import Posehg

NEXT = "Next, with a photo of your own: posehg predict photo.jpg --out skeleton.png\n"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_the_demo_finds_the_person_that_it_renders(posehg: Posehg, tmp_path: Path) -> None:
    run = posehg("demo")
    assert (run.code, run.err) == (0, "Wrote posehg-demo.png\n")
    found = re.fullmatch(
        r"(\d+) of 16 joints are within 0\.2 of the torso's length of where they were rendered\.\n" + re.escape(NEXT),
        run.out,
    )
    assert found is not None, run.out
    assert int(found[1]) >= 14
    plain, drawn = np.split(images.read(tmp_path / "posehg-demo.png"), 2, axis=1)
    np.testing.assert_array_equal(plain, synthetic.render(3, len(plain))[0])
    assert 0.005 < (plain != drawn).any(axis=2).mean() < 0.2


def test_joints_count_that_are_near_where_they_were_rendered(posehg: Posehg, model: Path) -> None:
    """A network with random weights has few, if it finds anybody."""
    run = posehg("demo", "--model", model, "--out", "a.jpg")
    assert (run.code, run.err) == (0, "Wrote a.jpg\n")
    first, rest = run.out.split("\n", 1)
    assert rest == NEXT
    assert first == "Nobody was found." or int(first.split()[0]) < 12


def test_a_model_without_the_rendered_joints_is_not_judged(posehg: Posehg, square: Path) -> None:
    first = posehg("demo", "--model", square).out.splitlines()[0]
    assert first in (
        "Nobody was found.",
        "The model has none of the 16 joints that are rendered, so it cannot be judged.",
    )


def test_another_seed_is_another_picture(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    for seed in (3, 5):
        assert posehg("demo", "-m", model, "--seed", seed, "--out", f"{seed}.png").code == 0
    plain = [np.split(images.read(tmp_path / f"{seed}.png"), 2, axis=1)[0] for seed in (3, 5)]
    assert plain[0].shape == plain[1].shape
    assert (plain[0] != plain[1]).any()


def test_nothing_is_overwritten_unasked(posehg: Posehg, model: Path, tmp_path: Path) -> None:
    (tmp_path / "posehg-demo.png").write_bytes(b"mine")
    run = posehg("demo", "--model", model)
    run.assert_failed(2, "posehg-demo.png exists already.")
    assert "Hint: Give --overwrite to replace it" in run.err
    assert (tmp_path / "posehg-demo.png").read_bytes() == b"mine"
    assert posehg("demo", "--model", model, "--overwrite").code == 0
    assert images.read(tmp_path / "posehg-demo.png").shape == (480, 960, 3)


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--out", "a.gif"), 2, "--out a.gif: its name has to end in .png or .jpg or .jpeg or .webp."),
        (("--out", "nowhere/a.png"), 2, "There is no folder nowhere."),
        (("--seed", "-1"), 2, "Invalid value for '--seed'"),
        (("--model", "nothing"), 5, "nothing"),
        (("--device", "cuda:77"), 6, "The device cuda:77 was asked for"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    posehg: Posehg, tmp_path: Path, options: tuple[str, ...], code: int, sentence: str
) -> None:
    posehg("demo", *options).assert_failed(code, sentence)
    assert list(tmp_path.iterdir()) == []
