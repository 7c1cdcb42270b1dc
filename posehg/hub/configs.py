"""The config of a model of posehg's own format, from its file's header or from beside it; without torch."""

from __future__ import annotations

from pathlib import Path

from posehg.config import ModelConfig
from posehg.errors import NotAvailable, PosehgError, printable, reason
from posehg.hub import header
from posehg.hub.files import CONFIG, WEIGHTS, weights_file


def read(model: Path) -> ModelConfig:
    """Of a folder or file. Raises NotAvailable, naming the file, where it has none that can be used."""
    file = weights_file(model)
    return of(file, header.read(file).config)


def of(file: Path, text: str | None) -> ModelConfig:
    """The same, where ``text`` is what the header of ``file`` has as its config."""
    beside = file.with_name(CONFIG)
    try:
        text = text if text is not None else beside.read_text(encoding="utf-8")
    except OSError:
        raise NotAvailable(f"{file} has no posehg config in its header and no {CONFIG} beside it.") from None
    except UnicodeDecodeError:
        raise NotAvailable(f"{beside} is no text in UTF-8.") from None
    try:
        config = ModelConfig.from_json(text)
    except PosehgError as error:
        raise NotAvailable(
            f"The config of {file} cannot be used: {printable(str(error))}", printable(error.hint)
        ) from None
    except KeyError as error:
        raise NotAvailable(f"The config of {file} is not one of posehg's: it lacks {error}.") from None
    except (ValueError, TypeError, AttributeError, RecursionError, ArithmeticError) as error:
        raise NotAvailable(f"The config of {file} is not one of posehg's ({reason(error)}).") from None
    if file.name == WEIGHTS and beside.is_file() and beside.read_text("utf-8", "replace") != text:
        raise NotAvailable(f"{beside} and the header of {file} differ.", "One of them was changed: export it again.")
    return config
