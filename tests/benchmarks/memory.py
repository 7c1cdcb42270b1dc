"""Whether training's memory is flat: the resident memory of all its processes after each epoch (Linux).

    python tests/benchmarks/memory.py --dataset synthetic --limit 400 --epochs 12 --workers 2

takes the options of ``posehg train``; nothing but its own folder under the system's temporary one is written.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "posehg", "train", *sys.argv[1:], "--out", str(Path(folder, "run"))]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if re.match(r"epoch \d+/", line):
                    print(f"{line.split()[1]:>8} {_resident(process.pid) / 1e6:9.1f} MB", flush=True)
                else:
                    print(line, end="", file=sys.stderr)
    sys.exit(process.returncode)


def _resident(pid: int) -> int:
    """Bytes of the process and of those that it started; pages that they share count once (their proportional size)."""
    own = sum(int(kilobytes) for kilobytes in re.findall(r"^Pss:\s+(\d+)", _proc(pid, "smaps_rollup"), re.MULTILINE))
    children = _proc(pid, f"task/{pid}/children").split()
    return own * 1024 + sum(_resident(int(child)) for child in children)


def _proc(pid: int, name: str) -> str:
    try:
        return Path("/proc", str(pid), name).read_text()
    except OSError:  # the process has ended
        return ""


if __name__ == "__main__":
    main()
