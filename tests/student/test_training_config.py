"""Training configs: the seed's shape, mistakes with their lines, and what wins over what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from distillery_core.errors import UserError, UserErrors
from distillery_core.filters import resolve_filter
from distillery_core.filters.filter import Filter
from distillery_core.stages.train import config_filter, resolved
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train
from distillery_core.student.training_config import read_config, refuse_other_filter

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "training" / "configs" / "uplifting_v1.yaml"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_seeds_config_is_understood_key_by_key() -> None:
    filter_ = resolve_filter("uplifting", ROOT)
    settings = resolved(filter_, SHIPPED, {})
    keys = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    assert settings.model_name == keys["model"]["name"] == "Qwen/Qwen2.5-7B"
    assert settings.max_length == keys["model"]["max_length"] == 512
    for name, value in keys["training"].items():
        assert getattr(settings, name) == float(value)
    assert config_filter(SHIPPED) == "filters/uplifting/v1"


def test_options_win_over_the_config_and_it_over_the_filter(written: Callable[[str], Path]) -> None:
    filter_ = resolve_filter("uplifting", ROOT)
    path = written("training: {epochs: 7, seed: 5, high_score_weight: 3}\nmodel: {max_length: 64}")
    settings = resolved(filter_, path, {"epochs": 9, "seed": None})
    assert (settings.epochs, settings.seed, settings.max_length) == (9, 5, 64)
    assert settings.high_score_weight == 3
    assert settings.batch_size == filter_.config.training.batch_size


def test_null_is_a_value_where_a_setting_may_have_none(written: Callable[[str], Path]) -> None:
    filter_ = resolve_filter("uplifting", ROOT)
    path = written("training: {dropout: null, epochs: null}")
    settings = resolved(filter_, path, {"patience": None})
    assert settings.dropout is None, "the base's own"
    assert settings.epochs == filter_.config.training.epochs, "never null: as if not given"
    assert resolved(filter_, path, {"dropout": 0.2}).dropout == 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training:\n  epoch: 3", r"config\.yaml:2: training\.epoch: unknown key, did you mean"),
        ("trainings: {}", "trainings: unknown key, did you mean 'training'"),
        ("model:\n  name: x\n  hidden: 3", r":3: model\.hidden: unknown key"),
        ("training: {epochs: many}", "valid integer"),
        ("training: {patience: true}", r":1: training\.patience: true is no number"),
        ("training: {model_name: x}", "model_name: unknown key"),
        ("training: {checkpoint_dir: x}", "checkpoint_dir: unknown key"),
        ("training: {method: magic}", "method: 'magic' is not"),
    ],
)
def test_mistakes_are_told_with_their_lines(
    written: Callable[[str], Path], text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_config(written(text))


def test_bad_values_are_told_by_the_settings(written: Callable[[str], Path]) -> None:
    filter_ = resolve_filter("uplifting", ROOT)
    with pytest.raises(UserError, match=r"epochs is 0(?s:.)*accumulation is 0(?s:.)*seed is -3"):
        resolved(filter_, written("training: {epochs: 0, accumulation: 0, seed: -3}"), {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filter: {name: uplift}", "filter.name is 'uplift', the filter is uplifting"),
        ("filter: {version: 2.0}", "filter.version is 2.0, the filter has 1.0"),
    ],
)
def test_a_config_for_another_filter_is_refused(
    written: Callable[[str], Path], text: str, message: str
) -> None:
    path = written(text)
    with pytest.raises(UserError, match=message):
        refuse_other_filter(read_config(path), resolve_filter("uplifting", ROOT), path)


def test_what_was_resolved_trains_the_same_again(
    filter_: Filter, data_dir: Path, settings: Callable[..., TrainSettings], tmp_path: Path
) -> None:
    """BERT's own dropout is 0.1; the filter's `training` section says 0 where nothing is given."""
    asked = settings(
        "bert", micro_batch_tokens=2000, seed=7, method="lora", lora_rank=4, dropout=None
    )
    first = train(filter_, data_dir, tmp_path / "a", asked)
    again = resolved(
        filter_, tmp_path / "a" / "training_config.yaml", {"device": "cpu", "threads": 1}
    )
    assert again.deciding() == asked.deciding()
    assert first.metadata["settings"] == again.deciding()
    second = train(filter_, data_dir, tmp_path / "b", again)
    assert second.history[0].running_loss == first.history[0].running_loss
    without = train(filter_, data_dir, tmp_path / "c", replace(again, dropout=0.0))
    assert without.history[0].running_loss != first.history[0].running_loss


def test_what_a_program_gives_is_read_as_the_command_line_is() -> None:
    """A ZenML run and the library hand settings over by name."""
    filter_ = resolve_filter("uplifting", ROOT)
    assert resolved(filter_, None, {"batch_size": "auto"}).fit_batch
    with pytest.raises(UserErrors) as caught:
        resolved(filter_, None, {"epoch": 3, "learning_rat": 1e-4, "epochs": 2})
    assert [error.what for error in caught.value.errors] == [
        "epoch: unknown key, did you mean 'epochs'?",
        "learning_rat: unknown key, did you mean 'learning_rate'?",
    ]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"learning_rate": "2e-5"}, {"learning_rate": 2e-5}),  # YAML 1.1: a text
        ({"epochs": "3"}, {"epochs": 3}),
        ({"max_length": 64, "dropout": 0}, {"max_length": 64, "dropout": 0.0}),
    ],
)
def test_a_setting_by_name_has_its_own_type(
    given: dict[str, object], read: dict[str, object]
) -> None:
    settings = resolved(resolve_filter("uplifting", ROOT), None, given)
    assert {name: getattr(settings, name) for name in read} == read
    assert all(type(getattr(settings, name)) is type(value) for name, value in read.items())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 1.5, "lora_rank": 4.5}, r"epochs: .*integer(?s:.)*lora_rank: .*integer"),
        ({"learning_rate": "fast"}, "learning_rate: .*number"),
        ({"patience": True}, "patience: true is no number"),
        ({"method": "magic"}, "method: 'magic' is not .*'full'"),
        ({"batch_size": "auto", "fit_batch": False}, "leave one of them out"),
    ],
)
def test_a_setting_of_another_type_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserErrors, match=message):
        resolved(resolve_filter("uplifting", ROOT), None, given)
