"""Settings: defaults from the filter, the command line wins, all mistakes at once."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from distillery_core.errors import UserError, UserErrors
from distillery_core.filters.config import Training
from distillery_core.student.settings import TrainSettings


def test_filter_defaults_and_overrides() -> None:
    config = Training(model_name="a/b", epochs=7, head_learning_rate=1e-3, patience=2)
    chosen = TrainSettings.from_config(config, epochs=2, patience=None)
    assert (chosen.model_name, chosen.epochs, chosen.batch_size) == ("a/b", 2, 8)
    assert (chosen.head_learning_rate, chosen.patience) == (1e-3, None)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(UserErrors) as caught:
        TrainSettings(epochs=0, learning_rate=0.0, dropout=1.0, seed=-3, schedule="steps")  # type: ignore[arg-type]
    assert len(caught.value.errors) == 5
    assert "seed is -3, it must be from 0 to 4294967295" in str(caught.value)
    assert "'steps', not one of linear, cosine" in str(caught.value)


def test_a_filter_has_no_seed_below_nothing() -> None:
    with pytest.raises(ValidationError, match="seed"):
        Training(seed=-1)


@pytest.mark.parametrize(
    "bad",
    [
        {"weight_decay": -1.0},
        {"weight_decay": float("inf")},
        {"learning_rate": float("nan")},
        {"memory_limit_gib": float("inf")},
        {"memory_limit_gib": float("nan")},
        {"max_grad_norm": float("inf")},
        {"attention": "flash_atention_2"},
        {"seed": -1},
        {"seed": 2**32},
    ],
)
def test_a_single_mistake(bad: dict[str, object]) -> None:
    with pytest.raises(UserError, match=next(iter(bad))):
        TrainSettings(**bad)  # type: ignore[arg-type]


def test_as_many_as_fit_and_so_many_tokens_are_not_both_asked_for() -> None:
    with pytest.raises(UserError, match=r"64 tokens at a time(?s:.)*--batch-size auto(?s:.)*leave"):
        TrainSettings(fit_batch=True, micro_batch_tokens=64)
    for alone in ({"fit_batch": True}, {"micro_batch_tokens": 64}):
        TrainSettings(**alone)  # type: ignore[arg-type]
