"""What posehg eval prints: a heading, the tables of each metric, and the comparison of two reports."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as Printed

    from posehg.datasets import Dataset
    from posehg.evaluation.compare import Comparison
    from posehg.evaluation.oks import OksScores
    from posehg.evaluation.scoring import Figure, Metric, Scores, Table

_WIDTH = 80
"""Of the narrowest terminal that tables are made for."""

_UNITS = {
    "PCKh": "the head's size (0.6 of its box's diagonal)",
    "PCK": "the torso's length ({torso})",
    "PCK of the box": "its longer side ({skeleton} has no torso)",
}


def heading(data: Dataset, what: str) -> str:
    """What was evaluated, in one line or two."""
    line = f"{data.name} {data.split}: {len(data):,} persons; {what}"
    return f"{line}\n{data.note}\n" if data.note else f"{line}\n"


def made(about: Mapping[str, Any]) -> str:
    """How predictions were made: model M, with flip test, subpixel decoding."""
    flip = "flip test not known"
    if "flip" in about:
        flip = "with flip test" if about["flip"] else "without flip test"
    parts = [f"model {about['model']}" if "model" in about else "model not known", flip]
    return ", ".join([*parts, f"{about['decoder']} decoding"] if "decoder" in about else parts)


def tables(scores: Scores, data: Dataset, joints: bool) -> Iterator[RenderableType]:
    """Everything that is printed, in order. joints: one table at each threshold with all joints, too."""
    for metric in scores.metrics:
        own = [table for table in scores.tables if table.metric == metric.name]
        yield _caption(metric, len(data))
        yield from _groups(own)
        yield _means(own)
        yield ""
        if joints:
            yield from (part for table in own if table.threshold is not None for part in (_joints(table), ""))
    if scores.oks is not None:
        yield from _oks(scores.oks, data, of_boxes=bool(scores.joints))


# ---- PCK and PCKh ------------------------------------------------------------------------------------------------


def _caption(metric: Metric, persons: int) -> str:
    from posehg.evaluation.scoring import RANGES

    torso = " to ".join(map(_plain, metric.skeleton.torso))
    limit, steps = RANGES[metric.name]
    unit = _UNITS[metric.name].format(torso=torso, skeleton=_plain(metric.skeleton.name))
    return (
        f"{metric.name}: found within that share of {unit}.\n"
        f"{metric.persons:,} of {persons:,} persons can be measured.\n"
        f"AUC: the area under the curve over thresholds from 0 to {limit:g}, in {steps} steps.\n"
    )


def _groups(own: Sequence[Table]) -> Iterator[RenderableType]:
    """One line a threshold, one column a group that counts, in as many tables as it takes; last the first mean."""
    counted = [number for number, figure in enumerate(own[0].groups) if figure.labels]
    names = [*(_short(own[0].groups[number].average.name) for number in counted), "Mean"]
    lines = [[*(table.groups[number].percent for number in counted), table.means[0].percent] for table in own]
    blocks = list(_fitting(names, _WIDTH - max(len(table.title) for table in own)))
    if len(blocks) > 1 and names[blocks[-1]] == ["Mean"]:  # it stands among the means too
        blocks.pop()
    for block in blocks:
        printed = _table("")
        for name in names[block]:
            printed.add_column(name, justify="right", no_wrap=True)
        for table, line in zip(own, lines, strict=True):
            printed.add_row(table.title, *map(percent, line[block]))
        yield printed
        yield ""


def _fitting(names: Sequence[str], width: int) -> Iterator[slice]:
    """Columns that fit beside each other, block by block; each is as wide as its name or 100.00, and two apart."""
    start = used = 0
    for number, name in enumerate(names):
        wide = max(len(name), len("100.00")) + 2
        if used + wide > width and number > start:
            yield slice(start, number)
            start, used = number, 0
        used += wide
    yield slice(start, len(names))


def _means(own: Sequence[Table]) -> Printed:
    table = _table("", "mean of", percent="percent", interval="95 % interval")
    for one in own:
        for number, figure in enumerate(one.means if one.threshold is not None else one.means[:1]):
            name = figure.average.name.removeprefix("mean of ")
            table.add_row("" if number else one.title, name, percent(figure.percent), interval(figure))
    return table


def _joints(own: Table) -> Printed:
    """All that is known at one threshold: groups, then joints."""
    table = _table(own.title, percent="percent", interval="95 % interval", labels="labels")
    for part in (own.groups, own.joints):
        for figure in part:
            name = _short(figure.average.name) if part is own.groups else _plain(figure.average.name)
            table.add_row(name, percent(figure.percent), interval(figure), f"{figure.labels:,}")
        table.add_section()
    return table


# ---- OKS ---------------------------------------------------------------------------------------------------------


def _oks(scores: OksScores, data: Dataset, of_boxes: bool) -> Iterator[RenderableType]:
    """of_boxes: whether the people were estimated in their annotated boxes."""
    yield "OKS: average precision (AP) and recall (AR) as COCO has them, at thresholds."
    if of_boxes:
        yield "Nobody was looked for: the annotated boxes were given, which scores higher."
    if all(person.area is None for person in data.persons):
        yield "No areas are annotated: each person is taken to be as large as its box."
    yield ""
    values = {name: "-" if math.isnan(value) else f"{value:.3f}" for name, value in asdict(scores).items()}
    table = _table("", all="0.50 to 0.95", at_50="0.50", at_75="0.75", medium="medium", large="large")
    for name in ("AP", "AR"):
        table.add_row(name, *(values[f"{name}{kind}"] for kind in ("", "50", "75", "_medium", "_large")))
    yield table
    yield ""


# ---- two reports -------------------------------------------------------------------------------------------------


def differences(comparison: Comparison) -> Printed:
    """One line a group and a mean; the last column says in how many resamples B is better."""
    table = _table(comparison.title, a="A", b="B", difference="B - A", interval="95 % interval", better="B > A")
    for part in (comparison.groups, comparison.means):
        for one in part:
            name = _short(one.name) if part is comparison.groups else one.name.partition(" (")[0]
            bounds = f"{one.low:+.2f} to {one.high:+.2f}" if math.isfinite(one.low) else ""
            share = f"{100 * one.better:.1f} %" if math.isfinite(one.better) else ""
            change = f"{one.difference:+.2f}" if math.isfinite(one.difference) else "-"
            table.add_row(name, percent(one.a), percent(one.b), change, bounds, share)
        table.add_section()
    return table


# ---- cells -------------------------------------------------------------------------------------------------------


def _table(*names: str, **numbers: str) -> Printed:
    """An empty table: columns of names, then columns of numbers, by their headings."""
    from rich import box
    from rich.table import Table

    table = Table(*names, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading in numbers.values():
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _plain(name: str) -> str:
    """A joint's name as a cell; brackets in it are no markup."""
    from rich.markup import escape

    return escape(name.replace("_", " "))


def _short(name: str) -> str:
    return _plain(name).capitalize()


def percent(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"


def interval(figure: Figure) -> str:
    return f"{figure.low:.2f} to {figure.high:.2f}" if math.isfinite(figure.low) else ""
