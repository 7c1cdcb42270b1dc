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
    from posehg.evaluation.breakdown import Breakdown
    from posehg.evaluation.compare import Comparison
    from posehg.evaluation.oks import OksScores
    from posehg.evaluation.scoring import Figure, Metric, Scores, Table

_MEAN = "Mean"


def heading(data: Dataset, what: str, scores: Scores | None = None) -> str:
    """What was evaluated, and what must be known of the figures."""
    from posehg.datasets import TESTED

    official = " (the official test split)" if data.name in TESTED and data.split == "val" else ""
    lines = [f"{data.name} {data.split}{official}: {len(data):,} persons; {what}", data.note]
    return "\n".join(filter(None, [*lines, *(_gaps(data, scores) if scores else ())])) + "\n"


def _gaps(data: Dataset, scores: Scores) -> Iterator[str]:
    absent = [joint.replace("_", " ") for joint in data.skeleton.joints if joint not in scores.joints]
    if absent and scores.joints:
        how = "OKS counts them as wrong" if scores.oks is not None else "they are left out"
        yield f"The predictions do not have these joints of the data set, and {how}: {', '.join(absent)}."
    if scores.lost:
        yield f"For {scores.lost:,} of {len(data):,} persons nothing is predicted: they count as not found."


def made(about: Mapping[str, Any]) -> str:
    """How predictions were made, as far as it is known: model M, with flip test, subpixel decoding.

    Of people whom predict found also how many are taken for persons of the set, by boxes, and what is left out.
    """
    parts = [f"model {about['model']}"] if "model" in about else []
    if "flip" in about:
        parts.append("with flip test" if about["flip"] else "without flip test")
    if "decoder" in about:
        parts.append(f"{about['decoder']} decoding")
    if about.get("precision", "fp32") != "fp32":
        parts.append(f"computed in {about['precision']}")
    if "people_matched" in about:
        parts.append(f"{about['people_matched']:,} of {about['people']:,} people found are taken for annotated persons")
    if about.get("pictures_left_out"):
        parts.append(f"pictures left out that the set does not have: {about['pictures_left_out']:,}")
    return ", ".join(parts)


def tables(scores: Scores, data: Dataset, joints: bool) -> Iterator[RenderableType]:
    """Everything that is printed, in order. joints: one table at each threshold with all joints, too."""
    for metric in scores.metrics:
        own = [table for table in scores.tables if table.measure is metric.measure]
        yield _caption(metric, own[0], len(data))
        yield from _groups(own)
        yield _means(own)
        yield ""
        if joints:
            yield from (part for table in own if table.threshold is not None for part in (_joints(table), ""))
    for breakdown in scores.breakdowns:
        yield from _taken_apart(breakdown)
    if scores.oks is not None:
        yield from _oks(scores.oks, data, of_boxes=bool(scores.joints))


# ---- PCK and PCKh ------------------------------------------------------------------------------------------------


def _caption(metric: Metric, table: Table, persons: int) -> str:
    measure, skeleton = metric.measure, metric.skeleton
    unit = measure.unit.format(torso=" to ".join(map(_plain, skeleton.torso)), skeleton=_plain(skeleton.name))
    lines = [
        f"{measure.short}@T{measure.of}: found within T x {unit}.",
        f"{metric.persons:,} of {persons:,} persons can be measured.",
        f"AUC: the area under the curve over thresholds from 0 to {measure.limit:g}, in {measure.steps} steps.",
    ]
    for group in (figure.average for figure in table.groups):
        if group.name == "head" and len(group.channels) > 1:
            lines.append(f"Head: the mean of {' and '.join(_plain(skeleton.joints[c]) for c in group.channels)}.")
    return "\n".join([*lines, f"Mean: {table.means[0].average.name.removeprefix('mean ')}.\n"])


def _groups(own: Sequence[Table]) -> Iterator[RenderableType]:
    """One line a threshold, one column a group that counts and the first mean, in as many tables as it takes.

    The first has the mean, and the papers' groups before others.
    """
    from rich.console import Console

    counted = [number for number, figure in enumerate(own[0].groups) if figure.labels]
    names = [_short(own[0].groups[number].average.name) for number in counted]
    room = Console().width - max(len(table.title) for table in own) - _column(_MEAN)
    for block in _fitting(names, room):
        printed = _table("")
        mean = [_MEAN] * (block.start == 0)
        for name in [*names[block], *mean]:
            printed.add_column(name, justify="right", no_wrap=True)
        for table in own:
            values = [table.groups[number].percent for number in counted[block]]
            printed.add_row(table.title, *map(percent, [*values, *(table.means[0].percent for _ in mean)]))
        yield printed
        yield ""


def _column(name: str) -> int:
    """How wide it is: as its name or 100.00, and two apart from the next."""
    return max(len(name), len("100.00")) + 2


def _fitting(names: Sequence[str], width: int) -> Iterator[slice]:
    """Columns that fit beside each other, block by block."""
    start = used = 0
    for number, name in enumerate(names):
        if used + _column(name) > width and number > start:
            yield slice(start, number)
            start, used = number, 0
        used += _column(name)
    yield slice(start, len(names))


def _means(own: Sequence[Table]) -> Printed:
    table = _table("", "mean of", percent="percent", interval="95 % interval")
    for one in own:
        for number, figure in enumerate(one.means):
            average = figure.average
            name = average.name.removeprefix("mean of ")
            if average.known_as and one.threshold is not None:
                name = f"{name} ({average.known_as})"
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


def _taken_apart(breakdown: Breakdown) -> Iterator[RenderableType]:
    mean = breakdown.mean.removeprefix("mean of ")
    for heading, parts in ((f"{breakdown.title}, {mean}", breakdown.postures), ("joints of a score", breakdown.scores)):
        table = _table(heading, percent="percent", labels="labels")
        for part in parts:
            table.add_row(part.name, percent(part.percent), f"{part.labels:,}")
        if parts:
            yield table
            yield ""


# ---- OKS ---------------------------------------------------------------------------------------------------------


def _oks(scores: OksScores, data: Dataset, of_boxes: bool) -> Iterator[RenderableType]:
    """of_boxes: whether the people were estimated in their annotated boxes."""
    yield "OKS: average precision (AP) and recall (AR) as COCO has them, at thresholds."
    if of_boxes:
        yield "Nobody was looked for: the annotated boxes were given, which scores higher."
    if without := sum(person.area is None for person in data.persons):
        yield (
            f"{without:,} of {len(data):,} persons have no annotated area, and are as large as their labelled joints\n"
            "extend: such AP compares with itself only."
        )
    yield ""
    values = {name: "-" if math.isnan(value) else f"{value:.3f}" for name, value in asdict(scores).items()}
    table = _table("", all="0.50 to 0.95", at_50="0.50", at_75="0.75", medium="medium", large="large")
    for name in ("AP", "AR"):
        table.add_row(name, *(values[f"{name}{kind}"] for kind in ("", "50", "75", "_medium", "_large")))
    yield table
    yield ""


# ---- two reports -------------------------------------------------------------------------------------------------


def differences(comparison: Comparison) -> Iterator[Printed]:
    """A table of the groups and one of the means; the last column says in how many resamples B is better."""
    for first, part in ((comparison.title, comparison.groups), ("mean of", comparison.means)):
        table = _table(first, a="A", b="B", difference="B - A", interval="95 % interval", better="B > A")
        for one in part:
            name = _short(one.name) if part is comparison.groups else one.name.removeprefix("mean of ")
            bounds = f"{one.low:+.2f} to {one.high:+.2f}" if math.isfinite(one.low) else ""
            share = f"{100 * one.better:.1f} %" if math.isfinite(one.better) else ""
            change = f"{one.difference:+.2f}" if math.isfinite(one.difference) else "-"
            table.add_row(name, percent(one.a), percent(one.b), change, bounds, share)
        yield table


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
