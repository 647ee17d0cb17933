"""Tensors kept on disk under the hash of what they were made from: token ids, embeddings.

An entry never goes stale, since another content has another name; a folder can be deleted at any
time. A file that cannot be read counts as absent, one that cannot be written is left out.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from distillery_core.files import atomic_write


def cached(folder: str | None, kind: str, key: str) -> dict[str, Tensor] | None:
    """The tensors under a hash, or None where there are none (or no folder)."""
    if folder is None:
        return None
    try:
        return load_file(_path(folder, kind, key))
    except (OSError, SafetensorError):
        return None


def keep(folder: str | None, kind: str, key: str, tensors: dict[str, Tensor]) -> None:
    """Write tensors under a hash; a full disk costs the next run some time, nothing else."""
    if folder is None:
        return
    with contextlib.suppress(OSError), atomic_write(_path(folder, kind, key), "wb") as handle:
        handle.write(save({name: tensor.contiguous() for name, tensor in tensors.items()}))


def _path(folder: str, kind: str, key: str) -> Path:
    return Path(folder) / kind / f"{key}.safetensors"
