"""An exported network on disk: all of it, and proven to say what the network says, or nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from posehg.checkpoints import Checkpoint
from posehg.errors import UsageError
from posehg.exporters import parity
from posehg.exporters.exporter import Exporter
from posehg.exporters.form import Form
from posehg.exporters.parity import Parity
from posehg.files import atomic, make_folder, naming


def write(
    checkpoint: Checkpoint, exporter: Exporter, out: Path, form: Form, overwrite: bool = False, check: bool = True
) -> Parity | None:
    """Write a file, or a folder that is made where there is none; gives how alike it is, where that is checked.

    Raises UsageError for what is there and may not be overwritten, InputError for what cannot be written, CheckFailed
    for a file that says something else than the network, and what the exporter raises. Then nothing is written.
    """

    def export(file: Path) -> Parity | None:
        exporter.export(checkpoint, file, form)
        return parity.check(checkpoint, file, form) if check else None

    if not exporter.files:
        with atomic(out, overwrite) as temporary:
            return export(temporary)
    check_free(exporter, out, overwrite)
    with _folder(out, exporter.files) as temporary:
        return export(temporary / exporter.files[0])


def check_free(exporter: Exporter, out: Path, overwrite: bool) -> None:
    """Raises UsageError where a file of a folder exists and may not be overwritten."""
    for file in (out / name for name in exporter.files):
        if file.exists() and not overwrite:
            raise UsageError(f"{file} exists already.", "Give --overwrite to replace it, or another folder.")


@contextmanager
def _folder(out: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """A temporary folder in ``out``, whose files of these names take their places when the block ends without error."""
    made = not out.exists()
    make_folder(out)
    try:
        with naming(out), tempfile.TemporaryDirectory(prefix=".posehg-", dir=out) as folder:
            yield Path(folder)
            for name in names:
                with open(Path(folder, name), "rb+") as file:
                    os.fsync(file.fileno())
            for name in names:
                os.replace(Path(folder, name), out / name)
    except BaseException:
        if made:
            with suppress(OSError):  # of a folder that has one of the files already
                out.rmdir()
        raise
