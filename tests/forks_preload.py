"""What commands import and typer learns of them, for the process that ``tests.forks`` forks; not the Hub's client."""

import gc
import importlib
import io
import pkgutil
import sys
from contextlib import redirect_stdout, suppress

import huggingface_hub
import matplotlib.figure  # noqa: F401  # which commands import late
import pytest  # noqa: F401  # which is what runs here
import torch.distributed.run  # noqa: F401
import typer
from huggingface_hub import HfApi, scan_cache_dir, snapshot_download

import posehg
from posehg.cli import commands

for module in pkgutil.walk_packages(posehg.__path__, "posehg."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
with suppress(typer.Exit, SystemExit), redirect_stdout(io.StringIO()):
    commands.app(["models", "get", "bundled"], standalone_mode=False)

# It reads its environment when it is imported. What it imports in its turn may stay.
for name in [name for name in sys.modules if name.partition(".")[0] == huggingface_hub.__name__]:
    del sys.modules[name]
del sys.modules["torch.distributed.run"]  # a program, as which it is run
del huggingface_hub, HfApi, scan_cache_dir, snapshot_download
gc.collect()
gc.freeze()  # what stays for good is looked at by no child's collection
