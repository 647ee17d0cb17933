"""What is refused before anything starts: exit 2, one clear line, not a file written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

CASES = Path(__file__).parents[2] / "cases" / "bad_input"
FILES = yaml.safe_load((CASES / "files.yaml").read_text(encoding="utf-8"))
DEFINITIONS = yaml.safe_load((CASES / "definitions.yaml").read_text(encoding="utf-8"))
SCORE = ("score", "--filter", "tiny:v1", "--unpromoted", "--input")
LABEL = ("label", "--filter", "storm", "--input", "articles.jsonl")


def assert_refused(outcome: Any, *words: str) -> None:
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    assert sum(line.startswith("error: ") for line in outcome.err.splitlines()) == 1
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err


def write_unusable(project: Path) -> None:
    (project / "folder").mkdir()
    (project / "nothing.jsonl").write_text("\n\n", encoding="utf-8")
    (project / "useless.jsonl").write_text('not json\n{"id": "1", "title": "t"}\n', "utf-8")
    (project / "fake.jsonl.gz").write_text('{"id": "1", "content": "plain text"}\n', "utf-8")
    (project / "torn.jsonl.gz").write_bytes(b"\x1f\x8b this is no gzip at all")


@pytest.mark.parametrize("command", FILES["commands"])
def test_a_file_that_cannot_be_used(kit: Any, command: str) -> None:
    write_unusable(kit.project)
    before = kit.snapshot()
    for name, words in FILES["inputs"].items():
        arguments = [name if word == "INPUT" else word for word in FILES["commands"][command]]
        assert_refused(kit.run(*arguments), name, *words)
        assert kit.snapshot() == before


def test_mistakes_in_a_filter_are_told_with_file_and_line(kit: Any) -> None:
    kit.articles(3)
    folder = kit.project / "filters" / "storm" / "v1"
    for case in DEFINITIONS:
        path = folder / case["file"]
        right = path.read_text(encoding="utf-8")
        wrong = right
        for old, new in case["replace"].items():
            assert wrong.count(old) == 1, case["name"]
            wrong = wrong.replace(old, new)
        path.write_text(wrong, encoding="utf-8")
        before = kit.snapshot()
        assert_refused(kit.run(*LABEL), *case["says"])
        assert kit.snapshot() == before, case["name"]
        path.write_text(right, encoding="utf-8")


def test_an_unknown_filter_is_answered_with_near_ones(kit: Any) -> None:
    kit.articles(3)
    before = kit.snapshot()
    for verb in (("label",), ("score", "--output", "s.jsonl"), ("sample",)):
        outcome = kit.run(*verb, "--filter", "strom", "--input", "articles.jsonl")
        assert_refused(outcome, "no filter 'strom'", "did you mean storm")
    assert kit.snapshot() == before


@pytest.mark.parametrize("verb", ["label", "sample", "score"])
def test_an_output_that_cannot_be_written(kit: Any, verb: str) -> None:
    """As root too: /proc takes no file, nothing lies below a file, and a pipe is no place."""
    kit.articles(3)
    os.mkfifo(kit.project / "pipe")
    (kit.project / "folder").mkdir()
    chosen = ("--filter", "tiny:v1", "--unpromoted") if verb == "score" else ("--filter", "storm")
    before = kit.snapshot()
    for output, words in {
        "/proc/distillery/out.jsonl": "cannot be written",
        "labelled.jsonl/out.jsonl": "is no folder",
        "folder": "is a folder",
        "pipe": "is no ordinary file",
        "articles.jsonl": "input and output are the same file",
    }.items():
        outcome = kit.run(verb, *chosen, "--input", "articles.jsonl", "--output", output)
        assert_refused(outcome, output.split("/out")[0], words)
    assert kit.snapshot(".distillery") == before


def test_a_project_that_cannot_be_written(kit: Any) -> None:
    kit.articles(3)
    (kit.project / ".distillery").write_text("in the way", encoding="utf-8")
    shutil.rmtree(kit.project / "datasets")
    (kit.project / "datasets").write_text("in the way", encoding="utf-8")
    before = kit.snapshot()
    assert_refused(kit.run(*LABEL), "sample-articles.jsonl: cannot be written", "--output")
    assert_refused(kit.run(*LABEL, "--output", "o.jsonl"), "the ledger cannot be opened")
    assert_refused(kit.run("prepare", "--filter", "tiny", "--input", "labelled.jsonl"), "tiny")
    assert kit.snapshot() == before


def test_an_oracle_that_is_down_or_says_no(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a call that was tried the ledger keeps the record; there is nothing else."""
    kit.articles(8)
    before = kit.snapshot(".distillery", "oracles.yaml")
    assert_refused(kit.run(*LABEL), "nobody answers at http://127.0.0.1:9/v1", "start the server")
    calibrate = kit.run("calibrate", "--filter", "storm", "--sample", "articles.jsonl")
    assert_refused(calibrate, "nobody answers at")

    server = kit.serve(key="right", api_key_env="ORACLE_KEY")
    unset = kit.run(*LABEL)
    assert_refused(unset, "oracle 'test'", "ORACLE_KEY is not set", "export ORACLE_KEY=")
    monkeypatch.setenv("ORACLE_KEY", "wrong-key-of-mine")
    refused = kit.run(*LABEL)
    assert_refused(refused, "oracle 'test'", "401", "check the key in ORACLE_KEY")
    assert "wrong-key-of-mine" not in refused.err
    assert server.requests.total() == 0

    kit.serve(price=None, model="unheard-of")
    assert_refused(kit.run(*LABEL), "no price is known for 'unheard-of'", "add `price:")
    assert_refused(kit.run(*LABEL, "--oracle", "tset"), "no oracle 'tset'", "did you mean test?")
    assert kit.snapshot(".distillery", "oracles.yaml") == before


def test_a_model_folder_with_something_missing(kit: Any) -> None:
    model = kit.project / "filters" / "tiny" / "v1" / "model"
    whole = kit.project / "whole"
    shutil.copytree(model, whole)
    score = (*SCORE, "labelled.jsonl", "--output", "scores.jsonl")
    weights = (whole / "model.safetensors").read_bytes()
    for name, content, words in (
        ("model.safetensors", None, "the model folder has no weights"),
        ("model.safetensors", weights[: len(weights) // 2], "the model cannot be loaded"),
        ("model.safetensors", b"", "the model cannot be loaded"),
        ("tokenizer_config.json", None, "the model folder has no tokenizer_config.json"),
        ("config.json", None, "no trained model there"),
        ("config.json", b"{", "the model cannot be loaded"),
        ("distillery.json", None, "distillery.json"),
        ("distillery.json", b"{", "not a model card"),
    ):
        (model / name).unlink()
        if content is not None:
            (model / name).write_bytes(content)
        before = kit.snapshot()
        assert_refused(kit.run(*score), "filters/tiny/v1", words)
        assert kit.snapshot() == before
        shutil.copyfile(whole / name, model / name)
    assert kit.run(*score).code == 0


def test_other_verbs_need_weights_too(kit: Any) -> None:
    shutil.copytree(kit.project / "base", kit.project / "hollow")
    (kit.project / "hollow" / "model.safetensors").unlink()
    (kit.project / "filters" / "tiny" / "v1" / "model" / "model.safetensors").unlink()
    before = kit.snapshot()
    train = ("train", "--filter", "tiny", "--no-mlflow", "--max-length", "32", "--model-name")
    assert_refused(kit.run(*train, "./hollow"), "./hollow", "no weights in safetensors")
    assert_refused(kit.run(*train, "./missing"), "no model folder './missing'")
    evaluate = kit.run("evaluate", "--filter", "tiny", "--no-mlflow", "--no-read")
    assert_refused(evaluate, "the model folder has no weights", "distillery train")
    assert kit.snapshot() == before
