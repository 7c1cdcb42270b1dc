"""Which device computes; what it can do: operations are counted right, and the clock waits for the device."""

import time
from pathlib import Path

import pytest
import torch

from posehg.config import HourglassConfig
from posehg.errors import DeviceError, UsageError
from posehg.inference import devices
from posehg.inference.devices import clocked, forward_flop

CPU = torch.device("cpu")


def test_two_stacks_at_256_pixels_take_the_operations_that_are_known() -> None:
    assert forward_flop(HourglassConfig(), (256, 256)) == pytest.approx(16.6e9, rel=0.05)
    tiny = HourglassConfig(features=4, depth=2, stem=(2, 4, 4))  # whose smallest map is a single cell
    assert forward_flop(tiny, (16, 32)) == 2 * forward_flop(tiny, (16, 16)) > 0


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_rate_of_matrix_products_is_that_of_the_best_size(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_SIDES", (3, 5))
    assert devices.product_rate(CPU, precision, 0.01) > 0
    moments = iter(range(1000))
    monkeypatch.setattr(time, "perf_counter", lambda: 0.5 * next(moments))
    assert devices.product_rate(CPU, precision, 1.0) == 2 * 5**3 / 0.5


def test_the_clock_counts_calls_until_the_time_is_over() -> None:
    calls, seconds = clocked(CPU, lambda: time.sleep(0.01), 0.025)
    assert 0.025 <= seconds < 0.01 * calls + 5
    assert clocked(CPU, lambda: time.sleep(0.02), 1e-9)[0] == 1


def test_a_gpu_is_waited_for_before_the_clock_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append("wait"))
    moments = iter((0.0, 0.5, 1.5))
    monkeypatch.setattr(time, "perf_counter", lambda: calls.append("clock") or next(moments))
    clocked(torch.device("cuda"), lambda: calls.append("call"), 1.0)
    assert calls == ["wait", "clock", *["call"] * 10, "wait", "clock", *["call"] * 10, "wait", "clock"]


@pytest.mark.parametrize(
    ("content", "name"), [("flags: sse\nmodel name\t: Abacus 7: quick\n", "Abacus 7: quick"), ("", "old")]
)
def test_the_processor_has_the_name_that_the_system_knows(
    content: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices.sys, "platform", "linux")
    monkeypatch.setattr(devices.platform, "processor", lambda: "")
    monkeypatch.setattr(devices.platform, "machine", lambda: "old")
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: content)
    assert devices.name_of(CPU) == name


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_fastest_device(cuda: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(cuda))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert devices.resolve("auto").type == expected
    assert devices.resolve("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("name", "count"), [("cuda", 0), ("cuda:1", 1), ("cuda:2", 2), ("mps", 0)])
def test_a_missing_gpu_is_refused_with_advice(name: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=name) as caught:
        devices.resolve(name)
    assert caught.value.exit_code == 6
    assert "--device cpu" in caught.value.hint


@pytest.mark.parametrize("name", ["", "gpu", "CPU", "cuda:x", "cuda:-1", "meta", "xpu"])
def test_an_unknown_device_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"cuda:N or mps, not '{name}'"):
        devices.resolve(name)


@pytest.mark.parametrize("names", [(), ("amx_tile",), ("avx512_bf16",)])
def test_a_cpu_multiplies_bf16_with_amx_or_avx512(monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]) -> None:
    for name in ("amx_tile", "avx512_bf16"):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda name=name: name in names, raising=False)
    assert devices.multiplies_bf16(torch.device("cpu")) == bool(names)
