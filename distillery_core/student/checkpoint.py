"""Model folders that appear whole or not at all, and that are read back before they count."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

from safetensors import SafetensorError

from distillery_core.errors import UserError
from distillery_core.files import sha256_tree, write_json, write_text
from distillery_core.student.model_card import CARD, HEAD, ModelCard, readme

WEIGHTS = "model.safetensors"
_HASHED = {".safetensors", ".json", ".txt", ".model", ".jinja"}


def save_model(
    folder: Path,
    model: Any,
    tokenizer: Any,
    card: ModelCard,
    check: Callable[[Path], None],
    *,
    state: dict[str, Any] | None = None,
    beside: Callable[[Path], None] = lambda folder: None,
) -> str:
    """Write a model folder beside the old one, check it, then put it in the old one's place.

    Args:
        state: weights to write in place of the model's own.
        beside: writes what else belongs into the folder.
        check: called with the new folder before it counts; what it raises leaves the old folder
            as it was.

    Returns:
        The new folder's `model_sha256`.

    Raises:
        UserError: the folder cannot be written (full disk, no permission).
    """
    # Imported here: gates and promotion hash model folders and need no transformers for it.
    from distillery_core.student.model_factory import quiet_transformers

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        with quiet_transformers():
            model.save_pretrained(fresh, **({} if state is None else {"state_dict": state}))
            tokenizer.save_pretrained(fresh)
        write_json(fresh / CARD, card.model_dump(mode="json"))
        write_text(fresh / "README.md", readme(card, own_head=(fresh / HEAD).is_file()))
        beside(fresh)
        check(fresh)
        digest = model_sha256(fresh)
        _make_readable(fresh)
        _swap(fresh, folder)
    except (OSError, SafetensorError) as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return digest


def model_sha256(folder: Path) -> str:
    """Hash of every file that decides a prediction: weights, config, tokenizer, card."""
    return sha256_tree(
        folder, [path.relative_to(folder).as_posix() for path in model_files(folder)]
    )


def model_files(folder: Path) -> list[Path]:
    """Every file that decides a prediction, in order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and is_model_file(path))


def is_model_file(path: PurePath) -> bool:
    """Whether a file in a model folder decides a prediction, by its name."""
    return path.suffix in _HASHED


def refuse_occupied(folder: Path) -> None:
    """Raise a UserError where a model folder cannot be made, since a file has its name, or that of
    the older one that it is put in the place of."""
    for path in (folder, _previous(folder)):
        if path.exists() and not path.is_dir():
            hint = "move the file away, or choose another --output-dir"
            raise UserError("is a file where the model's folder comes to stand", path, hint)


def recover(folder: Path) -> None:
    """Put the old model back if a swap was cut off (power, kill -9) between its two renames."""
    previous = _previous(folder)
    if previous.is_dir() and not folder.exists():
        previous.rename(folder)


def _swap(fresh: Path, folder: Path) -> None:
    recover(folder)
    previous = _previous(folder)
    shutil.rmtree(previous, ignore_errors=True)
    if folder.exists():
        folder.rename(previous)
    try:
        fresh.rename(folder)
    except OSError:
        recover(folder)
        raise
    shutil.rmtree(previous, ignore_errors=True)


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")


def _make_readable(fresh: Path) -> None:
    """mkdtemp and safetensors write privately; a model gets the mode that any new file has."""
    mask = os.umask(0)
    os.umask(mask)
    fresh.chmod(0o777 & ~mask)
    for path in fresh.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def _unwritable(folder: Path, error: OSError | SafetensorError) -> UserError:
    return UserError(
        f"the model cannot be saved: {getattr(error, 'strerror', None) or error}",
        where=folder,
        hint="free some space or choose another --output-dir; the last good model is still there",
    )
