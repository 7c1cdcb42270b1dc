"""The one-way order of imports, as drawn in CONTRIBUTING under "How it is built"."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "posehg"

ORDER = """
__init__ | __main__
cli
training | evaluation | exporters | library
inference | checking
outputs | datasets
checkpoints
network | heatmaps | metrics | drawing | charts | processes | inputs | hub
images | poses | strokes | labels | config
skeletons | geometry
files | web
errors
"""
LINES = [[room.strip() for room in line.split("|")] for line in ORDER.strip().splitlines()]
HEIGHT = {room: -index for index, line in enumerate(LINES) for room in line}
TORCH_ROOMS = {"network", "heatmaps", "processes", "checkpoints", "training", "inference", "evaluation", "exporters"}
HEAVY = {"torch", "cv2", "numpy", "PIL", "huggingface_hub", "scipy"}


class Import(NamedTuple):
    """``target`` is what is imported, with dots: of ``from a import b`` it is a.b."""

    target: str
    line: int
    lazy: bool

    @property
    def library(self) -> str:
        return self.target.partition(".")[0]


def imports(source: str, package: str) -> Iterator[Import]:
    """Everything that a file of ``package`` imports: in functions, for type checking and by import_module as well."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lazy = {inner for function in functions for statement in function.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                targets = [alias.name for alias in names]
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = [*parents, *([module] if module else [])]
                targets = [".".join([*base, alias.name]) for alias in names]
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"), args=[ast.Constant(value=name)]
            ):
                targets = [str(name)]
            case _:
                continue
        yield from (Import(target, node.lineno, node in lazy) for target in targets)


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def room_entered(target: str) -> str | None:
    """The room of posehg that an import enters; None for a library and for the version, which everybody may know."""
    if target == "posehg.__version__" or target.partition(".")[0] != "posehg":
        return None
    room = target.split(".")[1] if "." in target else "__init__"
    return room if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").exists() else "__init__"


def order_violation(room: str, target: str) -> str | None:
    """Why a file of ``room`` may not import ``target``; None where it may."""
    entered = room_entered(target)
    if entered is None or entered == room or HEIGHT[entered] < HEIGHT[room]:
        return None
    relation = "a neighbour" if HEIGHT[entered] == HEIGHT[room] else "above"
    return f"{room} imports {entered}, which is {relation}"


def torch_violation(room: str, found: Import) -> str | None:
    # A command may reach for torch inside its function, as it does for its whole workflow.
    if found.library != "torch" or room in TORCH_ROOMS or (room == "cli" and found.lazy):
        return None
    return f"{room} imports torch"


FILES = sorted(PACKAGE.rglob("*.py"))


def package_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).parent.parts)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_has_a_place_in_the_order(file: Path) -> None:
    assert room_of(file) in HEIGHT, f"Give {room_of(file)} a line in ORDER and in CONTRIBUTING."


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_imports_from_lower_rooms_only(file: Path) -> None:
    found = imports(file.read_text(encoding="utf-8"), package_of(file))
    wrong = [f"{file}:{i.line}: {why}" for i in found if (why := order_violation(room_of(file), i.target))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_torch_is_imported_only_where_tensors_are_needed(file: Path) -> None:
    found = imports(file.read_text(encoding="utf-8"), package_of(file))
    wrong = [f"{file}:{i.line}: {why}" for i in found if (why := torch_violation(room_of(file), i))]
    assert not wrong, "\n".join(wrong)


def test_the_contributing_guide_draws_the_same_order() -> None:
    guide = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "\n".join(ORDER.strip().splitlines()[1:]) in guide


@pytest.mark.parametrize(
    "source",
    [
        "import posehg.inference",
        "import posehg.inference.estimator as e",
        "from posehg import inference",
        "from posehg.inference import Estimator",
        "from ..inference import Estimator",
        "from .. import inference",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from posehg.inference import Estimator",
        "def load():\n    from posehg.inference import Estimator",
        "import importlib\nimportlib.import_module('posehg.inference')",
    ],
)
def test_every_way_to_import_a_room_is_seen(source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "inference").mkdir()
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    targets = [found.target for found in imports(source, "posehg.datasets")]
    assert "inference" in [room_entered(target) for target in targets]
    assert any(order_violation("datasets", target) for target in targets)


@pytest.mark.parametrize(
    ("room", "target"),
    [
        ("poses", "posehg.images.read"),  # a neighbour
        ("errors", "posehg.files.atomic"),  # the line above
        ("training", "posehg.evaluation"),
        ("geometry", "posehg"),
    ],
)
def test_an_import_upwards_or_sideways_is_a_violation(room: str, target: str) -> None:
    assert order_violation(room, target)


@pytest.mark.parametrize(
    ("room", "target"),
    [
        ("files", "posehg.errors.InputError"),
        ("poses", "posehg.geometry.Box"),
        ("datasets", "posehg.datasets.dataset"),
        ("errors", "posehg.__version__"),
        ("errors", "numpy"),
    ],
)
def test_an_import_downwards_or_within_a_room_is_none(room: str, target: str) -> None:
    assert order_violation(room, target) is None


def test_a_command_may_import_torch_inside_its_function_only() -> None:
    assert torch_violation("cli", Import("torch", 1, lazy=False))
    assert torch_violation("cli", Import("torch", 1, lazy=True)) is None
    assert torch_violation("metrics", Import("torch.nn", 1, lazy=True))


def modules_after(statements: str, *arguments: str) -> set[str]:
    """The top-level modules that are loaded when a fresh interpreter has run the statements."""
    script = f"""
import sys
sys.argv = ["posehg", *{list(arguments)!r}]
try:
    {statements}
except SystemExit as stop:
    assert not stop.code, stop.code
print("\\nLOADED", *{{name.partition(".")[0] for name in sys.modules}})
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(argument: str) -> None:
    assert not modules_after("from posehg.cli.app import main; main()", argument) & HEAVY


def test_importing_posehg_loads_nothing_heavy() -> None:
    assert not modules_after("import posehg") & HEAVY
