"""What checkpoints and the files in them are called; loads no torch, for who only asks if one is
there."""

from __future__ import annotations

import re
from pathlib import Path

STATE = "state.json"
SEAL = "state.sha256"
"""The hash of the state beside it, since a file cannot hold its own."""
FINISHED = "finished"
"""An empty file in a checkpoint whose run has ended and needs it no more."""
CHECKPOINT_NAME = re.compile(r"(epoch|step)_\d+")


def standing(folder: Path) -> list[Path]:
    """The checkpoints in a folder, in no order, whether or not they can be read."""
    if not folder.is_dir():
        return []
    return [
        path
        for path in folder.iterdir()
        if CHECKPOINT_NAME.fullmatch(path.name) and (path / STATE).is_file()
    ]
