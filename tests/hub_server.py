"""A server on this machine that answers as the Hugging Face Hub does, and plain files too. It may be told to fail."""

import base64
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_thisisforthetests"
Files = dict[str, bytes]


@dataclass
class Repository:
    """commits: hash -> files, the last one being main's. private: others do not see it.

    gated: only TOKEN opens it, and if it is ``refused``, not that either.
    """

    commits: dict[str, Files] = field(default_factory=dict)
    gated: bool = False
    refused: bool = False
    private: bool = False

    def commit(self, files: Files) -> str:
        name = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[name] = files
        return name

    def resolve(self, revision: str) -> str | None:
        if revision == "main":
            return list(self.commits)[-1]
        return revision if revision in self.commits else None


class HubServer(ThreadingHTTPServer):
    """repos: by user/name. pages: what else there is, by its path. requests: the paths of all requests, in order.

    drop: after so many bytes of the next file that is larger, the connection ends. poison: files are sent with a wrong
    first byte. html: every answer is a web page. broken: every answer is a 500. refuse: the token may not write.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.repos: dict[str, Repository] = {}
        self.pages: Files = {}
        self.requests: list[str] = []
        self.drop: int | None = None
        self.poison = self.html = self.broken = self.refuse = False
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, path: str, content: bytes) -> str:
        """A plain file; gives its address."""
        self.pages[path] = content
        return f"{self.address}{path}"

    def publish(self, name: str, files: Files) -> str:
        """A new commit; gives its hash."""
        return self.repos.setdefault(name, Repository()).commit(files)


@contextmanager
def serving() -> Iterator[HubServer]:
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def environment(server: HubServer | None, folder: Path, **more: str) -> dict[str, str]:
    """Of a process that has this server for its Hub, and its caches in a folder of the test; without one, none."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "POSEHG_"))}
    endpoint = server.address if server is not None else "http://127.0.0.1:9"
    return {
        **inherited,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(folder / "huggingface"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",  # its storage is another server, in another protocol
        "POSEHG_HOME": str(folder / "posehg"),
        "NO_PROXY": "*",
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        **more,
    }


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append(path)
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.server.broken:
            return self._send(500, b"")
        if self.server.html:
            return self._send(200, b"<html>Please log in.</html>", {"Content-Type": "text/html; charset=utf-8"})
        if path in self.server.pages:
            return self._send_file(self.server.pages[path], {"Content-Type": "application/octet-stream"})
        patterns = {
            r"/api/models/([^/]+/[^/]+?)(?:/revision/(.+))?": self._info,
            r"/api/models/([^/]+/[^/]+)/tree/([^/]+)": self._tree,
            r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)": self._resolve,
        }
        for pattern, answer in patterns.items():
            if self.command in ("GET", "HEAD") and (match := re.fullmatch(pattern, path)):
                return self._of_repository(answer, *match.groups())
        if self.command in ("POST", "PUT"):
            return self._write(path, body)
        return self._send(404, b"")

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _of_repository(self, answer: Any, name: str, revision: str | None, *rest: str) -> None:
        repository = self.server.repos.get(name)
        token = self.headers["Authorization"]
        if token not in (None, f"Bearer {TOKEN}"):
            message = {"X-Error-Message": "Invalid credentials in Authorization header"}
            return self._send(401, b'{"error":"Invalid credentials"}', message)
        if repository is None or (repository.private and not token):
            code = 404 if token else 401  # without a token nobody may learn what exists
            return self._send(code, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        if repository.gated and (not token or repository.refused) and answer != self._info:
            message = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}
            return self._send(403 if token else 401, b"", message)
        commit = repository.resolve(revision or "main")
        if commit is None:
            return self._send(404, b"", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        answer(name, commit, repository.commits[commit], *rest)

    def _info(self, name: str, commit: str, files: Files) -> None:
        siblings = [{"rfilename": file, "size": len(content)} for file, content in files.items()]
        self._json({"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": [], "private": False})

    def _tree(self, name: str, commit: str, files: Files) -> None:
        self._json([{"type": "file", "path": file, "size": len(files[file]), "oid": "0"} for file in files])

    def _resolve(self, name: str, commit: str, files: Files, file: str) -> None:
        if file not in files:
            headers = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found", "X-Repo-Commit": commit}
            return self._send(404, b"", headers)
        tag = hashlib.sha256(files[file]).hexdigest()
        self._send_file(files[file], {"ETag": f'"{tag}"', "X-Repo-Commit": commit})

    def _write(self, path: str, body: bytes) -> None:
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._send(401, b"", {"X-Error-Message": "Invalid credentials in Authorization header"})
        if self.server.refuse:
            return self._send(403, b"", {"X-Error-Message": "Your token may not write."})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if re.fullmatch(r"/api/models/[^/]+/[^/]+/preupload/main", path):
            names = [file["path"] for file in json.loads(body)["files"]]
            files = [{"path": one, "uploadMode": "regular", "shouldIgnore": False} for one in names]
            return self._json({"files": files})
        if commit := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            return self._commit(commit[1], [json.loads(line) for line in body.splitlines()])
        return self._send(404, b"")

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted.get('organization') or 'owner'}/{wanted['name']}"
        address = {"url": f"{self.server.address}/{name}"}
        if name in self.server.repos:
            return self._json({**address, "error": "You already created this model repo"}, 409)
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.server.repos[name] = Repository({"0" * 40: {}}, private=private)
        return self._json(address)

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        repository = self.server.repos[name]
        files = dict(list(repository.commits.values())[-1])
        for line in lines:
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        made = repository.commit(files)
        url = f"{self.server.address}/{name}/commit/{made}"
        self._json({"success": True, "commitOid": made, "commitUrl": url, "hookOutput": ""})

    def _send_file(self, content: bytes, headers: dict[str, str]) -> None:
        if self.server.poison and self.command == "GET":
            content = bytes([content[0] ^ 1]) + content[1:]
        self._send(200, content, headers)

    def _json(self, values: object, code: int = 200) -> None:
        self._send(code, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def _send(self, code: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        drop = self.server.drop
        if drop is not None and code == 200 and len(content) > drop:
            self.server.drop = None
            self.wfile.write(content[:drop])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(content)
