"""What ``posehg eval`` shows: tables, curves of PCK, and a contact sheet of the persons with the largest error."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from posehg import drawing, metrics
from posehg.datasets import TESTED, Dataset, crops
from posehg.evaluation import score
from posehg.evaluation.predictions import Predictions, names_of
from posehg.evaluation.report import Comparison
from posehg.evaluation.score import Metric, Scores
from posehg.files import atomic
from posehg.images import Image
from posehg.metrics import Array, Measure
from posehg.poses import Pose

CURVE_SUFFIXES = (".csv", ".png")

_WIDTH = 8  # columns of a table: the seven groups of the papers and their mean
_PADDING = 1.25  # the side of the crop shown, as a multiple of the person's box


def heading(data: Dataset, about: Mapping[str, Any], scores: Scores | None = None) -> str:
    """What was evaluated, and what to know about the figures. about: how the predictions were made."""
    official = " (the official test split)" if data.name in TESTED and data.split == "val" else ""
    lines = [f"{data.name} {data.split}{official}: {len(data):,} people; {made(about)}", data.note]
    if scores is not None and scores.joints:
        absent = [joint.replace("_", " ") for joint in data.skeleton.joints if joint not in scores.joints]
        how = "count as wrong in OKS" if scores.oks is not None else "are left out"
        lines += [f"These joints are not predicted and {how}: {', '.join(absent)}."] if absent else []
        lost = f"Nothing is predicted for {scores.lost:,} of {len(data):,} people: they count as wrong."
        lines += [lost] if scores.lost else []
    return "\n".join(filter(None, lines)) + "\n"


def made(about: Mapping[str, Any]) -> str:
    """How predictions were made, as far as it is known: model M, with flip test, subpixel decoding."""
    parts = [f"predictions {about['file']}"] if "file" in about else []
    parts += [f"model {about['model']}"] if "model" in about else []
    parts += ["with flip test" if about["flip"] else "without flip test"] if "flip" in about else []
    parts += [f"{about['decoder']} decoding"] if "decoder" in about else []
    parts += [f"computed in {about['precision']}"] if about.get("precision", "fp32") != "fp32" else []
    if "people_matched" in about:
        parts.append(f"{about['people_matched']:,} of {about['people']:,} detections match annotated people")
    return ", ".join(parts)


def tables(scores: Scores, data: Dataset, joints: bool) -> Iterator[RenderableType]:
    """What is printed below the heading, in order. joints: also a table of all joints at each threshold."""
    for metric in scores.metrics:
        measure, own = metric.measure, [table for table in scores.tables if table.metric == metric.measure.name]
        torso, skeleton = " to ".join(map(_plain, data.skeleton.torso)), _plain(data.skeleton.name)
        caption = [
            f"{measure.short}@T{measure.of}: correct within T x {measure.unit.format(torso=torso, skeleton=skeleton)}.",
            f"{metric.people:,} of {len(data):,} people can be measured.",
            f"AUC: the area under the curve over thresholds from 0 to {measure.limit:g}, in {measure.steps} steps.",
        ]
        caption += ["Head: the mean of upper neck and head top."] if metrics.is_lsp(data.skeleton) else []
        yield "\n".join(caption)
        yield from _groups(own)
        means = []
        for table in own:
            for number, figure in enumerate(table.means):
                users = f" ({figure.known_as})" if figure.known_as and table.threshold is not None else ""
                name = figure.name.removeprefix("mean of ") + users
                interval = _interval(figure.low, figure.high)
                means.append(("" if number else table.title, name, percent(figure.percent), interval))
        yield _table(["", "mean of"], ["percent", "95 % interval"], means)
        for table in own if joints else ():
            if table.threshold is not None:
                named = [(_plain(figure.name).capitalize(), figure) for figure in table.groups]
                named += [(_plain(figure.name), figure) for figure in table.joints]
                rows = [(name, percent(f.percent), _interval(f.low, f.high), f"{f.labels:,}") for name, f in named]
                yield _table([table.title], ["percent", "95 % interval", "labels"], rows)
    for breakdown in scores.breakdowns:
        title = f"{breakdown.title}, {breakdown.mean.removeprefix('mean of ')}"
        for name, figures in ((title, breakdown.postures), ("all joints, by joint score", breakdown.scores)):
            counted = [(figure.name, percent(figure.percent), f"{figure.labels:,}") for figure in figures]
            if counted:
                yield _table([name], ["percent", "labels"], counted)
    if scores.oks is not None:
        lines = ["OKS: COCO's average precision (AP) and recall (AR), at thresholds."]
        if not scores.searched:
            lines.append("The annotated boxes were given, which scores higher than finding people.")
        if without := sum(person.area is None for person in data.persons):
            lines.append(f"{without:,} of {len(data):,} people have no annotated area: the extent of their joints")
            lines.append("stands for it, so this AP cannot be compared with others.")
        yield "\n".join(lines)
        values = ["-" if math.isnan(value) else f"{value:.3f}" for value in scores.oks.values()]
        kinds = ["0.50 to 0.95", "0.50", "0.75", "medium", "large"]
        yield _table([""], kinds, [("AP", *values[:5]), ("AR", *values[5:])])


def _groups(own: Sequence[score.Table]) -> Iterator[Table]:
    """A line for each threshold and a column for each group with labels; the main mean is in the first table."""
    columns = [
        (_plain(figure.name).capitalize().replace(" ", "\n"), [percent(table.groups[number].percent) for table in own])
        for number, figure in enumerate(own[0].groups)
        if figure.labels
    ]
    columns.insert(_WIDTH - 1, ("Mean", [percent(table.means[0].percent) for table in own]))
    for start in range(0, len(columns), _WIDTH):
        block = columns[start : start + _WIDTH]
        rows = zip([table.title for table in own], *(cells for _, cells in block), strict=True)
        yield _table([""], [name for name, _ in block], rows)


def differences(comparison: Comparison) -> Iterator[Table]:
    """A table of the groups and one of the means."""
    title, groups, means = comparison
    for heading, part in ((title, groups), ("mean of", means)):
        rows = []
        for one in part:
            name = one.name.removeprefix("mean of ") if part is means else _plain(one.name).capitalize()
            change, interval = percent(one.b - one.a, "+"), _interval(one.low, one.high, "+")
            rows.append((name, percent(one.a), percent(one.b), change, interval))
        yield _table([heading], ["A", "B", "B - A", "95 % interval"], rows)


def _table(names: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Columns of names, then columns of numbers, by their headings."""
    table = Table(*names, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _plain(name: str) -> str:
    """A joint's name as a cell, its brackets escaped."""
    return escape(name.replace("_", " "))


def percent(value: float, sign: str = "") -> str:
    """Two decimals; a dash if the value is not known."""
    return f"{value:{sign}.2f}" if math.isfinite(value) else "-"


def _interval(low: float, high: float, sign: str = "") -> str:
    return f"{low:{sign}.2f} to {high:{sign}.2f}" if math.isfinite(low) else ""


def write_curves(path: Path, measured: Sequence[Metric], overwrite: bool = False) -> None:
    """The percentage of correct joints over the threshold, of every group and of the main mean.

    .csv: a line for each metric and threshold; .png: a panel for each metric. Raises as ``files.atomic`` does.
    """
    curves: list[tuple[Measure, dict[str, Array]]] = []
    for metric in measured:
        found = [metrics.sums(metrics.hits(metric.distances, threshold)) for threshold in metric.measure.curve]
        averages = {average.name: average for average in metrics.groups(metric.skeleton)}
        averages["mean"] = score.means(metric.measure, metric.skeleton, metric.joints)[0]
        lines = {name: np.array([average.of(one) for one in found]) for name, average in averages.items()}
        curves.append((metric.measure, {name: line for name, line in lines.items() if np.isfinite(line).any()}))
    with atomic(path, overwrite) as temporary:
        if path.suffix.lower() == ".csv":
            with open(temporary, "w", newline="", encoding="utf-8") as file:
                names = dict.fromkeys(name for _, lines in curves for name in lines)
                table = csv.DictWriter(file, ["metric", "threshold", *names])
                table.writeheader()
                for measure, lines in curves:
                    for threshold, *found in zip(measure.curve, *lines.values(), strict=True):
                        row = {"metric": measure.name, "threshold": f"{threshold:g}"}
                        table.writerow(row | {name: f"{one:.4f}" for name, one in zip(lines, found, strict=True)})
            return
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7 * len(curves), 5), layout="constrained")
        panels = figure.subplots(1, len(curves), squeeze=False)[0]
        for axes, (measure, lines) in zip(panels, curves, strict=True):
            for name, line in lines.items():
                axes.plot(measure.curve, line, label=name.replace("_", " "), linewidth=3 if name == "mean" else 1.5)
            label = {"title": measure.name, "xlabel": f"threshold in {measure.units}", "ylabel": "correct joints (%)"}
            axes.set(**label, ylim=(0, 100))
            axes.grid(alpha=0.3)
            axes.legend()
        figure.savefig(temporary, dpi=100)


def worst_sheet(data: Dataset, predictions: Predictions, metric: Metric, count: int) -> Image:
    """A contact sheet of at most ``count`` persons, the worst first: ground truth thin and green, prediction in colour.

    The worst have the largest mean distance over the joints that count and are predicted; each caption has the person,
    the image and that distance. Reads the images.
    """
    errors = np.ma.masked_invalid(metric.distances).mean(axis=1).filled(-1.0)
    order = [index for index in np.argsort(-errors, kind="stable") if errors[index] >= 0][:count]
    names, cells, captions = names_of(data), [], []
    for index in order:
        person, scores = data.persons[index], np.nan_to_num(predictions.scores[index])
        crop = person.box.square(_PADDING)
        pose = Pose(data.skeleton, predictions.keypoints[index], scores, crop, float(scores.mean()))
        cells.append(drawing.judged(data.read(person), pose, data.skeleton, person.keypoints, crops.CELL))
        captions.append(f"{names[index]}\n{person.image.name}\n{errors[index]:.2f} {metric.measure.units}")
    return crops.sheet(cells, captions)
