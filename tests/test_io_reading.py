"""Images from files, pipes, standard input and the web, and what is wrong with some of them."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image as PillowImage

from posehg import images
from posehg.errors import InputError
from posehg.io import content
from posehg.io import frames as frames_module
from posehg.io.frames import Frame, frames
from posehg.io.sources import Source, expand
from tests import video_files

ROOT = Path(__file__).parent.parent


def noise(rows: int = 5, columns: int = 7, seed: int = 0) -> images.Image:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def only(name: str | Path) -> Frame:
    (source,) = expand([str(name)])
    (frame,) = frames(source)
    return frame


def failure(name: str | Path) -> str:
    """What is wrong with a source, which the error names."""
    (source,) = expand([str(name)])
    with pytest.raises(InputError) as caught:
        list(frames(source))
    assert str(name) in str(caught.value) or name == "-"
    return str(caught.value)


def test_an_image_is_one_frame(tmp_path: Path) -> None:
    images.write(tmp_path / "a.png", noise())
    frame = only(tmp_path / "a.png")
    np.testing.assert_array_equal(frame.image, noise())
    assert (frame.index, frame.time, frame.fps) == (None,) * 3


def test_what_cannot_be_read_is_named_when_it_is_read(tmp_path: Path) -> None:
    assert failure(tmp_path / "missing.jpg")
    assert failure(tmp_path / f"{'x' * 300}.jpg")  # longer than file systems allow
    with pytest.raises(InputError, match="No"):
        next(frames(Source("x", "image", Path(), InputError("No."))))


def png(tmp_path: Path, image: images.Image) -> bytes:
    images.write(tmp_path / "written.png", image)
    return (tmp_path / "written.png").read_bytes()


@pytest.mark.parametrize("sent", [b"", b"<html>", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", bytes(5000)])
def test_standard_input_that_is_no_image_or_too_large_is_an_input_error(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    read, write = os.pipe()
    os.write(write, sent)
    os.close(write)
    monkeypatch.setattr(frames_module, "MAX_IMAGE", 4000)
    with open(read) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert ("larger" in failure("-")) == (len(sent) > 4000)


def test_a_terminal_or_nothing_as_standard_input_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with open(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        said = failure("-")
    os.close(ours)
    monkeypatch.setattr(sys, "stdin", None)
    assert failure("-") == said


@pytest.mark.parametrize("argument", ["-", "/dev/stdin"])
def test_an_image_comes_through_a_pipe_and_loads_no_heavy_library(tmp_path: Path, argument: str) -> None:
    code = f"""
import sys
from posehg.io.frames import frames
from posehg.io.sources import expand
print([frame.image.shape for source in expand([{argument!r}]) for frame in frames(source)])
print([name for name in ("pillow_heif", "torch", "av", "requests") if name in sys.modules])"""
    sent = png(tmp_path, noise(307, 401))
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=sent, capture_output=True, timeout=60)
    assert (run.stdout, run.stderr) == (b"[(307, 401, 3)]\n[]\n", b"")


def test_a_named_pipe_is_read_once_through_and_a_device_up_to_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = png(tmp_path, noise())
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(sent,))
    writer.start()
    np.testing.assert_array_equal(only(tmp_path / "pipe").image, noise())
    writer.join()
    monkeypatch.setattr(frames_module, "MAX_IMAGE", 3 << 20)
    assert "3 MiB" in failure("/dev/zero")


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow as it is before the first HEIC file."""
    PillowImage.init()
    monkeypatch.setattr(PillowImage, "OPEN", {k: v for k, v in PillowImage.OPEN.items() if k != "HEIF"})
    monkeypatch.setattr(PillowImage, "ID", [name for name in PillowImage.ID if name != "HEIF"])


@pytest.mark.usefixtures("without_heif")
@pytest.mark.parametrize("name", ["a.heic", "renamed.jpg"])
def test_heic_is_read_upright_whatever_its_suffix(tmp_path: Path, name: str) -> None:
    """Phones store it turned, with the angle beside it."""
    pillow_heif = pytest.importorskip("pillow_heif")
    upright, exif, path = np.zeros((106, 158, 3), dtype=np.uint8), PillowImage.Exif(), tmp_path / name
    upright[:53, :79] = 255
    exif[0x0112] = 6
    stored = PillowImage.fromarray(np.ascontiguousarray(np.rot90(upright)))
    pillow_heif.from_pillow(stored).save(path, quality=95, exif=exif.tobytes())
    image = only(path).image
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 5
    path.write_bytes(path.read_bytes()[:-1000])
    assert "cut short" in failure(path)


@pytest.mark.usefixtures("without_heif")
def test_an_avif_of_another_major_brand_needs_no_pillow_heif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "a.avif"
    PillowImage.new("RGB", (32, 32), "red").save(path)
    content = path.read_bytes()
    assert content[4:12] == b"ftypavif"
    assert b"avif" in content[16:64]
    path.write_bytes(content[:8] + b"mif1" + content[12:])
    assert images.read(path).shape == (32, 32, 3)


@pytest.mark.usefixtures("without_heif")
def test_without_pillow_heif_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(99))
    assert "pillow-heif" in failure(tmp_path / "a.heic")


@dataclass(frozen=True)
class Answer:
    """What the server says; length: what it announces. pause: seconds between the two halves of the content."""

    content: bytes = b""
    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = -1
    pause: float = 0


class Handler(BaseHTTPRequestHandler):
    answers: ClassVar[dict[str, Answer]] = {}
    agents: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.agents.append(self.headers["User-Agent"])
        answer = self.answers.get(self.path, Answer(code=404))
        self.send_response(answer.code)
        length = len(answer.content) if answer.length == -1 else answer.length
        headers = {"Content-Type": "image/png", **({} if length is None else {"Content-Length": str(length)})}
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        half = len(answer.content) // 2
        for part in (answer.content[:half], answer.content[half:]):
            self.wfile.write(part)
            self.wfile.flush()
            time.sleep(answer.pause)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def moved(place: str) -> Answer:
    return Answer(code=302, headers={"Location": place})


Put = Callable[[str, Answer], str]


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Iterator[Put]:
    """Has a server answer under a path; returns the address."""
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def put(path: str, answer: Answer) -> str:
            Handler.answers[path] = answer
            return f"http://127.0.0.1:{server.server_port}{path}"

        yield put
        Handler.answers.clear()
        Handler.agents.clear()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("answer", [{}, {"headers": {"Content-Type": "nonsense"}}, {"length": None}])
def test_an_image_is_downloaded_once_and_redirections_are_followed(
    put: Put, tmp_path: Path, answer: dict[str, Any]
) -> None:
    there = put("/there.png", Answer(png(tmp_path, noise()), **answer))
    put("/and/here", moved(there))
    address = put("/a.png", moved("/and/here"))
    for source in expand([address, address]):
        np.testing.assert_array_equal(next(frames(source)).image, noise())
    assert len(Handler.agents) == 3
    assert all(agent.startswith("posehg/") for agent in Handler.agents)  # some servers refuse unknown clients


CHUNKED = {"Transfer-Encoding": "chunked"}


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (Answer(code=404), "404 Not Found"),
        (Answer(code=500), "500"),
        (Answer(b"<html>", headers={"Content-Type": "text/html; charset=utf-8"}), "web page"),
        (Answer(b""), "empty"),
        (Answer(b"words"), "not"),
        (Answer(b"1234567", length=99), "cut short"),
        (Answer(b"5\r\nab", headers=CHUNKED, length=None), "cut short"),
        (Answer(bytes(1001), length=None), "larger than"),
        (moved("file:///etc/passwd"), "file:"),
        (moved("ftp://127.0.0.1/a.png"), "ftp:"),
        (moved("/a.png"), "redirects"),
        (Answer(bytes(100), pause=2), "0.2 seconds"),
    ],
)
def test_what_is_wrong_with_an_answer_is_reported(
    put: Put, monkeypatch: pytest.MonkeyPatch, answer: Answer, what: str
) -> None:
    monkeypatch.setattr(content, "TIMEOUT", 0.2)
    monkeypatch.setattr(frames_module, "MAX_IMAGE", 1000)
    begin = time.monotonic()
    assert what in failure(put("/a.png", answer))
    assert time.monotonic() - begin < 1.5


def test_a_server_that_cannot_be_reached_is_reported(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nothing listens there
        assert "refused" in failure(f"http://127.0.0.1:{taken.getsockname()[1]}/a.png")
    assert all(map(failure, ["http://", "http:///a.png", "http://host:port/a", "http://a\n b/"]))
    assert "SSL" in failure(put("/a.png", Answer()).replace("http:", "https:"))

    def unknown(*arguments: object, **options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "not known" in failure("https://no.such.host/a.png")


@pytest.mark.parametrize("part", [1.0, 0.5])
def test_a_video_is_downloaded_and_removed_again(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: float
) -> None:
    sent = video_files.write(tmp_path / "a.avi", count=35).read_bytes()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())
    (source,) = expand([put("/a.avi", Answer(sent[: int(part * len(sent))]))])
    if part < 1:
        with pytest.raises(InputError, match=source.name):
            list(frames(source))
    else:
        assert [frame.index for frame in frames(source)] == list(range(35))
    assert set(tmp_path.iterdir()) == before
