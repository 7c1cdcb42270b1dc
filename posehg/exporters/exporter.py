"""What is to be known of a format before anything is written in it; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posehg.checkpoints import Checkpoint
    from posehg.exporters.form import Form, Precision


@dataclass(frozen=True)
class Exporter:
    """A format. name: also of the file of this folder that writes it.

    suffix: of its file; "" where it is a folder, which gets ``files``. precisions: that it can have. options: the
    fields of Form that it heeds, besides the precision and what belongs to that.
    """

    name: str
    suffix: str = ""
    files: tuple[str, ...] = ()
    precisions: tuple[Precision, ...] = ("fp32",)
    options: tuple[str, ...] = ()

    def export(self, checkpoint: Checkpoint, file: Path, form: Form) -> None:
        """Write to ``file``, which is not there yet. Raises UsageError or NotAvailable."""
        import_module(f"posehg.exporters.{self.name}").export(checkpoint, file, form)
