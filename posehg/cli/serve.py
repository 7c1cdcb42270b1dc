"""posehg serve: a web page to try a model with photos, and the same for programs. It needs the extra ``serve``.

    GET /               the page, serve.html
    POST /predict       an image, the only file of a form (multipart/form-data): the record of posehg predict --json
        ?people=all     one, all or scan, as --people
        ?as=image       the drawn image, PNG; both: {"record": .., "image": "data:image/png;base64,.."}
        ?threshold=0.5  draw joints with at least this score

An error is {"error": .., "hint": ..} with a status of 4xx or 5xx. If more could be said of an image, such as that it is
the first page of several, the header Posehg-Note says it. Nothing is stored.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import ipaddress
import logging
import math
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, get_args
from urllib.parse import urlsplit

import typer

from posehg.cli import terminal
from posehg.cli.options import ModelOptions, takes
from posehg.errors import DeviceError, InputError, NotAvailable, UsageError, printable

if TYPE_CHECKING:
    import uvicorn
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from posehg.api import Model
    from posehg.inference.person_search import People

MOST_CALLERS = 4
"""Images that are worked on at once, each by a thread of its own; the others wait."""
MOST_PIXELS = 50_000_000 - 1
"""Of an image. Decoded, drawn and encoded, so many take half a gigabyte, and as much for each caller."""
_CONNECTIONS = 200  # at the same time; more are answered with 503
_PATIENCE = 5  # seconds that requests have to end after Ctrl-C
_PACKAGES = {"starlette": "starlette", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}
_STATUS = {UsageError.exit_code: 400, InputError.exit_code: 422, DeviceError.exit_code: 503}
_ANSWERS = ("json", "image", "both")
_HOW = "Send one file, and options in the address: curl -F file=@photo.jpg 'http://.../predict?people=all'"
_POLICY = """default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline';
connect-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'""".replace("\n", " ")
"""What the page may load: nothing but what it holds and the answers of its own server."""


class Refused(InputError):
    """A request that gets no result; status: of HTTP."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = status


@takes
def serve(
    options: ModelOptions,
    host: Annotated[str, typer.Option(metavar="HOST", help="Address to listen on (0.0.0.0: all).")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="Port (0: a free one).")] = 8000,
    max_upload: Annotated[int, typer.Option(metavar="MB", min=1, max=1000, help="Largest upload in megabytes.")] = 50,
) -> None:
    """Start a web page on this computer to try a model with photos.

        posehg serve
        posehg serve --port 0 --model small
        curl -F file=@photo.jpg "http://127.0.0.1:8000/predict?people=all"

    Prints the page's address; Ctrl-C ends it. The page draws a photo's skeletons; /predict does so for programs, and
    answers with the record of predict --json. In the address, people=one, all or scan chooses people as --people does;
    as=image answers with a PNG, as=both with record and image; threshold=0.5 draws joints with at least this score.
    Photos are not stored. Only this computer reaches the page unless --host says otherwise.
    """
    if missing := [package for module, package in _PACKAGES.items() if find_spec(module) is None]:
        hint = f"Install it: pipx inject posehg {' '.join(missing)}, or pip install 'posehg[serve]'"
        raise NotAvailable("posehg serve needs the extra serve, which is not installed.", hint)
    from posehg.inference.engines import cores

    with _listen(host, port) as opened:
        callers = min(MOST_CALLERS, options.threads or cores())
        loaded = options.load(callers=callers)
        loaded.detector_for("one")  # raises an error before any request
        address, used_port, *_ = opened.getsockname()
        is_local = _is_local(address)
        app = application(loaded, callers, max_upload * 1_000_000, is_local)
        print(f"http://{f'[{address}]' if ':' in address else address}:{used_port}/", flush=True)
        terminal.note("Open this address in a browser. Ctrl-C ends the server.")
        if not is_local:
            terminal.note("Everyone who can reach this computer can use it: there is no password.")
        with suppress(KeyboardInterrupt):  # after the requests have ended: the usual way to stop, and no failure
            server(app).run(sockets=[opened])


def _listen(host: str, port: int) -> socket.socket:
    """Raises UsageError for an address that cannot be listened on."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise UsageError(f"Port {port} is in use.", f"Try --port {port + 1}, or --port 0 for a free one.") from None
        why = (getattr(error, "strerror", None) or "it is not an address").lower()
        raise UsageError(
            f"--host {host} --port {port} cannot be listened on: {why}.",
            "0.0.0.0 is every address here, 127.0.0.1 this computer.",
        ) from None


def _is_local(host: str) -> bool:
    """Whether a host's name or address is that of this computer for itself."""
    with suppress(ValueError):
        return host == "localhost" or ipaddress.ip_address(host.partition("%")[0]).is_loopback
    return False


def server(app: ASGIApp) -> uvicorn.Server:
    """A server for ``application`` that logs nothing and believes no proxy."""
    import uvicorn

    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # the answer to a broken form says enough
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_PATIENCE,
    )
    return uvicorn.Server(config)


def application(model: Model, callers: int, limit: int, is_local: bool) -> ASGIApp:
    """What answers the requests: ``callers`` images at once, each upload of at most ``limit`` bytes.

    is_local: refuse requests to another host than this one, which a web page elsewhere could make by a name of its own
    that leads here (DNS rebinding).
    """
    from starlette.datastructures import UploadFile
    from starlette.formparsers import MultiPartException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import HTMLResponse, Response

    page = Path(__file__).with_suffix(".html").read_text(encoding="utf-8").replace("{limit}", str(limit))
    pool, turns = ThreadPoolExecutor(callers, "serve"), asyncio.Semaphore(callers)

    async def answer(request: Request) -> Response:
        _check_sender(request, is_local)
        method, path = request.method, request.scope["path"]
        if path not in ("/", "/predict"):
            raise Refused(404, f"There is nothing at {printable(path)}.", "The page is at /, and predict at /predict.")
        if method not in (allowed := ("GET", "HEAD") if path == "/" else ("POST",)):
            raise Refused(405, f"{path} takes {allowed[0]}, not {printable(method)}.", _HOW)
        if path == "/":
            return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})
        query = _query(request.query_params)
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            raise Refused(415, "The request is not a form with a file.", _HOW)
        async with request.form(max_files=1, max_fields=0) as form:
            upload = next(iter(form.values()), None)
            if not isinstance(upload, UploadFile) or not upload.filename:
                raise Refused(400, "There is no file in the form.", _HOW)
            name = printable(upload.filename, 255)
            async with turns:
                if await request.is_disconnected():
                    return Response()  # nobody waits for it
                work = partial(_result, model, name, upload.file, *query)
                return await asyncio.get_running_loop().run_in_executor(pool, work)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, _limited(receive, limit))
        try:
            if int(request.headers.get("content-length", 0)) > limit:
                raise _too_large(limit)  # before any of it is read
            response = await answer(request)
        except ClientDisconnect:
            return
        except MultiPartException as error:
            response = _failed(Refused(400, f"The form cannot be read: {printable(error.message)}", _HOW))
        except Exception as error:
            response = _failed(error)
        await response(scope, receive, send)

    return app


def _check_sender(request: Request, is_local: bool) -> None:
    """Raises Refused for what a web page of another site makes a browser send."""
    headers, name = request.headers, ""
    host = headers.get("host", "")
    with suppress(ValueError):
        name = urlsplit(f"//{host}").hostname or ""
    if is_local and not _is_local(name):
        hint = "Open the address that posehg serve printed."
        raise Refused(403, f"This server does not answer for {printable(name)!r}.", hint)
    # Browsers say where a request comes from: new ones, to safe addresses, by the first header, else by the second.
    site, origin = headers.get("sec-fetch-site"), headers.get("origin", "")
    is_foreign = site not in ("same-origin", "none") if site else origin and origin.partition("://")[2] != host
    if request.method == "POST" and is_foreign:
        raise Refused(403, "Pages of other sites cannot use this server.")


def _limited(receive: Receive, limit: int) -> Receive:
    """``receive`` for a body of at most ``limit`` bytes, which need not be declared."""
    read = 0

    async def limited() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > limit:
            raise _too_large(limit)
        return message

    return limited


def _too_large(limit: int) -> Refused:
    return Refused(413, f"The upload is larger than {limit / 1e6:g} MB.", "Make the image smaller first.")


def _query(given: Mapping[str, str]) -> tuple[People, str, float]:
    """Whom a request wants, as json, image or both, and the threshold. Raises UsageError for what is unknown."""
    from posehg.inference.person_search import People
    from posehg.poses import THRESHOLD
    from posehg.values import check_names

    if unknown := given.keys() - {"people", "as", "threshold"}:
        raise UsageError(f"There is no option {printable(min(unknown))!r}.", "Known: people, as, threshold.")
    people, answer = given.get("people", "one"), given.get("as", "json")
    check_names(**{"people": (printable(people), get_args(People)), "as": (printable(answer), _ANSWERS)})
    threshold = math.nan
    with suppress(ValueError):
        threshold = float(given.get("threshold", THRESHOLD))
    if not 0 <= threshold <= 1:
        raise UsageError(f"threshold must be between 0 and 1, not {printable(given['threshold'])!r}.")
    return people, answer, threshold  # type: ignore[return-value]


def _result(model: Model, name: str, file: BinaryIO, people: People, answer: str, threshold: float) -> Response:
    """The answer for an image in a file that was uploaded under this name. Raises InputError if it cannot be read."""
    from PIL import Image
    from starlette.responses import Response

    from posehg import images
    from posehg.io.sources import kind_of

    begin, content = time.perf_counter(), file.read()
    if kind_of(name, content) == "video":
        raise Refused(415, f"{name} is a video.", "For videos: posehg predict VIDEO --out skeletons.mp4")
    notes = list[str]()
    image = images.read_bytes(content, name, MOST_PIXELS, notes.append)
    notes = [note.replace(name, "The image", 1) for note in notes]  # a header holds no letters of all languages
    if first := images.others(BytesIO(content)).partition(".")[0]:
        notes.append(f"Of the file {first}.")
    result = replace(model(image, people=people), source=name)
    record, png = result.to_dict(), BytesIO()
    if answer != "json":
        Image.fromarray(result.plot(threshold=threshold)).save(png, "PNG", compress_level=1)
    if answer == "both":
        record = {"record": record, "image": f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"}
    response = _json(record) if answer != "image" else Response(png.getvalue(), media_type="image/png")
    found = "1 person" if len(result) == 1 else f"{len(result)} people"
    terminal.note(" ".join([f"{name}: {found}, {time.perf_counter() - begin:.1f} s.", *notes]))
    if notes:
        response.headers["Posehg-Note"] = " ".join(notes)
    return response


def _failed(error: Exception) -> Response:
    """The answer for an error, which is also reported to whoever runs the server."""
    known = terminal.explained(error)
    code = terminal.report(known)
    status = known.status if isinstance(known, Refused) else _STATUS.get(code, 500)
    return _json({"error": str(known), "hint": known.hint}, status)


def _json(content: dict[str, Any], status: int = 200) -> Response:
    from starlette.responses import Response

    from posehg.io.writers.json import line

    return Response(line(content) + "\n", status, media_type="application/json")
