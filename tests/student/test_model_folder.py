"""Model folders: whole or not at all, whatever breaks in between."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.model_card import ModelCard
from distillery_core.student.model_factory import Built, build
from distillery_core.student.model_folder import copy_model, model_sha256, save_model
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train

CARD = ModelCard(
    filter_name="tiny",
    filter_version="1.0",
    dimensions=("heat", "noise", "speed"),
    model_name="tiny",
    max_length=64,
    max_chars=2000,
    head_share=0.75,
    text_view_sha256="t",
    dimensions_sha256="d",
    prompt_sha256="p",
    dataset_sha256="s",
)


@pytest.fixture
def built(settings: Callable[..., TrainSettings]) -> Built:
    return build(settings(), CARD.dimensions)


def accept(folder: Path) -> None:
    assert (folder / "distillery.json").is_file()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_saving_twice_replaces_and_leaves_no_rubbish(built: Built, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    first = save_model(folder, built.model, built.tokenizer, CARD, accept)
    (folder / "stray.txt").write_text("of the old model", encoding="utf-8")
    second = save_model(folder, built.model, built.tokenizer, CARD, accept)
    assert first == second == model_sha256(folder)
    assert names(tmp_path) == ["model"]
    assert not (folder / "stray.txt").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_save_that_breaks_keeps_the_last_good_model(
    built: Built, tmp_path: Path, error: BaseException
) -> None:
    folder = tmp_path / "model"
    before = save_model(folder, built.model, built.tokenizer, CARD, accept)

    def fail(fresh: Path) -> None:
        raise error

    expected = UserError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        save_model(folder, built.model, built.tokenizer, CARD, fail)
    assert model_sha256(folder) == before
    assert names(tmp_path) == ["model"]


def test_a_copy_is_checked_before_it_takes_a_models_place(built: Built, tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "model"
    digest = save_model(source, built.model, built.tokenizer, CARD, accept)
    copy_model(source, folder, digest)
    assert model_sha256(folder) == digest
    (source / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckFailed, match="the copy is another model"):
        copy_model(source, folder, digest)
    assert model_sha256(folder) == digest
    assert names(tmp_path) == ["model", "source"]


def test_a_folder_that_cannot_be_written(built: Built, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be saved"):
        save_model(tmp_path / "file" / "model", built.model, built.tokenizer, CARD, accept)


@pytest.mark.parametrize("method", ["full", "frozen"])
@pytest.mark.parametrize("name", ["model", ".model.previous"])
def test_a_file_where_the_folder_comes_to_stand_is_refused_first(
    name: str,
    method: str,
    filter_: Filter,
    data_dir: Path,
    settings: Callable[..., TrainSettings],
    tmp_path: Path,
) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"is a file where the model(?s:.)*move the file away"):
        train(filter_, data_dir, tmp_path, settings(method=method))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


def test_hashing_a_model_needs_no_torch() -> None:
    code = (
        "import sys, distillery_core.student.model_folder\n"
        "import distillery_core.student.measures.metrics\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_deciding_file_is_in_the_hash(built: Built, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_model(folder, built.model, built.tokenizer, CARD, accept)
    before = model_sha256(folder)
    (folder / "README.md").write_text("a model card for people", encoding="utf-8")
    assert model_sha256(folder) == before
    for name in ("config.json", "tokenizer.json", "distillery.json", "model.safetensors"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data + b" ")
        assert model_sha256(folder) != before, name
        (folder / name).write_bytes(data)
    assert model_sha256(folder) == before
