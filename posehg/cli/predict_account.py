"""The account of a run of posehg predict: what is told at its end, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import typer

from posehg.cli import terminal
from posehg.cli.predict_files import moving, named
from posehg.cli.predict_request import Request
from posehg.cli.predict_results import Outcome
from posehg.errors import CheckFailed, InputError
from posehg.io import Source
from posehg.io.boxes import BoxFile, Unmatched


@dataclass
class Account:
    """Of a run. failed: names of sources. empty: sources without anybody."""

    failed: list[str] = field(default_factory=list)
    empty: int = 0
    written: int = 0

    def add(self, outcome: Outcome) -> None:
        if outcome.failed and outcome.source not in self.failed[-1:]:
            self.failed.append(outcome.source)
        self.empty += outcome.empty
        self.written += outcome.written


def tell(request: Request, account: Account) -> None:
    """The run in a few lines."""
    sources, what = request.sources, named(request.sources)
    skipped = len(sources) - len(request.todo)
    if skipped and request.plan.folder is None:
        for path, _ in request.plan.run:
            terminal.note(f"{path} is there already and is left as it is; --overwrite makes it anew.")
    elif skipped:
        rest = "; there is nothing left to do." if not request.todo else "."
        terminal.note(f"{skipped:,} of {len(sources):,} {what} had been done before{rest}")
    if request.shown.quiet and account.written:
        terminal.note(f"Wrote {account.written:,} files into {request.plan.folder}.")
    if request.who.boxes and (unused := _unused(request.who.boxes, sources)).count:
        terminal.note(f"Boxes of {_listed(unused.names, unused.count)} were not used: no input is called so.")
    if account.empty and request.shown.quiet:
        terminal.note(f"Nobody was found in {account.empty:,} of {len(sources):,} {what}.")
    if account.failed and len(sources) > 1:
        failed = len(account.failed)
        others = "the others are done" if failed < len(sources) else "none is done"
        names = f": {_listed(account.failed, failed)}" if request.shown.quiet else ""
        terminal.note(f"{failed:,} of {len(sources):,} {what} failed; {others}{names}.")


def _unused(boxes: BoxFile, sources: Sequence[Source]) -> Unmatched:
    """What is of no input: not of those either that another process did, or an earlier run."""
    for source in sources:
        with suppress(InputError):  # of two that want the same boxes the one that is read has been told
            boxes.of(source, 0 if moving(source) else None)
    return boxes.unmatched()


def check(request: Request, account: Account) -> None:
    """Raises where not all went well; of several processes in all of them."""
    if account.failed:
        raise typer.Exit(InputError.exit_code)
    if account.empty and request.fail_if_empty:
        count, what = len(request.sources), named(request.sources)
        raise CheckFailed(f"Nobody was found in {account.empty:,} of {count:,} {what}.")


def _listed(names: Sequence[str], count: int, most: int = 10) -> str:
    """The first of ``count`` names."""
    shown = names[:most]
    return ", ".join(shown) + (f" and {count - len(shown):,} more" if count > len(shown) else "")
