from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from posehg.checking.recognition import recognise
from posehg.errors import NotAvailable, UsageError
from tests.coco_files import make_coco
from tests.flic_files import make_examples, make_flic, make_flic_pc
from tests.lsp_files import make_lsp, make_lspet
from tests.mpii_files import make_mpii_h5, make_mpii_json, make_mpii_mat

MAKERS: list[tuple[str, Callable[[Path], object]]] = [
    ("mpii", make_mpii_json),
    ("mpii", make_mpii_mat),
    ("mpii", make_mpii_h5),
    ("flic", make_flic),
    ("flic", make_examples),
    ("flic-pc", make_flic_pc),
    ("lsp", make_lsp),
    ("lspet", make_lspet),
    ("coco", make_coco),
]
IDS = [f"{name}-{make.__name__}" for name, make in MAKERS]


@pytest.mark.parametrize(("name", "make"), MAKERS, ids=IDS)
def test_a_set_is_recognised_by_its_files_whatever_its_folder_is_called(
    tmp_path: Path, name: str, make: Callable[[Path], object]
) -> None:
    folder = tmp_path / "people"
    make(folder)
    assert recognise(folder) == name


@pytest.mark.parametrize("called", ["lsp", "LSP", "coco"])
def test_the_files_count_and_not_a_name_that_does_not_fit_them(tmp_path: Path, called: str) -> None:
    make_lspet(tmp_path / called)
    assert recognise(tmp_path / called) == "lspet"


def test_the_name_tells_where_the_files_of_two_sets_lie_in_one_folder(tmp_path: Path) -> None:
    for folder in (tmp_path / "flic", tmp_path / "frames"):
        make_flic(folder)
        make_flic_pc(folder)
    assert recognise(tmp_path / "flic") == "flic"
    with pytest.raises(UsageError, match="frames may be flic or flic-pc") as told:
        recognise(tmp_path / "frames")
    assert told.value.hint.endswith("--dataset flic")


def test_a_folder_is_recognised_from_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_flic(tmp_path / "flic")
    make_flic_pc(tmp_path / "flic")
    monkeypatch.chdir(tmp_path / "flic")
    assert recognise(Path()) == "flic"


def test_of_a_broken_set_the_name_tells(tmp_path: Path) -> None:
    (tmp_path / "lspet").mkdir()
    (tmp_path / "lspet" / "joints.mat").write_bytes(b"not a mat")
    assert recognise(tmp_path / "lspet") == "lspet"


def test_a_folder_of_something_else_is_refused_with_a_way_on(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="holds no data set that posehg knows") as told:
        recognise(tmp_path)
    assert told.value.hint.startswith("See posehg data list")
    (tmp_path / "mine.csv").touch()
    with pytest.raises(NotAvailable) as told:
        recognise(tmp_path)
    assert told.value.hint.endswith(f"posehg data check {tmp_path / 'mine.csv'}")
    (tmp_path / "lsp").mkdir()
    (tmp_path / "coco").mkdir()
    with pytest.raises(NotAvailable) as told:
        recognise(tmp_path)
    assert "It holds lsp, coco:" in told.value.hint
    assert told.value.hint.endswith(f"posehg data check {tmp_path / 'lsp'}")
