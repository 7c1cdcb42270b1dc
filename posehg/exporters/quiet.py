"""Libraries that export say a good deal that is not for the user."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from posehg.inference.engines.silence import silence


@contextmanager
def quietly() -> Iterator[None]:
    """What libraries warn of, log and print in the block is not shown; what they raise is."""
    with silence(), warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
