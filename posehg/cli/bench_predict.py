"""What posehg bench tells of prediction: as tables, as JSON, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from posehg.cli import bench_engines, terminal
from posehg.cli.bench_figures import Figures, number

if TYPE_CHECKING:
    from posehg.inference.comparing import Compared
    from posehg.inference.engines import Engine
    from posehg.inference.machine import Spread
    from posehg.inference.speed_figures import Choice, Finding, Setting, Speed

_PARTS = {
    "read": "read: decode the picture's file",
    "warp": "warp: cut the crop out",
    "network": "network",
    "decode": "decode: heatmaps to joints",
    "draw": "draw: the skeleton on the picture",
    "write": "write: encode the file",
}
_WAYS = {"whole": "--whole", "one": "--people one", "all": "--people all"}


def measured(engine: Engine, choice: Choice, photo: Path | None, seconds: float) -> Speed:
    from posehg.inference import speed

    with TemporaryDirectory(prefix="posehg-") as folder:
        return speed.measure(engine, choice, photo, Path(folder), seconds, terminal.note)


def line(result: Speed, others: list[Compared], photo: Path | None, seconds: float) -> str:
    """Strict JSON in one line; times in milliseconds, but of whole pictures in seconds."""
    from posehg.io.writers.json import line as strict

    engines = bench_engines.record(others, result.limit_of_crop)
    return strict({**_record(result, photo, seconds), "engines": engines})


def _record(result: Speed, photo: Path | None, seconds: float) -> dict[str, Any]:
    return {
        "setting": asdict(result.setting),
        "photo": None if photo is None else str(photo),
        "seconds": seconds,
        "rounds": result.rounds,
        "milliseconds": {
            name: {"median": 1000 * times.median, "p95": 1000 * times.p95}
            for name, times in (*result.parts.items(), ("together", result.together))
        },
        "share": {name: result.share(name) for name in result.parts},
        "network_flop": result.flop,
        "flop_per_second": result.products,
        "network_limit_milliseconds": 1000 * result.limit,
        "network_to_limit": result.network_to_limit,
        "picture": {
            finding.way: {
                "windows": finding.windows,
                "crops": finding.crops,
                "people": finding.people,
                "finding_seconds": finding.seconds,
                "seconds": result.picture(finding),
                "finding_share": finding.seconds / result.picture(finding),
            }
            for finding in result.findings
        },
        "folder_pictures_per_second": {
            name: asdict(getattr(result.folder, name)) for name in ("in_turn", "overlapped", "estimator")
        },
        "overlapped_to_estimator": asdict(result.folder.bound),
    }


def show(result: Speed, others: list[Compared], photo: Path | None) -> None:
    """Lines and tables on stdout."""
    for text in _described(result.setting, photo):
        print(text)
    for figures in _tables(result, others, _PARTS):
        terminal.show(figures.table())


def markdown(result: Speed, others: list[Compared]) -> Iterator[str]:
    """Lines: one that names machine and network, and the tables."""
    yield _in_one_sentence(result.setting)
    for figures in _tables(result, others, {name: name for name in _PARTS}):
        yield ""
        yield from figures.markdown()


def _tables(result: Speed, others: list[Compared], parts: dict[str, str]) -> tuple[Figures, ...]:
    engines = (bench_engines.figures(others, result.limit_of_crop),) if others else ()
    return _parts(result, parts), _limit(result), _pictures(result), _folder(result), *engines


def _described(setting: Setting, photo: Path | None) -> list[str]:
    rows, columns = setting.picture
    return [
        f"picture  {'rendered' if photo is None else photo}, {columns} x {rows} pixels",
        f"network  {_network(setting)}",
        f"run      {setting.decoder} decoder; batches of {setting.batch} where there are several crops",
        f"device   {_machine(setting)}",
    ]


def _in_one_sentence(setting: Setting) -> str:
    rows, columns = setting.picture
    return f"{_machine(setting)}. Model {_network(setting)}. A picture of {columns} x {rows} pixels."


def _network(setting: Setting) -> str:
    rows, columns = setting.crop
    mirrored = "averaged with the mirrored crop" if setting.flip else "without the mirrored crop"
    return f"{setting.model}, {setting.parameters:,} parameters; crops of {columns} x {rows} pixels, {mirrored}"


def _machine(setting: Setting) -> str:
    threads = f"{setting.threads} CPU thread{'s' if setting.threads > 1 else ''}"
    return f"{setting.device} ({setting.hardware}), {threads}, {setting.precision}; {setting.engine}"


def _parts(result: Speed, names: dict[str, str]) -> Figures:
    rows = [
        (names[name], _ms(times.median), _ms(times.p95), _percent(result.share(name)))
        for name, times in result.parts.items()
    ]
    together = ("together", _ms(result.together.median), _ms(result.together.p95), _percent(1))
    return Figures(("one crop of one picture", "ms, median", "95th percentile", "share, %"), (*rows, together))


def _limit(result: Speed) -> Figures:
    rows = (
        ("arithmetic of the network, GFLOP", number(result.flop / 1e9)),
        (f"matrix products here, GFLOP/s in {result.setting.precision}", number(result.products / 1e9)),
        ("so the network needs at least, ms", _ms(result.limit)),
        ("network / limit", number(result.network_to_limit)),
    )
    return Figures(("limit", ""), rows)


def _pictures(result: Speed) -> Figures:
    headings = ("one picture, from file to file", "windows", "crops", "people", "seconds", "finding, %")
    return Figures(headings, [_picture(result, finding) for finding in result.findings])


def _picture(result: Speed, finding: Finding) -> tuple[str, ...]:
    seconds = result.picture(finding)
    counts = (str(count) for count in (finding.windows, finding.crops, finding.people))
    return (_WAYS[finding.way], *counts, number(seconds), _percent(finding.seconds / seconds))


def _folder(result: Speed) -> Figures:
    folder = result.folder
    rows = (
        ("one part after the other", *_spread(folder.in_turn)),
        ("as predict: read ahead, written behind", *_spread(folder.overlapped)),
        ("warp, network and decode alone", *_spread(folder.estimator)),
        ("predict / alone, % (100: bounded by the network)", *_spread(folder.bound, 100)),
    )
    return Figures(("a folder with --whole, pictures a second", "median", "lowest", "highest"), rows)


def _spread(spread: Spread, factor: float = 1.0) -> tuple[str, str, str]:
    return number(factor * spread.median), number(factor * spread.lowest), number(factor * spread.highest)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _ms(seconds: float) -> str:
    return number(1000 * seconds)
