"""posehg serve: its requests, its limits, and its page in a browser."""

import base64
import io
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from PIL import Image as PillowImage

from posehg.api import Model
from posehg.cli import serve
from posehg.images import Image
from tests import stubs
from tests.journeys.conftest import ROOT, Posehg, environment

pytest.importorskip("starlette")

LIMIT, CALLERS = 1_500_000, 2
PHOTO = stubs.squares_photo((60, 70, 90), (300, 60, 110))
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def encoded(image: Image | PillowImage.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, PillowImage.Image) else PillowImage.fromarray(image)).save(file, format, **options)
    return file.getvalue()


class Watched(Model):
    """most: images that were worked on at once."""

    at_once = most = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            time.sleep(0.02)
            return super().__call__(*arguments, **options)
        finally:
            self.at_once -= 1


@pytest.fixture(scope="module")
def model() -> Watched:
    estimator = stubs.estimator(stubs.tiny(stubs.PERSON), stubs.Squares())
    return Watched(estimator, lambda: stubs.detect_squares, "the stub")


@contextmanager
def serving(model: Model, is_local: bool) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        server = serve.server(serve.application(model, CALLERS, LIMIT, is_local))
        thread = threading.Thread(target=server.run, args=([opened],))
        thread.start()
        yield f"http://127.0.0.1:{opened.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def url(model: Watched) -> Iterator[str]:
    with serving(model, is_local=True) as found:
        yield found


def post(url: str, name: str = "a.png", content: bytes = encoded(PHOTO), **options: Any) -> requests.Response:
    return requests.post(f"{url}predict", files={"file": (name, content)}, timeout=30, **options)


def assert_refused(answer: requests.Response, status: int, named: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json().keys() == {"error", "hint"}
    assert named in answer.json()["error"]
    assert answer.json()["error"].endswith(".")


@pytest.mark.parametrize("people", ["one", "all"])
def test_the_answers_are_those_of_the_library(url: str, model: Watched, people: Any) -> None:
    expected = model(PHOTO, people=people)
    assert len(expected) == (2 if people == "all" else 1)
    record = expected.to_dict() | {"source": "Größe & 人.png"}
    asked = {"people": people, "threshold": "0.6"}
    assert post(url, "Größe & 人.png", params=asked).json() == record
    drawn = post(url, params=asked | {"as": "image"})
    assert drawn.headers["Content-Type"] == "image/png"
    both = post(url, "Größe & 人.png", params=asked | {"as": "both"}).json()
    assert both["record"] == record
    for png in (drawn.content, base64.b64decode(both["image"].partition(",")[2])):
        with PillowImage.open(io.BytesIO(png)) as image:
            np.testing.assert_array_equal(np.array(image), expected.plot(threshold=0.6))


def test_a_note_says_that_an_image_is_the_first_of_several_or_cut_short(url: str) -> None:
    two = {"save_all": True, "append_images": [PillowImage.fromarray(PHOTO[::-1])]}
    for name, content, named in (
        ("人.tif", encoded(PHOTO, "TIFF", **two), "2 pages"),
        ("人.gif", encoded(PHOTO, "GIF", **two), "2 frames"),
        ("人.jpg", encoded(PHOTO, "JPEG")[:-2], "end"),
    ):
        answer = post(url, name, content)
        assert answer.json()["people"]
        assert named in answer.headers["Posehg-Note"]
    assert "Posehg-Note" not in post(url).headers


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("notes.txt", b"Not an image", 422),
        ("cut.jpg", encoded(PHOTO, "JPEG")[:1500], 422),
        ("none.png", b"", 422),
        ("bomb.png", encoded(PillowImage.new("1", (10_000, 5000))), 422),
        ("walk.mp4", encoded(PHOTO), 415),
        ("walk.png", b"\0\0\0\x18ftypisom\0\0\0\0isommp42", 415),
    ],
)
def test_what_is_no_image_is_named(url: str, name: str, content: bytes, status: int) -> None:
    assert_refused(post(url, name, content), status, name)


def test_a_name_never_stands_for_a_file_on_the_server(url: str, tmp_path: Path) -> None:
    (tmp_path / "walk").write_bytes(b"\0\0\0\x18ftypisom")
    assert post(url, str(tmp_path / "walk")).json()["people"]
    assert post(url, "a\x1b[31m.png").json()["source"] == "a?[31m.png"


@pytest.mark.parametrize(
    ("request_of", "status", "named"),
    [
        ({"url": "predict?people=some"}, 400, "people"),
        ({"url": "predict?as=gif"}, 400, "as "),
        ({"url": "predict?threshold=nan"}, 400, "threshold"),
        ({"url": "predict?threshold=1.5"}, 400, "1.5"),
        ({"url": "predict?peple=all"}, 400, "'peple'"),
        ({"files": {"file": ("", b"")}}, 400, "file"),
        ({"files": [("a", ("a.png", b"")), ("b", ("b.png", b""))]}, 400, "files"),
        ({"data": {"people": "all"}}, 400, "fields"),
        ({"files": None, "data": b"--b\r\nbroken", "headers": FORM}, 400, "form"),
        ({"files": None, "data": encoded(PHOTO)}, 415, "form"),
        ({"method": "GET", "files": None}, 405, "GET"),
        ({"method": "OPTIONS", "files": None}, 405, "OPTIONS"),
        ({"url": "nothing"}, 404, "/nothing"),
    ],
)
def test_a_wrong_request_is_explained(url: str, request_of: dict[str, Any], status: int, named: str) -> None:
    whole = {
        "method": "POST",
        "url": "predict",
        "files": {"file": ("a.png", encoded(PHOTO))},
        "timeout": 30,
    } | request_of
    assert_refused(requests.request(**whole | {"url": url + whole["url"]}), status, named)


PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + b"x" * LIMIT


@pytest.mark.parametrize(
    "rest",
    [b"Content-Length: %d\r\n\r\n" % (LIMIT + 1), b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s" % (len(PART), PART)],
    ids=["declared", "sent"],
)
def test_a_large_upload_is_refused_before_its_end(url: str, rest: bytes) -> None:
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        head = f"POST /predict HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {FORM['Content-Type']}\r\n"
        connection.sendall(head.encode() + rest)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
    assert post(url).ok


@pytest.mark.parametrize(
    ("headers", "is_allowed"),
    [
        ({"Host": "evil.example"}, False),
        ({"Host": "127.0.0.1.evil.example:8000"}, False),
        ({"Host": "[evil"}, False),
        ({"Host": "localhost:9000"}, True),  # as through a tunnel
        ({"Host": "[::1]:8000"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://localhost:1", "Host": "localhost"}, False),
        ({"Origin": "http://localhost:9000", "Host": "localhost:9000"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost", "Host": "localhost"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://localhost", "Host": "localhost:1"}, True),
    ],
)
def test_pages_of_other_sites_cannot_use_it(url: str, headers: dict[str, str], is_allowed: bool) -> None:
    answer = post(url, headers=headers)
    assert answer.status_code == (200 if is_allowed else 403)
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_in_a_network_it_has_any_name_and_still_refuses_other_sites(model: Watched) -> None:
    with serving(model, is_local=False) as url:
        assert post(url, headers={"Host": "gpu.example:8000"}).ok
        assert_refused(post(url, headers={"Host": "gpu.example", "Origin": "http://evil.example"}), 403, "sites")


def test_few_images_are_worked_on_at_once_and_the_others_wait(url: str, model: Watched) -> None:
    model.most = 0
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(url), range(24)))
    assert {answer.text for answer in answers} == {answers[0].text}
    assert answers[0].ok
    assert model.most == CALLERS


def test_a_bug_or_a_lack_of_memory_is_answered_and_the_server_continues(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, status in ((ZeroDivisionError(), 500), (MemoryError(), 503)):
        with monkeypatch.context() as patch:
            patch.setattr(Watched, "__call__", lambda *_, error=error, **__: (_ for _ in ()).throw(error))
            assert_refused(post(url), status, "")
    assert post(url).ok


def test_the_page_loads_nothing_from_elsewhere(url: str) -> None:
    answer = requests.get(url, timeout=30)
    assert answer.ok
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "http" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    assert str(LIMIT) in answer.text


def test_a_port_or_host_that_cannot_be_used_and_missing_packages_are_named(
    posehg: Posehg, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        posehg("serve", "--port", port).assert_failed(2, port)
    for host in ("no host", "256.0.0.1", "x" * 80):
        posehg("serve", "--port", "0", "--host", host).assert_failed(2, host)
    posehg("serve", "--port", "0", "--model", "nothing").assert_failed(5, "nothing")
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else object())
    run = posehg("serve")
    run.assert_failed(5, "serve")
    assert "uvicorn" in run.err


@pytest.mark.slow
def test_the_command_prints_its_address_and_ctrl_c_ends_it_without_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "posehg", "serve", "--port", "0", "--model", "small"]
    home = environment() | {"XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=ROOT, env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        with requests.Session() as session:  # an open connection does not keep it from ending
            assert session.post(f"{url}predict", files={"file": ("a.png", encoded(PHOTO))}, timeout=60).ok
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        assert "Error" not in (said := process.stderr.read())
        assert "Traceback" not in said
        assert not list(tmp_path.iterdir())  # no library has noted anything to be reported elsewhere


@pytest.mark.slow
def test_the_page_in_a_browser(url: str, tmp_path: Path) -> None:
    webdriver = pytest.importorskip("selenium.webdriver")
    browser, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if browser is None or driver is None:
        pytest.skip("there is no Chromium")
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    (tmp_path / "photo.png").write_bytes(encoded(PHOTO))
    (tmp_path / "notes.txt").write_text("Not an image")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as chrome:

        def text_of(name: str) -> str:
            return str(chrome.find_element("id", name).text)

        def wait_for(name: str, text: str) -> None:
            WebDriverWait(chrome, 30).until(lambda _: text in text_of(name))

        chrome.get(url)
        assert chrome.execute_script("return [...document.querySelectorAll('input')].every(i => i.labels.length)")
        chrome.find_element("id", "file").send_keys(str(tmp_path / "photo.png"))
        wait_for("status", "1 person")
        chrome.find_element("css selector", "[value=one]").send_keys(Keys.ARROW_DOWN)
        wait_for("status", "2 people")
        size = chrome.execute_script("const i = document.images[0]; return [i.naturalHeight, i.naturalWidth]")
        assert tuple(size) == PHOTO.shape[:2]
        for name, file in (("png", "photo-skeleton.png"), ("json", "photo.json")):
            chrome.find_element("id", name).click()
            WebDriverWait(chrome, 30).until(lambda _, file=file: (tmp_path / file).exists())
        everyone = {"people": "all"}
        assert json.loads((tmp_path / "photo.json").read_text()) == post(url, "photo.png", params=everyone).json()
        assert (tmp_path / "photo-skeleton.png").read_bytes() == post(url, params=everyone | {"as": "image"}).content
        chrome.find_element("id", "file").send_keys(str(tmp_path / "notes.txt"))
        wait_for("error", "notes.txt")
        assert not chrome.find_element("id", "buttons").is_displayed()
        chrome.execute_script(f"""
            const dropped = new DragEvent("drop", {{bubbles: true, dataTransfer: new DataTransfer()}});
            dropped.dataTransfer.items.add(new File([new Uint8Array({LIMIT + 1})], "big.png"));
            document.body.dispatchEvent(dropped);
        """)
        wait_for("error", "big.png")
        assert not [entry for entry in chrome.get_log("browser") if "Security Policy" in entry["message"]]
