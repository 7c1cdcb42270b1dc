"""What a shell completes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from posehg.checkpoints import hub
from posehg.cli import completion
from posehg.datasets import MODULES
from posehg.io.writers import FORMATS
from tests.test_architecture import HEAVY, ROOT, modules_after

MPIIS_LEFT = [f"left_{joint}" for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")]


def test_the_words_are_those_of_the_tables() -> None:
    assert set(completion.MODELS + completion.DETECTORS) == {*hub.NAMES, *hub.ALIASES}
    assert tuple(MODULES) == completion.DATASETS
    assert tuple(FORMATS) == completion.FORMATS


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("pre", ["predict"]),
        ("predict --dev", ["--device"]),
        ("predict --device c", ["cpu", "cuda"]),
        ("predict --style ", ["default", "thin", "bold", "lines"]),
        ("predict --engine o", ["onnxruntime", "openvino"]),
        ("predict --save image,c", ["image,csv", "image,csv-wide", "image,coco", "image,crops"]),
        ("predict --heatmaps left_", MPIIS_LEFT),
        ("predict --heatmaps left_hip,left_e", ["left_hip,left_elbow"]),
        ("predict --model runs/x --heatmaps left_ey", ["left_eye"]),
        ("predict -m b", ["bundled", "bearpaw-hg1", "bearpaw-hg2", "bearpaw-hg8"]),
        ("predict --detector ", ["detector"]),
        ("eval --dataset l", ["lsp", "lspet"]),
        ("eval --split t", ["train", "test"]),
        ("train --dataset mpii+l", ["mpii+lsp", "mpii+lspet"]),
        ("train --freeze stem,", ["stem,body", "stem,norm"]),
        ("train --loss m", ["mse"]),
        ("train --joints left_w", ["left_wrist"]),
        ("data sheet --dataset c", ["coco"]),
        ("data check --split b", ["both"]),
        ("models info d", ["detector"]),
        ("models convert x --skeleton f", ["flic"]),
        ("export s", ["small"]),
        ("predict photo", []),  # bash then completes files
    ],
)
def test_values_are_completed(
    typed: str, expected: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from posehg.cli.app import main

    words = ["posehg", *typed.split(" ")]
    monkeypatch.setenv("_POSEHG_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "\n".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setattr(sys, "argv", ["posehg"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out.split() == expected


def test_nothing_heavy_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "_POSEHG_COMPLETE": "complete_bash",
        "COMP_WORDS": "posehg eval --da",
        "COMP_CWORD": "2",
    }.items():
        monkeypatch.setenv(name, value)
    assert not modules_after("from posehg.cli.app import main; main()") & HEAVY


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_it_is_installed_for_the_shell_that_asks(tmp_path: Path) -> None:
    command = f"{sys.executable} -m posehg --install-completion; exit $?"
    environment = os.environ | {"HOME": str(tmp_path)}
    run = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert ".bash_completions/posehg.sh" in (tmp_path / ".bashrc").read_text()
    assert "_POSEHG_COMPLETE=complete_bash" in (tmp_path / ".bash_completions" / "posehg.sh").read_text()
