"""What is known of a data set before it is there."""

from __future__ import annotations

from dataclasses import dataclass

from posehg.skeletons import Skeleton


@dataclass(frozen=True)
class About:
    """title: the set's full name. paper: who made it, where it was published. url: where it is to be had.

    terms: its licence, in a few words. layout: what lies where in its folder, as ``images/``.
    splits: name -> how many persons the whole set has in it, and who, as "2,958 persons, J. Tompson's".
    skeleton: of its joints. folder: that of the set whose files lie beside its own; of all others it is their name.
    A set that is rendered has neither url nor layout.
    """

    title: str
    paper: str
    url: str
    terms: str
    layout: tuple[str, ...]
    splits: dict[str, str]
    skeleton: Skeleton
    folder: str = ""

    def hint(self, name: str) -> str:
        """What to do where the set ``name`` is missing."""
        layout = ", ".join(self.layout)
        return f"Get {self.title} from {self.url} and lay it out in a folder {self.folder or name}: {layout}."
