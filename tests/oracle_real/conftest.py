"""A real model behind llama.cpp's server, and a project that names it as its oracle.

`make test-oracle` installs both in an environment of their own and names its interpreter in
`DISTILLERY_REAL_ORACLE`; without that the tests of this folder say skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from distillery_core.filters import Filter, load_filter

INTERPRETER = os.environ.get("DISTILLERY_REAL_ORACLE")
MODEL = "SmolLM2-135M-Instruct"
SERVER = Path(__file__).with_name("llama_server.py")


@contextmanager
def llama_server(interpreter: str) -> Iterator[str]:
    """The server's address while the block runs; it ends with its standard input."""
    with subprocess.Popen(
        [interpreter, str(SERVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = next((line.strip() for line in process.stdout if line.startswith("http")), "")
        assert address.startswith("http://127.0.0.1:"), "the server has to stay on this machine"
        try:
            yield f"{address}/v1"
        finally:
            process.stdin.close()
            process.kill()


@pytest.fixture(scope="session")
def base_url() -> Iterator[str]:
    """The address of a server that has answered once."""
    if INTERPRETER is None:
        pytest.skip("needs a real model: make test-oracle")
    with llama_server(INTERPRETER) as url:
        body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
        reply = httpx2.post(f"{url}/chat/completions", json=body, timeout=120, trust_env=False)
        assert reply.status_code == 200, reply.text
        yield url


@pytest.fixture(scope="session")
def real_project(base_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose only oracle is the server: no key, and declared free."""
    entry: dict[str, Any] = {"base_url": base_url, "model": MODEL, "concurrency": 1}
    entry |= {"timeout_s": 600, "free": True}
    project = tmp_path_factory.mktemp("real")
    text = yaml.safe_dump({"oracles": {"smollm2": entry}})
    (project / "oracles.yaml").write_text(text, encoding="utf-8")
    lay_filter(project)
    return project


def lay_filter(project: Path) -> Path:
    """The filter of this folder with the reviewed classes of the demo's articles; its folder."""
    from distillery_filter_crisis.corpus import RECORDING

    folder = project / "filters" / "danger" / "v1"
    shutil.copytree(Path(__file__).with_name("filter"), folder)
    shutil.copy(RECORDING / "classes.jsonl", folder)
    return folder


@pytest.fixture
def danger(tmp_path: Path) -> Filter:
    """The filter, in a project of its own."""
    return load_filter(lay_filter(tmp_path))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 350 real news articles of the demo."""
    from distillery_filter_crisis.corpus import articles

    path = tmp_path_factory.mktemp("corpus") / "articles.jsonl"
    rows = [json.dumps(row) for row in articles()]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path
