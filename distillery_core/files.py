"""Hashes, and files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

_CHUNK = 1 << 20


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_text(text: str) -> str:
    """Hex SHA-256 of a text's UTF-8 bytes (lone surrogates replaced)."""
    return sha256_bytes(text.encode("utf-8", "replace"))


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of a JSON value, independent of key order and spacing."""
    return sha256_text(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_tree(folder: Path, names: Iterable[str] | None = None) -> str:
    """Hex SHA-256 over relative names and contents of a folder's files.

    Args:
        names: only these relative paths (missing ones are left out); None means every file.
    """
    if names is None:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
    else:
        paths = sorted(folder / name for name in names if (folder / name).is_file())
    return sha256_json({path.relative_to(folder).as_posix(): sha256_file(path) for path in paths})


@contextmanager
def atomic_write(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that replaces it when the block ends well.

    On an exception (a full disk, Ctrl-C) the old file stays as it was. A link is followed: what it
    points to is replaced, and the link stays.

    Raises:
        OSError: `path` is a folder or a device, or cannot be written; its `filename` is set.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise PermissionError(errno.EPERM, "is no ordinary file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        options: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
        with os.fdopen(descriptor, mode, **options) as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        temporary.chmod(0o666 & ~umask())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk names no file
        raise


def umask() -> int:
    """The process's umask (mkstemp ignores it and would leave every report private)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, UTF-8, LF."""
    with atomic_write(path) as handle:
        handle.write(text)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; NaN and infinities are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def now_utc() -> str:
    """The time now as `2026-11-22T20:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
