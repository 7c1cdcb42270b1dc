"""How long the way of an image through posehg predict is: the files and functions that a reader has to open.

Opening the model and the network itself are not counted: they are the same for every command.
"""

import sys
import threading
from pathlib import Path
from types import FrameType

import pytest

from posehg import api, images
from posehg.checkpoints import bundled_folder
from posehg.cli import app
from posehg.inference import engines
from tests import stubs

PACKAGE = str(Path(app.__file__).parents[1])
NETWORK = ("/network.py", "/checkpoints/", "/inference/engines/")
MAX_FILES, MAX_FUNCTIONS = 20, 94


@pytest.mark.slow
def test_an_image_passes_few_files_and_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images.write(tmp_path / "photo.jpg", stubs.square_photo(110, 60, 100))
    engine = engines.open_engine(bundled_folder())
    monkeypatch.setattr(api, "open_engine", lambda place, options, note: engine)
    monkeypatch.setattr(engines, "open_ahead", lambda places: None)  # which opens it, too

    def predict(out: str) -> None:
        command = f"posehg predict {tmp_path}/photo.jpg --whole --out {tmp_path}/{out}"
        monkeypatch.setattr(sys, "argv", command.split())
        with pytest.raises(SystemExit) as stop:
            app.main()
        assert not stop.value.code

    predict("first.png")  # imports everything
    called: set[tuple[str, str]] = set()

    def watch(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name != "<module>":
            called.add((code.co_filename, code.co_qualname))

    threading.setprofile_all_threads(watch) if sys.version_info >= (3, 12) else threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        predict("second.png")
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    own = {(file.removeprefix(PACKAGE), name) for file, name in called}
    # What is defined in a function, such as a comprehension, is part of that function.
    passed = sorted((file, name) for file, name in own if "<locals>" not in name and not file.startswith(NETWORK))
    assert len({file for file, _ in passed}) <= MAX_FILES, passed
    assert len(passed) <= MAX_FUNCTIONS, passed
