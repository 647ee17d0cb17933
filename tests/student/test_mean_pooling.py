"""The layer that brings the mean of the tokens to the token that BERT's head reads."""

from __future__ import annotations

import importlib.util
import json
import shutil
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import layer_norm
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertModel,
)
from transformers.utils import hub

from distillery_core.dataset.rows import read_examples
from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.features import base_sha256
from distillery_core.student.mean_pooling import pools_mean
from distillery_core.student.model_factory import build
from distillery_core.student.planning.auto import pooling_of
from distillery_core.student.planning.shape import describe_model, shape_of
from distillery_core.student.predict import load_model, predict
from distillery_core.student.settings import TrainSettings
from distillery_core.student.training import train

Make = Callable[..., TrainSettings]
DESCRIBED = [
    ({"pooling_mode_mean_tokens": True}, True),
    ({"pooling_mode": "mean"}, True),
    ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, False),
    ({"pooling_mode": "cls"}, False),
    ({}, False),
]


@pytest.fixture
def described(base: Callable[[str], Path], tmp_path: Path) -> Callable[[str], str]:
    """A tiny BERT beside which this stands as sentence-transformers' description."""

    def copied(text: str) -> str:
        folder = tmp_path / "base"
        shutil.copytree(base("bert"), folder)
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(text)
        return str(folder)

    return copied


def layers(settings: TrainSettings, filter: Filter) -> int:
    built: int = build(settings, filter.dimensions).model.config.num_hidden_layers
    return built


@pytest.mark.parametrize(("description", "by_mean"), DESCRIBED)
def test_a_base_is_read_as_it_was_pretrained(
    description: dict[str, object],
    by_mean: bool,
    described: Callable[[str], str],
    filter_: Filter,
    settings: Make,
) -> None:
    name = described(json.dumps(description))
    plain = layers(settings("bert"), filter_)
    assert layers(settings("bert", model_name=name), filter_) == plain + by_mean
    assert layers(settings("bert", model_name=name, pooling="first"), filter_) == plain
    assert layers(settings("bert", model_name=name, pooling="mean"), filter_) == plain + 1
    assert shape_of(name, 3).layers == plain + by_mean


def test_a_description_that_cannot_be_read_counts_as_none(
    described: Callable[[str], str], filter_: Filter, settings: Make
) -> None:
    name = described("{ no json")
    assert layers(settings("bert", model_name=name), filter_) == layers(settings("bert"), filter_)


@pytest.fixture
def kept(base: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A snapshot of `ana/bert` in the hub's cache, without a description; the hub is out of
    reach."""
    revision = "0" * 40
    repo = tmp_path / "cache" / "models--ana--bert"
    shutil.copytree(base("bert"), repo / "snapshots" / revision)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(revision)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    return repo


def test_a_hub_that_does_not_answer_is_told(
    kept: Path, filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    said = "The head reads the first token: the base's 1_Pooling/config.json could not be had"
    for method in ("full", "frozen"):
        lines: list[str] = []
        asked = settings("bert", model_name="ana/bert", method=method)
        result = train(filter_, data_dir, tmp_path / method, asked, say=lines.append)
        assert result.metadata["head_reads_mean"] is False
        assert sum(line.startswith(said) for line in lines) == 1

    # The hub was asked before, and had none: as it stands in its cache.
    absent = kept / ".no_exist" / ("0" * 40) / "1_Pooling" / "config.json"
    absent.parent.mkdir(parents=True)
    absent.touch()
    lines = []
    assert pooling_of(settings("bert", model_name="ana/bert"), lines.append) == "first"
    assert not lines


def test_a_hub_that_has_no_description_says_so_itself(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:  # the server looks for this name
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *values: object) -> None:
            pass

    lines: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(hub.constants, "ENDPOINT", address)
        monkeypatch.setattr(hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
        assert not pools_mean(BertConfig(), "ana/bert", "auto", lines.append)
        server.shutdown()
    assert not lines


def test_the_head_reads_the_mean_to_begin_with(filter_: Filter, settings: Make) -> None:
    asked = settings("bert", pooling="mean")
    torch.manual_seed(0)
    built = build(asked, filter_.dimensions)
    base = AutoModel.from_pretrained(asked.model_name).eval()
    ids = torch.randint(5, 50, (1, 40))
    with torch.inference_mode():
        states = base(input_ids=ids).last_hidden_state[0]
        read = built.model.eval().bert(input_ids=ids).pooler_output[0]
    mean = layer_norm(8 * states.mean(dim=0) + states[0], states.shape[1:])
    assert read.numpy() == pytest.approx(torch.tanh(0.5 * mean).numpy(), abs=1e-3)
    assert describe_model(built.model).layers == base.config.num_hidden_layers + 1


@pytest.mark.parametrize("method", ["full", "lora", "frozen"])
def test_what_is_saved_is_a_plain_bert_that_has_learned(
    method: str, filter_: Filter, data_dir: Path, settings: Make, tmp_path: Path
) -> None:
    asked = settings("bert", pooling="mean", method=method, epochs=1)
    result = train(filter_, data_dir, tmp_path, asked)
    articles = list(read_examples(data_dir / "val.jsonl"))[:5]
    given = predict(load_model(result.model_dir), articles, calibrated=False).values
    model = AutoModelForSequenceClassification.from_pretrained(result.model_dir).eval()
    assert type(model).__name__ == "BertForSequenceClassification"
    tokenizer = AutoTokenizer.from_pretrained(result.model_dir)
    encoder = load_model(result.model_dir).encoder
    encoded = encoder.encode((a.id, a.title, a.content) for a in articles)
    with torch.inference_mode():
        rows = [model(torch.tensor([one.tokens])).logits[0].numpy() for one in encoded]
    assert np.clip(rows, 0, 10) == pytest.approx(given, abs=1e-4)
    assert tokenizer.pad_token_id is not None
    assert result.metadata["head_reads_mean"] is True
    if method == "full":
        moved = result.metadata["weights_moved"]
        assert moved["tensors_moved"] == moved["tensors"], "the new layer is trained too"


@pytest.mark.parametrize(
    ("head", "description", "by_mean", "said"),
    [
        ("mlp", {"pooling_mode": "cls"}, True, "Its head reads the mean of an article's tokens"),
        ("ridge", {"pooling_mode": "mean"}, True, "Its head reads the mean of an article's tokens"
         " (one layer more)"),
        ("ridge", {"pooling_mode": "cls"}, False, None),
    ],
)  # fmt: skip
def test_a_frozen_run_records_what_its_head_reads(
    head: str,
    description: dict[str, str],
    by_mean: bool,
    said: str | None,
    described: Callable[[str], str],
    filter_: Filter,
    data_dir: Path,
    settings: Make,
    tmp_path: Path,
) -> None:
    """An MLP head reads the mean whatever the base was pretrained for, and needs no layer."""
    name, lines = described(json.dumps(description)), []
    asked = settings("bert", model_name=name, method="frozen", frozen_head=head, head_epochs=1)
    result = train(filter_, data_dir, tmp_path / "out", asked, say=lines.append)
    assert result.metadata["head_reads_mean"] is by_mean
    assert [line for line in lines if "reads the mean" in line] == ([said] if said else [])


@pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)
def test_qlora_holds_the_layer_plainly(
    filter_: Filter, data_dir: Path, settings: Make, base: Callable[[str], Path], tmp_path: Path
) -> None:
    """On matrices of a width that the 4-bit blocks divide."""
    small, wide = base("bert"), tmp_path / "wide"
    BertModel(BertConfig.from_pretrained(small, hidden_size=128)).save_pretrained(wide)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(small / name, wide / name)
    asked = settings("bert", model_name=str(wide), pooling="mean", method="qlora", precision="bf16")
    result = train(filter_, data_dir, tmp_path / "out", asked)
    assert result.metadata["head_reads_mean"] is True
    moved = result.metadata["weights_moved"]
    assert moved["tensors_moved"] == moved["tensors"]
    assert load_model(result.model_dir).model.config.num_hidden_layers == 3


def test_features_of_a_frozen_base_do_not_depend_on_the_seed(
    filter_: Filter, settings: Make
) -> None:
    found = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        built = build(settings("bert", pooling="mean", seed=seed), filter_.dimensions)
        found.add(base_sha256(built.model, built.base_config_sha256))
    assert len(found) == 1


def test_other_bases_have_their_own_way(
    filter_: Filter, settings: Make, base: Callable[[str], Path]
) -> None:
    with pytest.raises(UserError, match="pooling is mean, which a qwen2 base cannot do"):
        build(settings("qwen2", pooling="mean"), filter_.dimensions)
    with pytest.raises(UserError, match="a modernbert base cannot"):
        shape_of(str(base("modernbert")), 3, "mean")


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize(("pooling", "moves"), [("mean", False), ("first", True)])
def test_only_what_is_new_has_the_heads_rate(
    pooling: str,
    moves: bool,
    method: str,
    filter_: Filter,
    data_dir: Path,
    settings: Make,
    tmp_path: Path,
) -> None:
    """A pooler that begins as the mean is not."""
    asked = settings(
        "bert", method=method, pooling=pooling, epochs=1, learning_rate=1e-9,
        head_learning_rate=1e-2, weight_decay=0.0,
    )  # fmt: skip
    result = train(filter_, data_dir, tmp_path, asked)
    model = load_model(result.model_dir).model
    torch.manual_seed(asked.seed)
    before = build(asked, filter_.dimensions).model
    pooler = (model.bert.pooler.dense.weight - before.bert.pooler.dense.weight).detach().abs().max()
    assert (float(pooler) > 1e-3) is moves
    head = (model.classifier.weight - before.classifier.weight).detach().abs().max()
    assert float(head) > 1e-3
