"""The Python code in the documentation runs, and type checkers accept it in a user's script."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from posehg import images
from posehg.datasets import synthetic
from tests import video_files
from tests.test_architecture import ROOT

BLOCKS = {
    f"{path.name}-{number}": code
    for path in (ROOT / "README.md", ROOT / ".github" / "docs" / "python.md")
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL))
}


@pytest.mark.parametrize("name", BLOCKS)
def test_the_code_runs(name: str, tmp_path: Path) -> None:
    images.write(tmp_path / "photo.jpg", synthetic.render(3, 480)[0])
    video_files.write(tmp_path / "walk.mp4", count=3)
    (tmp_path / "script.py").write_text(BLOCKS[name])
    command = [sys.executable, "script.py"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout


def test_type_checkers_accept_the_code(tmp_path: Path) -> None:
    for name, code in BLOCKS.items():
        (tmp_path / f"{re.sub('[^a-z0-9]', '_', name.lower())}.py").write_text(code)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout
