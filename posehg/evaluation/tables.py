"""What ``posehg eval`` prints: a heading, the tables of each metric, and the comparison of two reports."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from posehg.datasets import TESTED, Dataset
from posehg.evaluation import score
from posehg.evaluation.report import Comparison
from posehg.evaluation.score import Figure, Metric, Scores

_WIDTH = 80


def heading(data: Dataset, about: Mapping[str, Any], scores: Scores | None = None) -> str:
    """What was evaluated, and what to know about the figures. about: how the predictions were made."""
    official = " (the official test split)" if data.name in TESTED and data.split == "val" else ""
    lines = [f"{data.name} {data.split}{official}: {len(data):,} persons; {made(about)}", data.note]
    if scores is not None and scores.joints:
        absent = [joint.replace("_", " ") for joint in data.skeleton.joints if joint not in scores.joints]
        how = "count as wrong in OKS" if scores.oks is not None else "are left out"
        lines += [f"These joints are not predicted and {how}: {', '.join(absent)}."] if absent else []
    if scores is not None and scores.lost:
        lines.append(f"Nothing is predicted for {scores.lost:,} of {len(data):,} persons: they count as not found.")
    return "\n".join(filter(None, lines)) + "\n"


def made(about: Mapping[str, Any]) -> str:
    """How predictions were made, as far as it is known: model M, with flip test, subpixel decoding."""
    parts = [f"predictions {about['file']}"] if "file" in about else []
    parts += [f"model {about['model']}"] if "model" in about else []
    parts += ["with flip test" if about["flip"] else "without flip test"] if "flip" in about else []
    parts += [f"{about['decoder']} decoding"] if "decoder" in about else []
    parts += [f"computed in {about['precision']}"] if about.get("precision", "fp32") != "fp32" else []
    if "people_matched" in about:
        parts.append(f"{about['people_matched']:,} of {about['people']:,} people found match annotated persons")
    if about.get("images_left_out"):
        parts.append(f"{about['images_left_out']:,} images are not in the data set")
    return ", ".join(parts)


def printed(scores: Scores, data: Dataset, joints: bool) -> Iterator[RenderableType]:
    """Everything that is printed, in order. joints: also a table of all joints at each threshold."""
    for metric in scores.metrics:
        own = [table for table in scores.tables if table.metric == metric.measure.name]
        yield _caption(metric, own[0], len(data))
        yield from _groups(own)
        yield _means(own)
        yield ""
        for table in own if joints else ():
            if table.threshold is not None:
                yield _joints(table)
                yield ""
    for breakdown in scores.breakdowns:
        title = f"{breakdown.title}, {breakdown.mean.removeprefix('mean of ')}"
        for name, parts in ((title, breakdown.postures), ("by joint score", breakdown.scores)):
            rows = _table(name, percent="percent", labels="labels")
            for part in parts:
                rows.add_row(part.name, percent(part.percent), f"{part.labels:,}")
            yield from (rows, "") if parts else ()
    if scores.oks is not None:
        yield from _oks(scores.oks, data, of_boxes=bool(scores.joints))


def _caption(metric: Metric, table: score.Table, persons: int) -> str:
    measure, skeleton = metric.measure, metric.skeleton
    unit = measure.unit.format(torso=" to ".join(map(_plain, skeleton.torso)), skeleton=_plain(skeleton.name))
    lines = [
        f"{measure.short}@T{measure.of}: found within T x {unit}.",
        f"{metric.persons:,} of {persons:,} persons can be measured.",
        f"AUC: the area under the curve over thresholds from 0 to {measure.limit:g}, in {measure.steps} steps.",
    ]
    for group in table.groups:
        if group.name == "head" and len(group.joints) > 1:
            lines.append(f"Head: the mean of {' and '.join(map(_plain, group.joints))}.")
    return "\n".join([*lines, f"Mean: {table.means[0].name.removeprefix('mean ')}.\n"])


def _groups(own: list[score.Table]) -> Iterator[RenderableType]:
    """A line for each threshold, a column for each group with labels, in as many tables as fit into 80 columns.

    The main mean is in the first.
    """
    names = [_plain(figure.name).capitalize() for figure in own[0].groups]
    room = _WIDTH - max(len(table.title) for table in own) - _column("Mean")
    blocks: list[list[int]] = [[]]
    for number in (number for number, figure in enumerate(own[0].groups) if figure.labels):
        if blocks[-1] and sum(_column(names[n]) for n in [*blocks[-1], number]) > room:
            blocks.append([])
        blocks[-1].append(number)
    for block in blocks:
        is_first = block is blocks[0]
        rows = _table("", **{str(n): names[n] for n in block}, **({"mean": "Mean"} if is_first else {}))
        for table in own:
            values = [table.groups[number].percent for number in block]
            rows.add_row(table.title, *map(percent, [*values, *([table.means[0].percent] if is_first else [])]))
        yield rows
        yield ""


def _column(name: str) -> int:
    """The width of a column: its name or 100.00, and two for the gap."""
    return max(len(name), len("100.00")) + 2


def _means(own: list[score.Table]) -> Table:
    rows = _table("", "mean of", percent="percent", interval="95 % interval")
    for table in own:
        for number, figure in enumerate(table.means):
            name = figure.name.removeprefix("mean of ")
            if figure.known_as and table.threshold is not None:
                name = f"{name} ({figure.known_as})"
            rows.add_row("" if number else table.title, name, percent(figure.percent), _interval(figure))
    return rows


def _joints(table: score.Table) -> Table:
    rows = _table(table.title, percent="percent", interval="95 % interval", labels="labels")
    for part in (table.groups, table.joints):
        for figure in part:
            name = _plain(figure.name)
            name = name.capitalize() if part is table.groups else name
            rows.add_row(name, percent(figure.percent), _interval(figure), f"{figure.labels:,}")
        rows.add_section()
    return rows


def _oks(scores: Mapping[str, float], data: Dataset, of_boxes: bool) -> Iterator[RenderableType]:
    yield "OKS: COCO's average precision (AP) and recall (AR), at thresholds."
    if of_boxes:
        yield "The annotated boxes were given, which scores higher than finding people."
    if without := sum(person.area is None for person in data.persons):
        yield f"{without:,} of {len(data):,} persons have no annotated area and are as large as their labelled joints"
        yield "extend: such an AP cannot be compared with others."
    yield ""
    values = {name: "-" if math.isnan(value) else f"{value:.3f}" for name, value in scores.items()}
    rows = _table("", all="0.50 to 0.95", at_50="0.50", at_75="0.75", medium="medium", large="large")
    for name in ("AP", "AR"):
        rows.add_row(name, *(values[f"{name}{kind}"] for kind in ("", "50", "75", "_medium", "_large")))
    yield rows
    yield ""


def differences(comparison: Comparison) -> Iterator[Table]:
    """A table of the groups and one of the means; the last column is the share of resamples in which B is better."""
    for first, part in ((comparison.title, comparison.groups), ("mean of", comparison.means)):
        rows = _table(first, a="A", b="B", difference="B - A", interval="95 % interval", better="B > A")
        for one in part:
            name = one.name.removeprefix("mean of ") if part is comparison.means else _plain(one.name).capitalize()
            bounds = f"{one.low:+.2f} to {one.high:+.2f}" if math.isfinite(one.low) else ""
            share = f"{100 * one.better:.1f} %" if math.isfinite(one.better) else ""
            change = f"{one.difference:+.2f}" if math.isfinite(one.difference) else "-"
            rows.add_row(name, percent(one.a), percent(one.b), change, bounds, share)
        yield rows


def _table(*names: str, **numbers: str) -> Table:
    """An empty table: columns of names, then columns of numbers, by their headings."""
    table = Table(*names, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading in numbers.values():
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _plain(name: str) -> str:
    """A joint's name as a cell, its brackets escaped."""
    return escape(name.replace("_", " "))


def percent(value: float) -> str:
    """Two decimals; a dash if the value is not known."""
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _interval(figure: Figure) -> str:
    return f"{figure.low:.2f} to {figure.high:.2f}" if math.isfinite(figure.low) else ""
