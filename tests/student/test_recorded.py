"""What a training record says of its base and its method, read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery_core.filters.filter import Filter
from distillery_core.student.recorded import frozen_head
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train


@pytest.mark.parametrize(
    ("record", "head"),
    [
        ({}, None),
        ({"method": "full"}, None),
        ({"method": "lora", "settings": {"frozen_head": "ridge"}}, None),
        ({"method": "frozen (ridge)"}, "ridge"),
        ({"method": "frozen (mlp)", "settings": {"frozen_head": "ridge"}}, "mlp"),
        ({"method": "frozen", "settings": {"frozen_head": "mlp"}}, "mlp"),
        ({"method": "frozen", "settings": None}, "ridge"),
    ],
)
def test_which_head_a_frozen_base_got(record: dict[str, Any], head: str | None) -> None:
    assert frozen_head(record) == head


@pytest.mark.parametrize("method", ["full", "frozen"])
def test_a_base_is_recorded_as_the_folder_it_was_found_as(
    method: str,
    filter_: Filter,
    data_dir: Path,
    settings: Callable[..., TrainSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its name alone, `base/bert`, could be that of a repository on the hub."""
    base = Path(settings("bert").model_name)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "bert").symlink_to(base)
    monkeypatch.chdir(tmp_path)
    asked = settings("bert", model_name="base/bert", method=method)
    record = train(filter_, data_dir, tmp_path / "out", asked).metadata
    assert (record["model_name"], record["base_is_folder"]) == ("base/bert", True)
