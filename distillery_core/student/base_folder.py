"""Which folder of this machine a base model's name means, told without loading any library."""

from __future__ import annotations

from pathlib import Path


def local_folder(model_name: str) -> Path | None:
    """The folder of this machine that a name means; None for a hub id or a package's folder."""
    folder = Path(model_name).expanduser()
    return folder if folder.is_dir() else None
