"""An engine in a process of its own says what it says in this one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from posehg.errors import DeviceError, NotAvailable
from posehg.inference.apart import Apart, Crops
from posehg.inference.engines import Engine
from tests import stubs

B, H, W = 3, 64, 96


def made() -> Engine:
    return stubs.estimator(stubs.tiny(stubs.DOTS, (H, W))).engine


def in_another_process(engine: Engine, crops: Crops, seconds: float) -> float:
    return seconds + len(crops) + os.getpid()


def refused() -> Engine:
    raise NotAvailable("There is no such engine.", "Ask for another.")


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    with closing(Apart(made, in_another_process)) as engine:
        yield engine


def test_it_says_what_the_engine_says(apart: Apart) -> None:
    engine = made()
    crops = np.random.default_rng(5).integers(0, 256, (B, H, W, 3), dtype=np.uint8)
    np.testing.assert_allclose(apart(crops), engine(crops).numpy(), atol=1e-5)
    assert (apart.config, apart.device, apart.name) == (engine.config, engine.device, engine.name)


def test_its_time_is_taken_where_it_is(apart: Apart) -> None:
    crops = np.zeros((B, H, W, 3), dtype=np.uint8)
    process = apart.seconds(crops, 0.5) - 0.5 - B
    assert process != os.getpid()
    assert process == apart.seconds(crops, 2.0) - 2.0 - B


def test_what_keeps_it_from_being_made_is_raised_here() -> None:
    with pytest.raises(NotAvailable, match="no such engine") as caught:
        Apart(refused, in_another_process)
    assert caught.value.hint == "Ask for another."


def test_a_process_that_has_ended_is_told_and_closed() -> None:
    apart = Apart(made, in_another_process)
    os.kill(int(apart.seconds(np.zeros((B, H, W, 3), dtype=np.uint8), 0)) - B, signal.SIGTERM)
    with pytest.raises(DeviceError, match="has ended"):
        apart(np.zeros((B, H, W, 3), dtype=np.uint8))
    apart.close()
    apart.close()
