"""Figures as a reader takes them in, and in which form they are printed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from posehg.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Figures:
    """A table. headings: of the columns. rows: a name and what stands under the other headings."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def table(self) -> Table:
        from rich import box
        from rich.table import Table

        table = Table(self.headings[0], box=box.SIMPLE_HEAD)
        for heading in self.headings[1:]:
            table.add_column(heading, justify="right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> Iterator[str]:
        """Lines."""
        yield _line(self.headings)
        yield _line(["---", *["--:"] * (len(self.headings) - 1)])
        yield from map(_line, self.rows)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def number(value: float) -> str:
    """Three figures or more."""
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f}" if 0 < value < 100 else f"{value:,.0f}"


def check_seconds(seconds: float) -> None:
    if not 0 < seconds < math.inf:
        raise UsageError(f"seconds must be a number above 0, not {seconds}.")
