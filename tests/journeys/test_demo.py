"""posehg demo."""

from pathlib import Path

import numpy as np
import pytest

from posehg import images
from posehg.datasets import synthetic
from tests.journeys.conftest import Posehg


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_the_demo_finds_the_person_that_it_renders(posehg: Posehg, tmp_path: Path) -> None:
    run = posehg("demo")
    assert (run.code, run.err) == (0, "Wrote posehg-demo.png\n")
    assert run.out.split()[1:3] == ["of", "16"]
    assert int(run.out.split()[0]) >= 14
    plain, drawn = np.split(images.read(tmp_path / "posehg-demo.png"), 2, axis=1)
    np.testing.assert_array_equal(plain, synthetic.render(3, len(plain))[0])
    assert 0.005 < (plain != drawn).any(axis=2).mean() < 0.2


def test_another_seed_is_another_image(posehg: Posehg, model: Path, square: Path, tmp_path: Path) -> None:
    for seed in (3, 5):  # a network with random weights has few joints right, if it finds anyone
        run = posehg("demo", "-m", model, "--seed", seed, "--out", f"{seed}.png")
        assert run.code == 0
        assert not run.out[0].isdigit() or int(run.out.split()[0]) < 12
    plain = [np.split(images.read(tmp_path / f"{seed}.png"), 2, axis=1)[0] for seed in (3, 5)]
    assert (plain[0] != plain[1]).any()
    run = posehg("demo", "--model", square, "--out", "5.png", "--overwrite")
    assert (run.code, run.out[0].isdigit()) == (0, False)  # it has other joints


def test_it_can_be_repeated_and_replaces_only_what_it_is_told_to(posehg: Posehg, square: Path, tmp_path: Path) -> None:
    mine = tmp_path / "posehg-demo.png"
    mine.write_bytes(b"mine")
    for number in (2, 3):
        run = posehg("demo", "-m", square)
        assert (run.code, run.err) == (0, f"Wrote posehg-demo-{number}.png\n")
    assert mine.read_bytes() == b"mine"
    assert posehg("demo", "-m", square, "--overwrite").err == "Wrote posehg-demo.png\n"
    assert images.read(mine).shape == images.read(tmp_path / "posehg-demo-3.png").shape


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (("--out", "a.gif"), 2, ".gif"),
        (("--out", "nowhere/a.png"), 2, "nowhere"),
        (("--out", "mine.png"), 2, "mine.png"),
        (("--seed", "-1"), 2, "--seed"),
        (("--model", "nothing"), 5, "nothing"),
        (("--device", "cuda:77"), 6, "cuda:77"),
    ],
)
def test_wrong_options_are_refused_and_nothing_is_written(
    posehg: Posehg, tmp_path: Path, options: tuple[str, ...], code: int, named: str
) -> None:
    (tmp_path / "mine.png").write_bytes(b"mine")
    posehg("demo", *options).assert_failed(code, named)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]
