"""posehg data: list, check, view and crop data sets."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posehg import files
from posehg.cli import completion, options, terminal
from posehg.cli.help import Command, Data, Group
from posehg.errors import CheckFailed, NotAvailable, UsageError

if TYPE_CHECKING:
    from posehg.datasets import Dataset
    from posehg.datasets.check import Finding

_split = partial(typer.Option, metavar="SPLIT", autocompletion=completion.of_split)
Split = Annotated[str, _split(help="both (train and val), or one split.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
_named = partial(typer.Option, "--dataset", metavar="NAME", autocompletion=completion.of_datasets)
_about = partial(typer.Argument, metavar="NAME", autocompletion=completion.of_dataset)

app = typer.Typer(cls=Group, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """List, check, view and crop data sets.

        posehg data list mpii
        posehg data check data/mpii

    Each command explains its options: posehg data list --help
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list", cls=Command)
def list_sets(
    name: Annotated[str | None, _about(help="Show all details of this data set.")] = None,
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything known as JSON.")] = False,
) -> None:
    """List the data sets that posehg can read.

        posehg data list
        posehg data list mpii
        posehg data list --data /data --json

    Shows each set's joints, people and terms, and whether it is in --data, else $POSEHG_DATA, else ./data; of one set
    also where to get it and its layout. A .json, .csv or YOLO .yaml file of your own is a data set too.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from posehg import datasets

    entries: list[dict[str, Any]] = []
    for one in datasets.MODULES if name is None else [name]:
        known = dict(vars(datasets.info(one)))
        folder, joints = datasets.home(data) / known["folder"], known.pop("skeleton").joints
        there = str(folder) if one not in datasets.RENDERED and folder.is_dir() else None
        entries.append({"name": one, **known, "url": known["url"] or None, "folder": there, "joints": joints})
    if as_json:
        print(json.dumps(entries, indent=2))
    elif name is not None:
        table = Table.grid(padding=(0, 2))
        splits = [f"{split}: {who}" for split, who in entries[0]["splits"].items()]
        for heading, value in (entries[0] | {"splits": splits}).items():
            shown = value if isinstance(value, str | None) else (", " if heading == "joints" else "\n").join(value)
            table.add_row(heading, Text(shown or "-"))  # not as markup: {train,val} or [..] may be in it
        terminal.show(table)
    else:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for heading in ("name", "joints", "people", "terms", "found"):
            table.add_column(heading, no_wrap=heading != "terms")
        for entry in entries:
            people = "\n".join(f"{split} {who.partition(' ')[0]}" for split, who in entry["splits"].items())
            found = "always" if entry["url"] is None else "-" if entry["folder"] is None else "folder"
            table.add_row(entry["name"], str(len(entry["joints"])), people, entry["terms"], found)
        terminal.show(table)
        print(f"\nLooked in {datasets.home(data)}. Everything known of one: posehg data list NAME")


@app.command(cls=Command)
def check(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(metavar="PATH", help="A data set's folder, or your file.")] = None,
    dataset: Annotated[str | None, _named(help="Name of the data set, if PATH does not show it.")] = None,
    data: Data = None,
    split: Split = "both",
    examples: Annotated[int, typer.Option("-n", "--examples", metavar="N", min=0, help="Examples per finding.")] = 5,
    everything: Annotated[bool, typer.Option("--all", help="Print all examples.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all findings as JSON.")] = False,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the suspects on a sheet.")] = None,
    overwrite: Overwrite = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 4 for suspects, too.")] = False,
) -> None:
    """Find errors in a data set.

        posehg data check data/lspet
        posehg data check people.json --data photos --sheet suspects.png
        posehg data check dogs/data.yaml
        posehg data check --dataset mpii --split val --strict --json

    Every image is decoded in full. Malformed entries of the file, missing and broken images and repeated ids end with
    exit code 4. Reported as suspect: photos that the set has several times, in one split or in two; exchanged left and
    right, x and y, or corners and sizes; normalised coordinates; impossible boxes; images of another size than
    annotated. LSPET's 9,500 small images take about half a minute.
    """
    from posehg import datasets, images
    from posehg.datasets import check as checks

    given = context.get_parameter_source("data")
    if folder is not None and folder.is_dir() and given is not None and given.name == "COMMANDLINE":
        raise UsageError("PATH and --data cannot be used together.", "Both say where the data set is.")
    if sheet is not None:
        options.check_output("--sheet", sheet, images.SUFFIXES, overwrite)
    if folder is None and dataset is None:
        raise UsageError("No data set is given.", "Give a folder, or --dataset NAME. See posehg data list")
    if folder is None or (dataset is None and datasets.is_file(str(folder))):
        name, home = dataset or str(folder), data
    elif folder.is_dir():
        name, home = dataset or datasets.recognise(folder), folder
    else:
        named = str(folder) in datasets.MODULES
        hint = f"posehg data check --dataset {folder}" if named else "Known data sets: posehg data list"
        what = "is neither a folder nor a .json, .csv or .yaml file" if folder.exists() else "does not exist"
        raise NotAvailable(f"{folder} {what}.", hint)
    if name in datasets.RENDERED:
        raise UsageError(f"{name} has no files to check: posehg renders it.")
    splits = _loaded(split, lambda one: datasets.load_one(name, home, one, need_images=False, malformed=True))
    name = splits[0].name
    for note in dict.fromkeys(one.note for one in splits if one.note):
        terminal.note(note)
    found = checks.check(splits, terminal.progress)
    counts = {one.split: {"people": len(one), "images": len({who.image for who in one.persons})} for one in splits}
    with terminal.ignore_closed_stdout():  # a closed pipe loses neither the sheet nor the exit code
        if as_json:
            findings = [asdict(finding) | {"count": finding.count} for finding in found]
            print(json.dumps({"dataset": name, "splits": counts, "findings": findings}, indent=2))
        else:
            for one in splits:
                ignored = f"; {len(one.ignored):,} are ignored: crowds, or no joints" if len(one.ignored) else ""
                print(f"{name} {one.split}: {len(one):,} people on {counts[one.split]['images']:,} images{ignored}")
            _print_findings(found, None if everything else examples)
    if sheet is not None:
        page = checks.suspects_sheet(splits, found)
        if page is not None:
            images.write(sheet, page, overwrite)
        terminal.note("There are no suspects to draw." if page is None else f"Wrote {sheet}.")
    wrong = [finding for finding in found if finding.count and (strict or finding.level == "broken")]
    if wrong:
        listed = ", ".join(f"{finding.title} ({finding.count:,})" for finding in wrong)
        raise CheckFailed(f"{name} did not pass: {listed}.")


def _loaded(split: str, load: Callable[[str], Dataset]) -> list[Dataset]:
    """The split, or train and val for ``both``; one of these may be missing, which is reported."""
    found, missing = [], []
    for one in ("train", "val") if split == "both" else (split,):
        try:
            found.append(load(one))
        except NotAvailable as error:
            missing.append(error)
    if not found:
        raise missing[0]
    for reason in missing:
        terminal.note(f"One split is left out: {reason}")
    return found


def _print_findings(found: Sequence[Finding], examples: int | None) -> None:
    """All counts, then at most ``examples`` of each finding; None prints all."""
    print()
    for finding in found:
        print(f"{finding.level:<7} {'-' if finding.count is None else finding.count:>7}  {finding.title}")
    for finding in (finding for finding in found if finding.count):
        print(f"\n{finding.title.capitalize()}: {finding.count:,}. {finding.meaning}")
        for case in finding.cases[:examples]:
            names = ", ".join(f"{subject.split} {subject.person or subject.image}" for subject in case.subjects)
            print(f"  {': '.join(filter(None, (names, case.detail)))}")
        if finding.cases[:examples] != finding.cases:
            print("  ... (--all prints them all)")


@app.command(cls=Command)
def sheet(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Image to write: .png, .jpg or .webp.")],
    dataset: Annotated[str, _named(help="A name from posehg data list, or your own file.")] = "mpii",
    split: Annotated[str, _split(help="train, val or another split of the set.")] = "train",
    data: Data = None,
    number: Annotated[int, typer.Option("-n", "--number", metavar="N", min=1, help="Number of people.")] = 24,
    seed: Annotated[int | None, typer.Option(min=0, help="Draw random people, with this seed.")] = None,
    ids: Annotated[str | None, typer.Option(metavar="ID,ID,..", help="Draw these people.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw annotated people on a contact sheet.

        posehg data sheet --dataset lspet --out sheet.png
        posehg data sheet --dataset people.json -n 60 --seed 1 --out sheet.jpg
        posehg data sheet --dataset lspet --ids im00007,im00011 --out two.png

    A person's right side is drawn in warm colours, the left in cool ones. Hidden joints are rings; joints without a
    label are not drawn. Each person's id is written below.
    """
    import numpy as np

    from posehg import datasets, images
    from posehg.datasets import crops, synthetic
    from posehg.datasets.dataset import evenly

    if ids is not None and seed is not None:
        raise UsageError("--ids and --seed cannot be used together.", "Both say who is drawn.")
    options.check_output("--out", out, images.SUFFIXES, overwrite)
    found = datasets.load(dataset, data, split)
    chosen = evenly(len(found), number)
    if seed is not None:
        chosen = sorted(np.random.default_rng(seed).choice(len(found), len(chosen), replace=False).tolist())
    if ids is not None:
        every = synthetic.ids(split) if dataset in datasets.RENDERED else [person.id for person in found.persons]
        places = {id: index for index, id in enumerate(every)}
        named = [id for part in ids.split(",") if (id := part.strip())]
        unknown = [id for id in named if id not in places]
        if unknown:
            sentence = f"{found.name} {found.split} has no person {unknown[0]!r}."
            raise UsageError(sentence, f"Ids look like {next(iter(places))}.")
        chosen = [places[id] for id in named]
    captions = [found.persons[index].id for index in chosen]
    images.write(out, crops.sheet([crops.label_cell(found, index) for index in chosen], captions), overwrite)
    terminal.note(f"Wrote {out}: {len(chosen)} of {len(found):,} people of {found.name} {found.split}.")


@app.command(cls=Command)
def crop(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder to write to.")],
    dataset: Annotated[str, _named(help="Names from posehg data list or your own files, joined by +.")] = "mpii",
    split: Split = "both",
    data: Data = None,
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="Crop only N people, evenly spread (0: all).")] = 0,
    size: Annotated[int, typer.Option(min=32, help="Longest side of a crop in pixels; none is enlarged.")] = 600,
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG quality.")] = 90,
    overwrite: Overwrite = False,
) -> None:
    """Crop every person once, so that training reads small images.

        posehg data crop --dataset mpii+lspet --data /data --out crops
        posehg data crop --dataset lspet --split train --out lspet-crops
        posehg data crop --dataset people.json --size 400 --quality 80 --out small

    Writes FOLDER/images and FOLDER/people-{split}.json in COCO's format, from which posehg and other tools train. A
    crop covers everything that default augmentation can show; 600 pixels suffice for 256-pixel input.
    """
    from posehg import datasets
    from posehg.datasets import crops

    if out.is_file():
        raise UsageError(f"--out {out} is a file, not a folder.")
    for one in ("train", "val") if split == "both" else (split,):
        if (path := out / f"people-{one}.json").exists():
            files.check(path, overwrite)
    names = "+".join(dict.fromkeys(name for name, _ in datasets.parse(dataset)))  # weights are for training
    for part in _loaded(split, lambda one: datasets.load(names, data, one)):
        some = datasets.spread(part, limit) if limit else part
        terminal.note(f"Cropping {len(some):,} people of {part.name} {part.split}.")
        path = crops.write(out, some, size, quality, overwrite, terminal.progress)
        terminal.note(f"Wrote {path}.")
    written = path if split not in ("both", "train", "val") else out / "people-{split}.json"
    terminal.note(f"Train on it: {shlex.join(['posehg', 'train', '--dataset', str(written)])}")
