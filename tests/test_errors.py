from __future__ import annotations

import pytest

from posehg import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.PosehgError, 1),
        (errors.UsageError, 2),
        (errors.InputError, 3),
        (errors.CheckFailed, 4),
        (errors.NotAvailable, 5),
        (errors.DeviceError, 6),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: type[errors.PosehgError], code: int) -> None:
    assert error.exit_code == code
    assert issubclass(error, errors.PosehgError)


def test_an_error_says_its_sentence_and_keeps_its_hint_apart() -> None:
    error = errors.InputError("a.jpg is empty.", "Take another.")
    assert (str(error), error.hint) == ("a.jpg is empty.", "Take another.")


def test_a_hint_may_be_missing() -> None:
    assert errors.UsageError("No.").hint == ""
