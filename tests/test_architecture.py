"""The shape of the code: the one-way order of imports, and budgets that keep the house small.

``python tests/test_architecture.py`` prints the figures.
"""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "posehg"

ORDER = """
__init__ | __main__
cli
api
training | evaluation | exporters | values
inference
io | datasets
checkpoints | synthetic
network | metrics | drawing | centers | detection_metrics
images | poses | config | distributed
skeletons | geometry | heatmaps
files
errors
"""
LINES = [[room.strip() for room in line.split("|")] for line in ORDER.strip().splitlines()]
HEIGHT = {room: -index for index, line in enumerate(LINES) for room in line}
TORCH_ROOMS = set("network heatmaps centers distributed checkpoints training inference evaluation exporters".split())
HEAVY = {"torch", "cv2", "numpy", "PIL", "huggingface_hub", "scipy", "matplotlib", "av", "pooch"}

FAMILIES = ("cli", "datasets", "io/writers", "exporters", "checkpoints/foreign", "inference/engines")
"""Folders whose members are reached through one table, or, in cli, through the app: one importer is what they need."""

MAX_LINES, MAX_FILES, MAX_TEST_LINES, MAX_FILE_LINES = 19_545, 122, 21_931, 420
MAX_FUNCTION_LINES, MEDIAN_FUNCTION_LINES = 80, (8, 14)
MAX_SINGLE_IMPORTERS = 15
MAX_WORDING_SHARE = 0.1

FILES = sorted(PACKAGE.rglob("*.py"))
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))


# ---- imports go one way --------------------------------------------------------------------------------------------


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
    """The room of posehg that an import enters; None for a library and for the version, which everyone may know."""
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
    # A command may import torch inside its function, as it does with its whole workflow.
    if found.library != "torch" or room in TORCH_ROOMS or (room == "cli" and found.lazy):
        return None
    return f"{room} imports torch"


def package_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).parent.parts)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_imports_from_lower_rooms_only(file: Path) -> None:
    assert room_of(file) in HEIGHT, f"Give {room_of(file)} a line in ORDER and in CONTRIBUTING."
    found = list(imports(file.read_text(encoding="utf-8"), package_of(file)))
    wrong = [why for i in found if (why := order_violation(room_of(file), i.target))]
    wrong += [why for i in found if (why := torch_violation(room_of(file), i))]
    assert not wrong, f"{file}: " + "; ".join(wrong)


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
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from posehg.inference import Estimator",
        "def load():\n    from posehg.inference import Estimator",
        "import importlib\nimportlib.import_module('posehg.inference')",
    ],
)
def test_every_way_to_import_a_room_is_seen(source: str) -> None:
    targets = [found.target for found in imports(source, "posehg.datasets")]
    assert any(order_violation("datasets", target) for target in targets)


@pytest.mark.parametrize(
    ("room", "target", "allowed"),
    [
        ("poses", "posehg.images.read", False),  # a neighbour
        ("errors", "posehg.files.atomic", False),  # the line above
        ("training", "posehg.evaluation", False),
        ("geometry", "posehg", False),
        ("files", "posehg.errors.InputError", True),
        ("datasets", "posehg.datasets.dataset", True),
        ("errors", "posehg.__version__", True),
        ("errors", "numpy", True),
    ],
)
def test_only_imports_downwards_or_within_a_room_are_allowed(room: str, target: str, allowed: bool) -> None:
    assert (order_violation(room, target) is None) is allowed


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


@pytest.mark.parametrize(
    ("statements", "arguments"),
    [
        ("from posehg.cli.app import main; main()", ["--help"]),
        ("from posehg.cli.app import main; main()", ["--version"]),
    ],
)
def test_help_and_version_load_nothing_heavy(statements: str, arguments: list[str]) -> None:
    assert not modules_after(statements, *arguments) & HEAVY


def test_a_command_is_imported_without_the_others() -> None:
    commands = {f"posehg.cli.{file.stem}" for file in (ROOT / "posehg/cli").glob("*.py")} - {"posehg.cli.predict"}
    script = "import sys; from posehg.cli.commands import app; app(['predict', '--help'], standalone_mode=False)"
    run = subprocess.run(
        [sys.executable, "-c", f"{script}; print(*sys.modules)"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    loaded = commands & set(run.stdout.split())
    assert loaded <= {
        f"posehg.cli.{name}" for name in ("commands", "completion", "help", "hints", "options", "terminal")
    }
    assert "posehg.cli.commands" in loaded, run.stderr


# ---- budgets ---------------------------------------------------------------------------------------------------------


def lines(files: list[Path]) -> int:
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Every function of a file with its number of lines; a command's options, in its signature, do not count."""
    is_command = file.parent.name == "cli"
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0].lineno - 1 if is_command else node.lineno
            yield f"{file.relative_to(ROOT)}:{node.name}", (node.end_lineno or 0) - first + 1


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def single_importers() -> list[str]:
    """Modules that only one other module imports, members of families aside."""
    modules = {module_name(file) for file in FILES}
    importers: Counter[str] = Counter()
    for file in FILES:
        targets = {i.target for i in imports(file.read_text(encoding="utf-8"), package_of(file))}
        used = {t if t in modules else t.rpartition(".")[0] for t in targets} & modules
        importers.update(used - {module_name(file)})
    members = {module_name(f) for folder in FAMILIES for f in (PACKAGE / folder).glob("*.py")}
    return sorted(name for name, count in importers.items() if count == 1 and name not in members)


def asserts_wording(function: ast.FunctionDef) -> bool:
    """Whether a test compares with a sentence: a text of three words or more in an assert or in ``match=``."""
    places: list[ast.AST] = [node for node in ast.walk(function) if isinstance(node, ast.Assert)]
    places += [node.value for node in ast.walk(function) if isinstance(node, ast.keyword) and node.arg == "match"]
    texts = [part for place in places for part in ast.walk(place) if isinstance(part, ast.Constant)]
    return any(isinstance(text.value, str) and len(text.value.split()) >= 3 for text in texts)


def count_wording() -> tuple[int, int]:
    """How many test functions compare with a sentence, of how many."""
    tests = [
        node
        for file in TEST_FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    return sum(map(asserts_wording, tests)), len(tests)


def test_the_package_stays_small() -> None:
    assert lines(FILES) <= MAX_LINES
    assert len(FILES) <= MAX_FILES
    assert not [str(file) for file in FILES if lines([file]) > MAX_FILE_LINES]


def test_the_tests_stay_small() -> None:
    assert lines(TEST_FILES) <= MAX_TEST_LINES
    wording, count = count_wording()
    assert wording <= MAX_WORDING_SHARE * count


def test_functions_can_be_read_in_one_go() -> None:
    lengths = dict(entry for file in FILES for entry in functions(file))
    assert not {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES}
    assert MEDIAN_FUNCTION_LINES[0] <= statistics.median(lengths.values()) <= MEDIAN_FUNCTION_LINES[1]


def test_a_module_serves_more_than_one_other() -> None:
    assert len(single_importers()) <= MAX_SINGLE_IMPORTERS, single_importers()


def report() -> None:
    """The figures that the budgets above bound."""
    lengths = sorted((length for file in FILES for _, length in functions(file)), reverse=True)
    wording, count = count_wording()
    print(f"posehg/  {lines(FILES):,} lines in {len(FILES)} files; tests/ {lines(TEST_FILES):,} lines")
    for folder in sorted({file.relative_to(PACKAGE).parts[0] for file in FILES if file.parent != PACKAGE}):
        members = sorted((PACKAGE / folder).rglob("*.py"))
        print(f"  {folder:<12} {lines(members):>6,} lines in {len(members):>2} files")
    top = [file for file in FILES if file.parent == PACKAGE]
    print(f"  {'(top level)':<12} {lines(top):>6,} lines in {len(top):>2} files")
    longest = max(FILES, key=lambda file: lines([file]))
    print(f"longest file: {longest.relative_to(ROOT)}, {lines([longest])} lines")
    print(f"functions: median {statistics.median(lengths):g} lines, longest {lengths[0]}, {len(lengths):,} in all")
    print(f"modules with a single importer: {len(single_importers())}: {', '.join(single_importers())}")
    print(f"tests that compare with a sentence: {wording} of {count:,}")


if __name__ == "__main__":
    report()
