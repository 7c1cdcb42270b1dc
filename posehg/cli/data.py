"""posehg data: list, check, view and crop data sets."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posehg.cli import options, terminal
from posehg.cli.help import Command, Group
from posehg.errors import CheckFailed, NotAvailable, UsageError

if TYPE_CHECKING:
    from posehg.datasets import Dataset
    from posehg.datasets.check import Case, Finding

_NAMED = 4
"""A case with more subjects names this many."""
_LEVELS = {"broken": "broken", "suspect": "suspect", "note": "to note"}

app = typer.Typer(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """List, check, view and crop data sets."""
    if context.invoked_subcommand is None:
        print(context.get_help())


# ---- list ----------------------------------------------------------------------------------------------------------


@app.command("list", cls=Command)
def list_sets(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show everything known of one data set.")] = None,
    data: options.Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything known as JSON.")] = False,
) -> None:
    """List the data sets that posehg can read.

    Shows where to get each, its terms and layout, and whether it is in --data, else $POSEHG_DATA, else ./data. A .json
    or .csv file of your own is a data set too.

        posehg data list
        posehg data list mpii
        posehg data list --data /data --json
    """
    from posehg import datasets
    from posehg.datasets import reading

    if name is not None and datasets.is_file(name):
        hint = f"Look into it: posehg data check {shlex.quote(name)}"
        raise UsageError(f"{name} is a data set of your own.", hint)
    if name is not None:
        datasets.check_name(name)
    home = reading.home(data)
    entries = []
    for one in datasets.LOADERS if name is None else [name]:
        info = datasets.info(one)
        folder = home / (info.folder or one)
        entries.append(
            {
                "name": one,
                "title": info.title,
                "paper": info.paper,
                "url": info.url or None,
                "terms": info.terms,
                "joints": list(info.skeleton.joints),
                "splits": info.splits,
                "layout": list(info.layout),
                "folder": str(folder) if one not in datasets.RENDERED and folder.is_dir() else None,
            }
        )
    if as_json:
        print(json.dumps(entries, indent=2))
    elif name is not None:
        _print_details(entries[0], home, datasets.info(name).folder or name)
    else:
        _print_list(entries)
        print(f"\nFound in {home}. Everything known of one: posehg data list NAME")


def _print_list(entries: Sequence[dict[str, Any]]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_lines=False)
    for heading in ("name", "joints", "persons", "terms", "found"):
        table.add_column(heading, no_wrap=heading != "terms")
    for entry in entries:
        persons = "\n".join(f"{split} {who.partition(' ')[0]}" for split, who in entry["splits"].items())
        found = "always" if entry["url"] is None else "-" if entry["folder"] is None else "folder"
        table.add_row(entry["name"], str(len(entry["joints"])), persons, entry["terms"], found)
    terminal.show(table)


def _print_details(entry: dict[str, Any], home: Path, folder: str) -> None:
    from rich.table import Table
    from rich.text import Text

    joints = ", ".join(joint.replace("_", " ") for joint in entry["joints"])
    lines = [(entry["name"], entry["title"]), ("paper", entry["paper"])]
    lines.append(("joints", f"{len(entry['joints'])}: {joints}"))
    lines += [("splits", f"{split}: {who}") for split, who in entry["splits"].items()]
    lines.append(("terms", entry["terms"]))
    if entry["url"] is None:
        lines.append(("found", "always: posehg renders it"))
    else:
        lines += [("from", entry["url"]), ("layout", f"a folder {folder} with")]
        lines += [("", f"- {part}") for part in entry["layout"]]
        lines.append(("found", entry["folder"] or f"not in {home}"))
    table = Table.grid(padding=(0, 2))
    last = ""
    for heading, text in lines:
        table.add_row("" if heading == last else heading, Text(text))  # not as markup: {train,val} or [..] may be in it
        last = heading
    terminal.show(table)


# ---- check ---------------------------------------------------------------------------------------------------------


@app.command(cls=Command)
def check(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A data set's folder, or a .json or .csv file of your own.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Which data set it is, if DIR does not tell or is not given.")
    ] = None,
    data: options.Data = None,
    split: Annotated[str, typer.Option(help="both (train and val), or one split.")] = "both",
    examples: Annotated[
        int, typer.Option("-n", "--examples", metavar="N", min=0, help="Examples a finding.", rich_help_panel="Output")
    ] = 5,
    everything: Annotated[bool, typer.Option("--all", help="Print all examples.", rich_help_panel="Output")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all findings as JSON.", rich_help_panel="Output")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the suspects on a sheet.", rich_help_panel="Output")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing sheet.", rich_help_panel="Output")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 4 for suspects, too.", rich_help_panel="Output")
    ] = False,
) -> None:
    """Find errors in a data set.

    Every image is decoded in full. Missing and broken images and repeated ids end with exit code 4. Reported as
    suspect: photos that the set has several times, in one split or in two; exchanged left and right; impossible boxes;
    images of another size than annotated. LSPET's 9,500 small images take about half a minute.

        posehg data check data/lspet
        posehg data check people.json --data photos --sheet suspects.png
        posehg data check --dataset mpii --split val --strict --json
    """
    from posehg import datasets, images
    from posehg.datasets.check import check as find
    from posehg.datasets.sheet import suspects

    given = context.get_parameter_source("data")
    if folder is not None and folder.is_dir() and given is not None and given.name == "COMMANDLINE":
        raise UsageError("DIR and --data both say where the data set is.", "Leave out one of them.")
    if sheet is not None:
        _check_target("--sheet", sheet, overwrite)
    began = time.monotonic()
    if folder is None:
        if dataset is None:
            raise UsageError("No data set is given.", "Give a folder, or --dataset NAME. See posehg data list")
        name, home = dataset, data
    elif folder.is_dir():
        name, home = dataset or datasets.recognise(folder), folder
    elif dataset is None and datasets.is_file(str(folder)):
        name, home = str(folder), data
    else:
        hint = f"For a known set: posehg data check --dataset {folder}" if str(folder) in datasets.LOADERS else ""
        raise NotAvailable(f"There is no folder {folder}.", hint)
    if [weight for _, weight in datasets.parse(name)] != [1]:
        raise UsageError(f"--dataset {name}: one data set is checked at a time.")
    if name in datasets.RENDERED:
        raise UsageError(f"{name} has no files to check: posehg renders it.")
    splits = _splits(name, home, split)
    found = find(splits, terminal.progress)
    counts = {part.split: (len(part), len({person.image for person in part.persons})) for part in splits}
    if as_json:
        _print_json(splits[0].name, counts, found)
    else:
        for part, (persons, count) in counts.items():
            print(f"{splits[0].name} {part}: {_counted(persons, 'person')} on {_counted(count, 'image')}")
        print()
        _print_findings(found, None if everything else examples)
    total = len({person.image for part in splits for person in part.persons})
    terminal.note(f"Checked {_counted(total, 'image')} in {time.monotonic() - began:.1f} seconds.")
    page = None if sheet is None else suspects(splits, found)
    if sheet is not None and page is None:
        terminal.note("There are no suspects to draw.")
    if sheet is not None and page is not None:
        images.write(sheet, page, overwrite)
        terminal.note(f"Wrote {sheet}.")
    demanded = ("broken", "suspect") if strict else ("broken",)
    wrong = [finding for finding in found if finding.kind.level in demanded and finding.count]
    if wrong:
        listed = ", ".join(f"{finding.kind.title} ({finding.count:,})" for finding in wrong)
        raise CheckFailed(f"{splits[0].name} did not pass: {listed}.")


def _splits(name: str, data: Path | None, split: str) -> list[Dataset]:
    """The split of a set, or train and val for ``both``; one of these may be missing, which is reported."""
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


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _print_findings(found: Sequence[Finding], examples: int | None) -> None:
    """A table of all counts, then at most ``examples`` of each finding; None prints all."""
    from rich import box
    from rich.table import Table

    table = Table("", "", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("found", justify="right", no_wrap=True)
    for level, heading in _LEVELS.items():
        for number, finding in enumerate(one for one in found if one.kind.level == level):
            count = f"{finding.count:,}" if finding.known else "-"
            table.add_row("" if number else heading, finding.kind.title, count)
        table.add_section()
    terminal.show(table)
    for finding in found:
        if finding.count:
            print(f"\n{finding.kind.title[0].upper()}{finding.kind.title[1:]}: {finding.count:,}")
            terminal.show(finding.kind.meaning)
            shown = finding.cases[:examples]
            for case in shown:
                print(f"  {_described(case)}")
            if len(shown) < len(finding.cases):
                print(f"  and {len(finding.cases) - len(shown):,} more (--all)")


def _described(case: Case) -> str:
    """The splits and subjects of a case, then its detail."""
    first = {subject.split: subject for subject in reversed(case.subjects)}.values()  # each split is to be seen
    subjects = [*reversed(first), *(subject for subject in case.subjects if subject not in first)]
    names = [f"{subject.split} {subject.person or subject.image}" for subject in subjects]
    if len(first) == 1:
        names[1:] = [subject.person or subject.image for subject in subjects[1:]]
    if len(names) > _NAMED:
        names[_NAMED - 1 :] = [f"{len(names) - _NAMED + 1} more"]
    return f"{', '.join(names)}: {case.detail}" if case.detail else ", ".join(names)


def _print_json(name: str, counts: dict[str, tuple[int, int]], found: Sequence[Finding]) -> None:
    findings = []
    for finding in found:
        cases = [
            {
                "subjects": [
                    {"split": subject.split, "image": subject.image, "person": subject.person or None}
                    for subject in case.subjects
                ],
                "detail": case.detail,
            }
            for case in finding.cases
        ]
        kind, count = finding.kind, finding.count if finding.known else None
        findings.append(
            {"name": kind.name, "level": kind.level, "meaning": kind.meaning, "count": count, "cases": cases}
        )
    splits = {split: {"persons": persons, "images": count} for split, (persons, count) in counts.items()}
    print(json.dumps({"dataset": name, "splits": splits, "findings": findings}, indent=2))


# ---- sheet ---------------------------------------------------------------------------------------------------------


@app.command(cls=Command)
def sheet(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Image to write: .png, .jpg or .webp.")],
    dataset: Annotated[str, typer.Option("--dataset", help="A name from posehg data list, or your own file.")] = "mpii",
    split: Annotated[str, typer.Option(help="train, val or another split of the set.")] = "train",
    data: options.Data = None,
    number: Annotated[
        int, typer.Option("-n", "--number", metavar="N", min=1, help="Number of persons.", rich_help_panel="Persons")
    ] = 24,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draw random persons, not evenly spread ones.", rich_help_panel="Persons")
    ] = None,
    ids: Annotated[
        str | None, typer.Option(metavar="ID,ID,..", help="Draw these persons.", rich_help_panel="Persons")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Draw annotated persons on a contact sheet.

    A person's right side is drawn in warm colours, the left in cool ones. Hidden joints are rings; joints without a
    label are not drawn. Each person's id stands below.

        posehg data sheet --dataset lspet --out sheet.png
        posehg data sheet --dataset people.json --split val -n 60 --seed 1 --out sheet.jpg
        posehg data sheet --dataset lspet --ids im00007,im00011 --out two.png
    """
    from posehg import datasets, images
    from posehg.datasets import sheet as sheets
    from posehg.datasets.dataset import evenly

    if ids is not None and seed is not None:
        raise UsageError("--ids and --seed both say who is drawn.", "Leave out one of them.")
    _check_target("--out", out, overwrite)
    found = datasets.load(dataset, data, split)
    if ids is not None:
        chosen = sheets.named(found, [id for part in ids.split(",") if (id := part.strip())])
    elif seed is not None:
        chosen = sheets.random(found, number, seed)
    else:
        chosen = evenly(len(found), number)
    images.write(out, sheets.sheet(found, chosen), overwrite)
    terminal.note(f"Wrote {out}: {len(chosen)} of {len(found):,} persons of {found.name} {found.split}.")


def _check_target(option: str, path: Path, overwrite: bool) -> None:
    """Raises, before the work, what writing the image would raise after it."""
    from posehg import files, images

    if path.suffix.lower() not in images.SUFFIXES:
        raise UsageError(f"{option} {path}: the name must end in {' or '.join(images.SUFFIXES)}.")
    files.check(path, overwrite)


# ---- crop ----------------------------------------------------------------------------------------------------------


@app.command(cls=Command)
def crop(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder to write to.")],
    dataset: Annotated[
        str, typer.Option("--dataset", help="Names from posehg data list or your own files, joined by +.")
    ] = "mpii",
    split: Annotated[str, typer.Option(help="both (train and val), or one split.")] = "both",
    data: options.Data = None,
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="Crop only N persons, evenly spread (0: all).")] = 0,
    size: Annotated[int, typer.Option(min=32, help="Longest side of a crop in pixels; none is enlarged.")] = 600,
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG quality.")] = 90,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
) -> None:
    """Crop every person once, so that training reads small images.

    Writes FOLDER/images and FOLDER/people-{split}.json in COCO's format, from which posehg and other tools train. A
    crop shows all that training with default options can show, and 600 pixels are as fine as 256-pixel views need.

        posehg data crop --dataset mpii+lspet --data /data --out crops
        posehg train --dataset 'crops/people-{split}.json'
        posehg data crop --dataset people.json --size 400 --quality 80 --out small
    """
    from posehg import datasets
    from posehg.datasets import crops

    names = list(dict.fromkeys(name for name, _ in datasets.parse(dataset)))  # weights are for training
    splits = ("train", "val") if split == "both" else (split,)
    for one in splits:
        target = out / f"people-{one}.json"
        if target.exists() and not overwrite:
            raise UsageError(f"{target} already exists.", "Give --overwrite to replace it, or another folder.")
    found = []
    for one in splits:
        try:
            found.append(datasets.load("+".join(names), data, one))
        except NotAvailable as error:
            if split != "both" or one != "val":
                raise
            terminal.note(f"The split val is left out: {error}")
    region = crops.training_region(size)
    for part in found:
        some = datasets.spread(part, limit) if limit else part
        path = crops.write(out, some, region, quality, overwrite, terminal.progress)
        terminal.note(f"Wrote {path}: {len(some):,} persons of {part.name} {part.split}.")
    use = shlex.join(["posehg", "train", "--dataset", str(out / "people-{split}.json")])
    terminal.note(f"Train on it: {use}")
