"""Model folders that appear whole or not at all, and that are read back before they count."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

from safetensors import SafetensorError

from distillery_core.errors import CheckFailed, UserError
from distillery_core.files import sha256_tree, write_json, write_text
from distillery_core.student.model_card import CARD, HEAD, ModelCard, read_card, readme
from distillery_core.student.whole_folder import (
    copy_files,
    fresh_folder,
    make_readable,
    previous_of,
    put_in_place,
    recover,
)

WEIGHTS = "model.safetensors"
_TOKENIZER = "tokenizer_config.json"
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
        with fresh_folder(folder) as fresh:
            with quiet_transformers():
                model.save_pretrained(fresh, **({} if state is None else {"state_dict": state}))
                tokenizer.save_pretrained(fresh)
            write_json(fresh / CARD, card.model_dump(mode="json"))
            write_text(fresh / "README.md", readme(card, own_head=(fresh / HEAD).is_file()))
            beside(fresh)
            check(fresh)
            digest = model_sha256(fresh)
            make_readable(fresh)
            put_in_place(fresh, folder)
    except (OSError, SafetensorError) as error:
        raise _unwritable(folder, error) from error
    return digest


def copy_model(source: Path, folder: Path, sha256: str) -> None:
    """Copy a model folder beside the old one, check the copy, then put it in the old one's place.

    Args:
        sha256: the `model_sha256` that the copy must have.

    Raises:
        UserError: the folder cannot be written (full disk, no permission).
        CheckFailed: the copy is another model; the old folder is as it was.
    """
    try:
        with fresh_folder(folder) as fresh:
            copy_files(source, fresh)
            found = model_sha256(fresh)
            if found != sha256:
                what = f"{source} was to be copied to {folder}, and the copy is another model"
                raise CheckFailed(what, [f"{sha256[:12]} was to be, {found[:12]} is"])
            make_readable(fresh)
            put_in_place(fresh, folder)
    except OSError as error:
        raise _unwritable(folder, error) from error


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


def whole_card(folder: Path) -> ModelCard:
    """The card of a model folder that has its weights and its tokenizer; none of them is loaded.

    Raises:
        UserError: as `model_card.read_card`, or weights or tokenizer are missing.
    """
    with suppress(OSError):  # what stands there without it is read, or refused
        recover(folder)
    card = read_card(folder)
    if not (folder / WEIGHTS).is_file() and not (folder / f"{WEIGHTS}.index.json").is_file():
        raise UserError("the model folder has no weights", where=folder, hint="distillery train")
    if not (folder / _TOKENIZER).is_file():
        # transformers would make up an empty one, to which every article reads the same.
        what = f"the model folder has no {_TOKENIZER}"
        raise UserError(what, where=folder, hint="copy the whole folder, or train again")
    return card


def refuse_occupied(folder: Path) -> None:
    """Raise a UserError where a model folder cannot be made, since a file has its name, or that of
    the older one that it is put in the place of."""
    for path in (folder, previous_of(folder)):
        if path.exists() and not path.is_dir():
            hint = "move the file away, or choose another --output-dir"
            raise UserError("is a file where the model's folder comes to stand", path, hint)


def _unwritable(folder: Path, error: OSError | SafetensorError) -> UserError:
    return UserError(
        f"the model cannot be saved: {getattr(error, 'strerror', None) or error}",
        where=folder,
        hint="free some space or choose another --output-dir"
        + ("; the last good model is still there" if folder.is_dir() else ""),
    )
