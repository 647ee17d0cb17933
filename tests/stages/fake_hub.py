"""A model hub on 127.0.0.1 with the endpoints that huggingface_hub uses to publish and to load.

It keeps repositories in memory: regular files come with the commit, large ones by LFS before it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

TOKEN = "hf_" + "t" * 34
READ_ONLY = "hf_" + "r" * 34
USER = "ana"


@dataclass
class Repo:
    private: bool
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{".gitattributes": b""}])

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1]

    def revision(self, at: int = -1) -> str:
        return hashlib.sha1(f"{id(self)}-{at % len(self.commits)}".encode()).hexdigest()

    def at(self, revision: str) -> dict[str, bytes] | None:
        if revision == "main":
            return self.files
        known = {self.revision(at): files for at, files in enumerate(self.commits)}
        return known.get(revision)


@dataclass
class FakeHub:
    """Attributes:
    spoil: path -> what is given out in place of its bytes.
    seen: method and path of every request, in order.
    """

    address: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    spoil: dict[str, bytes] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """The hub, as long as the block runs."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *values: Any) -> None:
        """Nothing is logged."""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815  # names that the server looks for

    def _answer(self) -> None:
        body = self._body()
        path = self.path.partition("?")[0]
        self.hub.seen.append(f"{self.command} {path}")
        for pattern, name in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match:
                getattr(self, name)(body, *match.groups())
                return
        self._fail(404, "EntryNotFound", "no such place")

    def _whoami(self, body: bytes) -> None:
        if self._token() in (TOKEN, READ_ONLY):
            self._json({"name": USER, "type": "user", "orgs": []})
        else:
            self._fail(401, "", "Invalid credentials in Authorization header")

    def _create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked['organization'] or USER}/{asked['name']}"
        if not self._may_write(name):
            return
        if name in self.hub.repos:
            self._fail(409, "", "You already created this model repo")
            return
        self.hub.repos[name] = Repo(private=asked.get("visibility") == "private")
        self._json({"url": f"{self.hub.address}/{name}", "name": name, "id": "0"})

    def _validate(self, body: bytes) -> None:
        head = json.loads(body)["content"].split("---\n")[1]
        found = yaml.safe_load(head)
        errors = [] if found.get("license") else [{"message": "license is required"}]
        self._json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def _info(self, body: bytes, name: str, revision: str | None = None) -> None:
        repo = self._readable(name)
        files = repo.at(revision or "main") if repo else None
        if repo is None:
            self._fail(404, "RepoNotFound", "Repository not found")
        elif files is None:
            self._fail(404, "RevisionNotFound", "no such revision")
        else:
            siblings = [{"rfilename": path} for path in files]
            facts = {"id": name, "modelId": name, "sha": repo.revision(), "private": repo.private}
            self._json({**facts, "siblings": siblings, "tags": [], "downloads": 0})

    def _preupload(self, body: bytes, name: str, revision: str) -> None:
        if not self._may_write(name):
            return
        files = [
            {"path": one["path"], "uploadMode": "lfs" if _is_large(one["path"]) else "regular",
             "shouldIgnore": False, "oid": None}
            for one in json.loads(body)["files"]
        ]  # fmt: skip
        self._json({"files": files, "commitOid": self.hub.repos[name].revision()})

    def _batch(self, body: bytes, name: str) -> None:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.hub.address}/lfs/{one['oid']}"}}}
            for one in json.loads(body)["objects"]
        ]
        self._json({"objects": objects, "transfer": "basic"})

    def _put_large(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            self._fail(400, "", "other bytes than announced")
            return
        self.hub.large[oid] = body
        self._send(200, b"")

    def _commit(self, body: bytes, name: str, revision: str) -> None:
        if not self._may_write(name):
            return
        repo = self.hub.repos[name]
        lines = [json.loads(line) for line in body.splitlines()]
        if lines[0]["value"].get("parentCommit") not in (None, repo.revision()):
            self._fail(412, "", "A commit has happened since. Please refresh and try again.")
            return
        files = dict(repo.files)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif line["key"] == "deletedFile":
                files.pop(value["path"])
        repo.commits.append(files)
        oid = repo.revision()
        self._json({"commitUrl": f"{self.hub.address}/{name}/commit/{oid}", "commitOid": oid})

    def _settings(self, body: bytes, name: str) -> None:
        if self._may_write(name):
            asked = json.loads(body)
            private = asked.get("private", asked.get("visibility") == "private")
            self.hub.repos[name].private = private
            self._json({"private": private})

    def _resolve(self, body: bytes, name: str, revision: str, path: str) -> None:
        repo = self._readable(name)
        files = repo.at(revision) if repo else None
        if repo is None or files is None:
            self._fail(404, "RepoNotFound", "Repository not found")
            return
        if path not in files:
            self._fail(404, "EntryNotFound", "Entry not found")
            return
        data = self.hub.spoil.get(path, files[path])
        etag = hashlib.sha256(files[path]).hexdigest()
        self._send(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": repo.revision()})

    def _readable(self, name: str) -> Repo | None:
        repo = self.hub.repos.get(name)
        return None if repo and repo.private and self._token() not in (TOKEN, READ_ONLY) else repo

    def _may_write(self, name: str) -> bool:
        if self._token() == TOKEN and name.startswith(f"{USER}/"):
            return True
        self._fail(403, "", f"You don't have the rights to write to {name} with {self._token()}")
        return False

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().strip(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _fail(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message}
        headers |= {"X-Error-Code": code} if code else {}
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES = (
    (r"/api/whoami-v2", "_whoami"),
    (r"/api/repos/create", "_create"),
    (r"/api/validate-yaml", "_validate"),
    (rf"/api/models/{_NAME}", "_info"),
    (rf"/api/models/{_NAME}/revision/([\w.-]+)", "_info"),
    (rf"/api/models/{_NAME}/preupload/([\w.-]+)", "_preupload"),
    (rf"/api/models/{_NAME}/commit/([\w.-]+)", "_commit"),
    (rf"/api/models/{_NAME}/settings", "_settings"),
    (rf"/{_NAME}\.git/info/lfs/objects/batch", "_batch"),
    (r"/lfs/(\w+)", "_put_large"),
    (rf"/{_NAME}/resolve/([\w.-]+)/(.+)", "_resolve"),
)


def _is_large(path: str) -> bool:
    return path.endswith(".safetensors")
