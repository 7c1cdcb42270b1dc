"""Whether onnxruntime is to run a network that torch could run; decided without torch, whose import takes seconds."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path

from posehg.checkpoints import cache
from posehg.inference.engines.engine import Run

_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))
"""What the drivers of GPUs that torch computes on have there: NVIDIA's, WSL's, AMD's."""
_BUILT_FOR = re.compile(r"^(?:cuda|hip)\b.*=\s*['\"]", re.MULTILINE)


def twin(model: Path, run: Run) -> Path | None:
    """The ONNX file that is to be run in place of the model, where there is one and it is the faster way."""
    if run.precision != "fp32" or find_spec("onnxruntime") is None or not model.exists():
        return None
    if run.device == "cpu" or (run.device == "auto" and not may_have_gpu()):
        kept = cache.onnx_file(model)
        return kept if kept.is_file() else None
    return None


def may_have_gpu() -> bool:
    """Whether torch may find something better than the CPU; False only where it certainly does not."""
    if sys.platform == "darwin":
        return True  # Metal, on nearly all
    if sys.platform == "linux" and not any(driver.exists() for driver in _DRIVERS):
        return False
    return built_for_gpu()


def built_for_gpu() -> bool:
    """Whether the torch that is installed can compute on GPUs of CUDA or ROCm, as its version's file says."""
    found = find_spec("torch")
    if found is None or found.origin is None:
        return False
    try:
        text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return True
    return _BUILT_FOR.search(text) is not None
