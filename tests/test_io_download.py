"""Pictures and videos over http, from a server on this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from posehg import images
from posehg.errors import InputError
from posehg.io import CutShort, Frame, content, each, expand, frames, sources
from tests import video_files


@dataclass(frozen=True)
class Answer:
    """What the server says. pause: seconds between the two halves of the content."""

    content: bytes = b""
    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = -1
    pause: float = 0


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.agents: set[str | None] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    def put(self, path: str, answer: Answer) -> str:
        self.answers[path] = answer
        return self.address(path)

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.agents.add(self.headers["User-Agent"])
        answer = self.server.answers.get(self.path, Answer(code=404))
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


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def image() -> images.Image:
    return np.random.default_rng(0).integers(0, 256, (53, 71, 3), dtype=np.uint8)


@pytest.fixture
def png(tmp_path: Path, image: images.Image) -> bytes:
    images.write(tmp_path / "a.png", image)
    return (tmp_path / "a.png").read_bytes()


def read(address: str) -> images.Image:
    (source,) = expand([address])
    (frame,) = frames(source)
    return frame.image


def reason(address: str) -> str:
    (source,) = expand([address])
    with pytest.raises(InputError) as caught:
        list(frames(source))
    assert str(caught.value).startswith(address)
    return str(caught.value).removeprefix(address)


def test_a_picture_is_fetched(server: Server, png: bytes, image: images.Image) -> None:
    np.testing.assert_array_equal(read(server.put("/a.png", Answer(png))), image)
    (agent,) = server.agents
    assert agent is not None
    assert agent.startswith("posehg/")  # some servers refuse those who do not say who they are


@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/plain", "image/png; charset=x", "nonsense"])
def test_a_server_need_not_say_that_it_is_a_picture(
    server: Server, png: bytes, image: images.Image, content_type: str
) -> None:
    address = server.put("/a", Answer(png, headers={"Content-Type": content_type}))
    np.testing.assert_array_equal(read(address), image)


def test_the_length_need_not_be_announced(server: Server, png: bytes, image: images.Image) -> None:
    np.testing.assert_array_equal(read(server.put("/a.png", Answer(png, length=None))), image)


def test_redirections_are_followed(server: Server, png: bytes, image: images.Image) -> None:
    there = server.put("/there.png", Answer(png))
    server.put("/and/here", Answer(code=301, headers={"Location": there}))
    np.testing.assert_array_equal(
        read(server.put("/a.png", Answer(code=302, headers={"Location": "/and/here"}))), image
    )


@pytest.mark.parametrize("path", ["/фото 1.png", "/%D1%84.png", "/a.png?q=ы я&b=%20", "/a.png#part", "/a+b[1].png"])
def test_an_address_may_have_letters_of_any_kind(server: Server, png: bytes, image: images.Image, path: str) -> None:
    server.answers = dict.fromkeys(
        [
            "/%D1%84%D0%BE%D1%82%D0%BE%201.png",
            "/%D1%84.png",
            "/a.png?q=%D1%8B%20%D1%8F&b=%20",
            "/a.png",
            "/a+b[1].png",
        ],
        Answer(png),
    )
    np.testing.assert_array_equal(read(server.address(path)), image)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(code=404), " cannot be had: the server answers 404 Not Found."),
        (Answer(code=403), " cannot be had: the server answers 403 Forbidden."),
        (Answer(code=500), " cannot be had: the server answers 500 Internal Server Error."),
        (Answer(b"<html>", headers={"Content-Type": "text/html; charset=utf-8"}), " is a web page, not a picture."),
        (Answer(b""), " is an empty file."),
        (Answer(b"words"), " is not a picture that can be read."),
        (Answer(b"1234567", length=99), " was cut short on its way."),
        (Answer(length=5 << 30), " is larger than 256 MiB."),
        (Answer(length=-7), " is an empty file."),
        (Answer(code=302, headers={"Location": "file:///etc/passwd"}), " cannot be had: the server answers 302 "),
        (Answer(code=302, headers={"Location": "ftp://127.0.0.1/a.png"}), " cannot be had (unknown url type: ftp)."),
        (Answer(code=302, headers={"Location": "/a.png"}), " cannot be had: the server answers 302 "),
        (Answer(code=302), " cannot be had: the server answers 302 Found."),
        (
            Answer(headers={"Transfer-Encoding": "chunked"}, content=b"zz\r\n", length=None),
            " was cut short on its way.",
        ),
        (
            Answer(headers={"Transfer-Encoding": "chunked"}, content=b"5\r\nab", length=None),
            " was cut short on its way.",
        ),
    ],
)
def test_what_the_server_does_wrong_is_said(server: Server, answer: Answer, said: str) -> None:
    assert reason(server.put("/a.png", answer)).startswith(said)


def test_a_picture_that_is_cut_short_is_not_taken_for_whole(server: Server, png: bytes) -> None:
    assert reason(server.put("/a.png", Answer(png[:-9], length=len(png)))) == " was cut short on its way."


def test_a_picture_that_exceeds_the_limit_without_saying_so_is_refused(
    server: Server, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_IMAGE", len(png) - 1)
    assert "is larger than" in reason(server.put("/a.png", Answer(png, length=None)))
    monkeypatch.setattr(sources, "MAX_IMAGE", len(png))
    read(server.put("/a.png", Answer(png, length=None)))


def test_a_server_that_falls_silent_is_not_waited_for_for_ever(
    server: Server, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "TIMEOUT", 0.2)
    begin = time.monotonic()
    assert "silent for 0.2 seconds" in reason(server.put("/a.png", Answer(png, pause=2)))
    assert time.monotonic() - begin < 1.5


def test_a_server_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        assert reason(f"http://127.0.0.1:{taken.getsockname()[1]}/a.png") == " cannot be had (Connection refused)."


def test_a_name_that_is_not_known_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: object, **options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert reason("https://no.such.host/a.png") == " cannot be had (Name or service not known)."


@pytest.mark.parametrize(
    "address", ["http://", "http:///a.png", "http://[::1/a", "http://host:port/a", "http://a\n b/"]
)
def test_an_address_that_cannot_be_meant_is_an_input_error(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("no_proxy", "*")
    assert "cannot be had" in reason(address)


def test_a_server_that_does_not_speak_https_is_said(server: Server) -> None:
    address = server.address("/a.png").replace("http:", "https:")
    assert "cannot be had" in reason(address)


# ---- videos --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [1.0, 0.5])
def test_a_video_is_fetched_whole_and_cleared_away(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: float
) -> None:
    monkeypatch.setattr(sources.tempfile, "tempdir", str(tmp_path))
    content = video_files.write(tmp_path / "a.avi", count=35).read_bytes()
    before = set(tmp_path.iterdir())
    address = server.put("/a.avi", Answer(content[: int(part * len(content))]))
    *found, (source, last) = each(expand([address]))
    assert source.name == address
    assert all(isinstance(frame, Frame) for _, frame in found)
    if part < 1:
        assert isinstance(last, CutShort)
        assert str(last).startswith(f"{address} ends after")
    else:
        assert isinstance(last, Frame)
        assert last.frame == 34
    assert set(tmp_path.iterdir()) == before


def test_a_video_whose_reader_stops_early_is_cleared_away(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources.tempfile, "tempdir", str(tmp_path))
    address = server.put("/a.avi", Answer(video_files.write(tmp_path / "a.avi", count=5).read_bytes()))
    before = set(tmp_path.iterdir())
    (source,) = expand([address])
    stream = frames(source)
    next(stream)
    assert set(tmp_path.iterdir()) != before
    stream.close()  # type: ignore[attr-defined]
    assert set(tmp_path.iterdir()) == before


def test_a_video_that_does_not_fit_on_the_disk_is_an_input_error(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> Callable[..., object]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(content, "open", full, raising=False)
    assert "No space left on device" in reason(server.put("/a.avi", Answer(b"anything")))
