"""The 350 articles that the recording answers: texts from the installed gensim, titles from here.

The Lee corpora (Australian news of 2001-02) lie inside the `gensim` package, which is only looked
up and never imported. Both files are checked against the bytes that were recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from distillery_core.errors import UserError
from distillery_core.files import sha256_bytes

RECORDING = Path(__file__).resolve().parent / "crisis" / "v1" / "recording"
SOURCE = "Lee corpus"

FILES = {
    "lee-background": (
        "lee_background.cor",
        "5d78d6dafd953bbf65797bef09a9ffb9ec430583381be705f8fd460000f370fb",
    ),
    "lee": (
        "lee.cor",
        "a878f9a58f6743c32985c56c2f2f75988386216b38a4023a01fd3bcf7884d93e",
    ),
}
"""First part of the ids -> file of `gensim/test/test_data` (one article a line) and its SHA-256."""

INSTALL = 'pip install "distillery-core[demo]"'


def articles() -> Iterator[dict[str, Any]]:
    """The articles as rows `{id, title, content, source}`, in the order of the recording.

    Raises:
        UserError: gensim is not installed, or carries other texts than those recorded.
    """
    texts = read_texts(_test_data())
    for line in (RECORDING / "answers.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        content = texts[row["id"]]
        yield {"id": row["id"], "title": row["title"], "content": content, "source": SOURCE}


def read_texts(folder: Path) -> dict[str, str]:
    """id -> text of both corpora; ids count the lines of each file from 0.

    Raises:
        UserError: a file is missing or is not the one that was recorded.
    """
    found: dict[str, str] = {}
    for prefix, (name, digest) in FILES.items():
        text = _read(folder / name, digest).decode("utf-8", "replace")
        for number, line in enumerate(text.split("\n")):
            found[f"{prefix}-{number:03d}"] = line.strip()
    return found


def _test_data() -> Path:
    spec = find_spec("gensim")
    if spec is None or spec.origin is None:
        raise UserError("the demo's articles come with gensim, which is missing", hint=INSTALL)
    return Path(spec.origin).parent / "test" / "test_data"


def _read(path: Path, digest: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error}", where=path, hint=INSTALL) from None
    if sha256_bytes(data) != digest:
        what = "these are not the texts that were recorded"
        raise UserError(what, where=path, hint="pip install 'gensim>=4.4,<5'")
    return data
