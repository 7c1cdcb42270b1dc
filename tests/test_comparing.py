"""Engines side by side: which is faster, and whether they find the same joints."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

from posehg.geometry import Box
from posehg.inference import comparing
from posehg.inference.comparing import AsPorts, compare
from posehg.inference.engines import Engine, Run, pytorch
from posehg.inference.estimator import View
from tests import stubs
from tests.test_engines import crops, trained

PHOTO = stubs.dots_photo(np.array([[41.0, 17], [23, 37], [83, 43]]), (64, 96))
VIEW = View(PHOTO, Box(0, 0, 96, 64))


class Slow(Engine):
    """Sees dots, takes its time for each call, and puts the joints beside their places. calls: crops of each."""

    def __init__(self, seconds: float, shift: float = 0.0) -> None:
        self._engine = pytorch.Torch(stubs.tiny(stubs.DOTS, (64, 96)).config, stubs.Dots(shift=shift), "cpu")
        self.config, self.device, self.name = self._engine.config, "cpu", f"{seconds} {shift}"
        self._seconds, self.calls = seconds, list[int]()

    @property
    def batch(self) -> int:
        return 3

    def __call__(self, crops: np.ndarray) -> Any:
        self.calls.append(len(crops))
        time.sleep(self._seconds)
        return self._engine(crops)


def test_the_slower_engine_is_the_slower_one() -> None:
    first, second = compare([Slow(0.05), Slow(0.0)], VIEW, 0.01)
    assert 1 < first.gain < 4  # three share a call
    assert second.gain > first.gain
    assert second.alone < first.alone
    assert first.alone >= 0.05
    assert 0.05 / 3 <= first.together < first.alone
    assert first.best == first.together


def test_every_engine_is_asked_about_one_crop_and_about_its_batch_in_every_round() -> None:
    engine = Slow(0.0)
    compare([engine, Slow(0.0)], VIEW, 1e-9)
    assert set(engine.calls) == {1, 3}
    assert engine.calls.count(1) >= comparing.ROUNDS
    assert engine.calls.count(3) >= comparing.ROUNDS


def test_joints_that_lie_elsewhere_are_told_in_pixels_of_the_crop() -> None:
    first, same, other = compare([Slow(0.0), Slow(0.0), Slow(0.0, shift=0.25)], VIEW, 1e-9)
    assert first.apart == same.apart == 0
    assert other.apart == pytest.approx(0.25 * 4 * 2**0.5, abs=0.05)


def test_a_joint_that_the_first_engine_is_not_sure_of_may_be_anywhere() -> None:
    nobody = View(np.zeros_like(PHOTO), VIEW.box)
    assert compare([Slow(0.0), Slow(0.0, shift=2.0)], nobody, 1e-9)[1].apart == 0


def test_what_ports_run_gives_what_posehg_runs() -> None:
    checkpoint, some = trained(3), crops(7)
    expected = AsPorts(checkpoint, "cpu")(some)
    torch.testing.assert_close(expected, checkpoint.network()(torch.from_numpy(some).permute(0, 3, 1, 2) / 255)[-1])
    scale = float(expected.abs().max())
    torch.testing.assert_close(pytorch.of(checkpoint, Run("cpu"))(some), expected, rtol=1e-4, atol=1e-5 * scale)
