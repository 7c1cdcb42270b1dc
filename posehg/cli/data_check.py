"""posehg data check: what is wrong with a data set, or may be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posehg.cli import terminal
from posehg.errors import CheckFailed, NotAvailable, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from posehg.checking.findings import Case, Finding
    from posehg.datasets import Dataset

_OUT = "Output"
_EXAMPLES = 5
_NAMED = 4
"""Of a case with more subjects so many are named."""
_LEVELS = {"broken": "broken", "suspect": "suspect", "note": "for note"}


def check(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A data set's folder, or a .json or .csv file of your own.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Which it is, where DIR does not tell, or is not given.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder that holds the data set; of a file of your own, its pictures.",
            envvar="POSEHG_DATA",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="both (train and val), or one split of the set.")] = "both",
    examples: Annotated[
        int, typer.Option("-n", "--examples", metavar="NUMBER", min=0, help="Of each finding.", rich_help_panel=_OUT)
    ] = _EXAMPLES,
    everything: Annotated[bool, typer.Option("--all", help="All examples.", rich_help_panel=_OUT)] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Everything that was found, as JSON.", rich_help_panel=_OUT)
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the suspects on a sheet.", rich_help_panel=_OUT)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a sheet that exists.", rich_help_panel=_OUT)
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 4 for what is suspect, too.", rich_help_panel=_OUT)
    ] = False,
) -> None:
    """Look for what is wrong with a data set, or may be.

    Every picture is decoded in full. Missing and broken pictures and ids given twice end with exit code 4. Told as
    suspect: photos that the set has several times, within a split or in two; left and right swapped; boxes that
    cannot be; pictures of another size than annotated. LSPET's 9,500 small pictures take about half a minute.
    """
    from posehg import files, images
    from posehg.checking.check import check as find

    given = context.get_parameter_source("data")
    if folder is not None and folder.is_dir() and given is not None and given.name == "COMMANDLINE":
        raise UsageError("DIR and --data both say where the data set is.", "Leave out one of them.")
    if sheet is not None:
        if sheet.suffix.lower() not in images.SUFFIXES:
            raise UsageError(f"--sheet {sheet}: its name has to end in {' or '.join(images.SUFFIXES)}.")
        files.check(sheet, overwrite)
    began = time.monotonic()
    splits = _splits(*_named(folder, dataset, data), split)
    found = find(splits, terminal.progress)
    if as_json:
        _print_json(splits, found)
    else:
        _print(splits, found, None if everything else examples)
    pictures = len({person.image for part in splits for person in part.persons})
    terminal.note(f"Checked {_counted(pictures, 'picture')} in {time.monotonic() - began:.1f} seconds.")
    if sheet is not None:
        _draw(splits, found, sheet, overwrite)
    _judge(splits[0].name, found, strict)


# ---- which data set ------------------------------------------------------------------------------------------------


def _named(folder: Path | None, dataset: str | None, data: Path | None) -> tuple[str, Path | None]:
    """The set's name, and where it is looked for."""
    from posehg import datasets
    from posehg.checking.recognition import recognise

    if folder is None:
        if dataset is None:
            raise UsageError("Nothing is said to be checked.", "Give a folder, or --dataset NAME. See posehg data list")
        return _single(dataset), data
    if folder.is_dir():
        return _single(dataset) if dataset is not None else recognise(folder), folder
    if dataset is None and datasets.is_file(str(folder)):
        return _single(str(folder)), data
    hint = f"For a known set: posehg data check --dataset {folder}" if str(folder) in datasets.LOADERS else ""
    raise NotAvailable(f"There is no folder {folder}.", hint)


def _single(names: str) -> str:
    from posehg import datasets

    if [times for _, times in datasets.parse(names)] != [1]:
        raise UsageError(f"--dataset {names}: one data set is checked at a time.")
    if names in datasets.RENDERED:
        raise UsageError(f"{names} has no files that could be checked: it is made when it is asked for.")
    return names


def _splits(name: str, data: Path | None, split: str) -> list[Dataset]:
    """Those that are there of those that are asked for; of ``both`` it is told where one is not."""
    from posehg import datasets

    found, missing = [], []
    for one in ("train", "val") if split == "both" else (split,):
        try:
            found.append(datasets.load_one(name, data, one, need_images=False))
        except NotAvailable as error:
            missing.append((one, error))
    if not found:
        raise missing[0][1]
    for one, reason in missing:
        terminal.note(f"The split {one} of {name} is left out: {reason}")
    return found


# ---- what is printed -----------------------------------------------------------------------------------------------


def _print(splits: Sequence[Dataset], found: Sequence[Finding], examples: int | None) -> None:
    """examples: at most so many of each finding; None: all."""
    for part in splits:
        pictures = len({person.image for person in part.persons})
        print(f"{part.name} {part.split}: {_counted(len(part), 'person')} on {_counted(pictures, 'picture')}")
    print()
    terminal.show(_table(found))
    for finding in found:
        if finding.count:
            print(f"\n{finding.kind.title[0].upper()}{finding.kind.title[1:]}: {finding.count:,}")
            terminal.show(finding.kind.meaning)
            shown = finding.cases[:examples]
            for case in shown:
                print(f"  {_told(case)}")
            if len(shown) < len(finding.cases):
                print(f"  and {len(finding.cases) - len(shown):,} more (--all)")


def _table(found: Sequence[Finding]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table("", "", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("found", justify="right", no_wrap=True)
    for level, heading in _LEVELS.items():
        for number, finding in enumerate(one for one in found if one.kind.level == level):
            count = f"{finding.count:,}" if finding.known else "-"
            table.add_row("" if number else heading, finding.kind.title, count)
        table.add_section()
    return table


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _told(case: Case) -> str:
    """The split and who or what it is, then what is said of it."""
    first = {subject.split: subject for subject in reversed(case.subjects)}.values()  # of each split, to be seen
    subjects = [*reversed(first), *(subject for subject in case.subjects if subject not in first)]
    names = [f"{subject.split} {subject.person or subject.picture}" for subject in subjects]
    if len(first) == 1:
        names[1:] = [subject.person or subject.picture for subject in subjects[1:]]
    if len(names) > _NAMED:
        names[_NAMED - 1 :] = [f"{len(names) - _NAMED + 1} more"]
    return f"{', '.join(names)}: {case.detail}" if case.detail else ", ".join(names)


def _print_json(splits: Sequence[Dataset], found: Sequence[Finding]) -> None:
    import json

    content: dict[str, Any] = {
        "dataset": splits[0].name,
        "splits": {
            part.split: {"persons": len(part), "pictures": len({person.image for person in part.persons})}
            for part in splits
        },
        "findings": [_as_dict(finding) for finding in found],
    }
    print(json.dumps(content, indent=2))


def _as_dict(finding: Finding) -> dict[str, Any]:
    kind = finding.kind
    return {
        "name": kind.name,
        "level": kind.level,
        "meaning": kind.meaning,
        "count": finding.count if finding.known else None,
        "cases": [
            {
                "subjects": [
                    {"split": subject.split, "picture": subject.picture, "person": subject.person or None}
                    for subject in case.subjects
                ],
                "detail": case.detail,
            }
            for case in finding.cases
        ],
    }


def _draw(splits: Sequence[Dataset], found: Sequence[Finding], path: Path, overwrite: bool) -> None:
    from posehg import images
    from posehg.checking import sheet

    page = sheet.of_findings(splits, found)
    if page is None:
        terminal.note("There are no suspects to draw.")
        return
    images.write(path, page, overwrite)
    terminal.note(f"Wrote {path}.")


# ---- how it ends ---------------------------------------------------------------------------------------------------


def _judge(name: str, found: Sequence[Finding], strict: bool) -> None:
    """Raises CheckFailed where something is broken, or strict and something is suspect."""
    demanded = ("broken", "suspect") if strict else ("broken",)
    wrong = [finding for finding in found if finding.kind.level in demanded and finding.count]
    if wrong:
        raise CheckFailed(f"{name} did not pass: {', '.join(f'{one.kind.title} ({one.count:,})' for one in wrong)}.")
