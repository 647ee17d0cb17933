"""benchmarks/emobank.py and lee_news.py: their splits, figures and page, on a few made-up rows."""

from __future__ import annotations

import gzip
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery_core.dataset.manifest import verify_manifest
from distillery_core.dataset.prepare import prepare
from distillery_core.dataset.rows import read_examples
from distillery_core.filters import load_filter

ROOT = Path(__file__).parents[2]
WORDS = ("war", "joy", "calm", "grief", "storm", "gift", "loss", "peace", "fear", "song", "fire")


@pytest.fixture(autouse=True)
def in_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def sentence(number: int, split: str) -> dict[str, Any]:
    draw = random.Random(number)
    labels = {name: draw.randint(4, 16) / 4 for name in ("valence", "arousal", "dominance")}
    text = " ".join(draw.choices(WORDS, k=12))
    return {"id": f"s{number}", "split": split, "text": text, "category": "blog", "labels": labels}


@pytest.fixture
def emobank_data(tmp_path: Path) -> Path:
    """60 sentences to train on, 20 of each other split; s0 stands in the test split too."""
    splits = ["train"] * 60 + ["dev"] * 20 + ["test"] * 20
    rows = [sentence(number, split) for number, split in enumerate(splits)]
    rows[-1]["text"] = rows[0]["text"]
    (tmp_path / "emobank").mkdir()
    with gzip.open(tmp_path / "emobank" / "emobank.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)
    return tmp_path


def test_the_official_split_is_kept_and_what_was_seen_is_known(
    emobank_data: Path, tmp_path: Path
) -> None:
    import emobank
    import quality

    folder = emobank.official_split(load_filter(emobank.FILTER), emobank_data, tmp_path)
    rows = {name: split.rows for name, split in verify_manifest(folder).splits.items()}
    assert rows == {"train": 60, "val": 20, "test": 20}
    splits = quality.splits_of(folder)
    test = emobank.Test.of(splits)
    assert {one.id for one in splits.test} == {f"s{number}" for number in range(80, 100)}
    seen = [one.id for one, new in zip(splits.test, test.unseen, strict=True) if not new]
    assert seen == ["s99"]
    wrong_where_seen = test.labels + np.where(test.unseen, 0.0, 2.5)[:, None]
    every, unseen = test.measure(wrong_where_seen)
    assert (every.mae, unseen.mae) == (pytest.approx(1 / 20), 0.0)


def test_rows_that_are_tested_too_are_left_out_of_training(
    emobank_data: Path, tmp_path: Path
) -> None:
    import emobank
    import resplit

    emobank.official_split(load_filter(emobank.FILTER), emobank_data, tmp_path)
    prepared = {one.id for part in ("train", "val", "test")
                for one in read_examples(tmp_path / "prepared" / f"{part}.jsonl")}  # fmt: skip
    chosen = {id: "test" if id == "s99" else "train" for id in prepared}
    assert resplit.resplit(tmp_path / "prepared", tmp_path / "out", chosen, "hand") == 1
    assert "s0" not in {one.id for one in read_examples(tmp_path / "out" / "train.jsonl")}


def test_rows_without_a_split_are_left_out_and_not_counted(
    emobank_data: Path, tmp_path: Path
) -> None:
    import emobank
    import resplit

    filter = load_filter(emobank.FILTER)
    rows = [emobank.labelled_row(filter, sentence(number, "train")) for number in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare(filter, tmp_path / "rows.jsonl", tmp_path / "prepared")
    chosen = {"s1": "train", "s2": "val", "s3": "test"}
    assert resplit.resplit(tmp_path / "prepared", tmp_path / "out", chosen, "hand") == 0
    manifest = verify_manifest(tmp_path / "out")
    assert manifest.assigned_by == "hand"
    assert [split.rows for split in manifest.splits.values()] == [1, 1, 1]


def test_each_article_is_held_out_once_and_like_ones_together(tmp_path: Path) -> None:
    import lee_news

    held_out: list[str] = []
    fold_of: dict[str, set[str]] = {}
    for folder in lee_news.fold_folders(lee_news.crisis(), tmp_path):
        test, train, val = (
            read_examples(folder / f"{name}.jsonl") for name in ("test", "train", "val")
        )
        held_out += [one.id for one in test]
        assert len(train) + len(val) + len(test) == 350
        assert 0.07 < len(val) / (len(val) + len(train)) < 0.13
        assert not {one.group for one in train if one.group} & {one.group for one in val}
        for one in test:
            fold_of.setdefault(one.group or one.id, set()).add(folder.name)
    assert len(held_out) == len(set(held_out)) == 350
    assert len(fold_of) < 350, "the corpus has texts that are alike"
    assert {len(folds) for folds in fold_of.values()} == {1}


def test_figures_are_on_the_reported_scale() -> None:
    import quality

    labels = np.array([[0.0, 10.0], [5.0, 5.0], [10.0, 0.0]])
    found = quality.quality(labels + np.array([2.5, -2.5]), labels, unit=2.5)
    assert (found.mae, found.rmse) == (1.0, 1.0)
    assert found.dimension_pearson == pytest.approx((1.0, 1.0))
    constant = quality.quality(np.full((3, 2), 5.0), labels, correlates=False)
    assert constant.pearson is None
    assert quality.mean_of([found, found]) == found


def test_the_page_and_the_lines_that_others_read(
    emobank_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import emobank
    import quality

    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text("<!-- training quality -->\nold\n<!-- end -->\n")
    figures.write_text('{"news": {"kept": true}}')
    monkeypatch.setattr(quality, "BENCHMARKS_PAGE", page)
    monkeypatch.setattr(quality, "RESULTS_FILE", figures)
    monkeypatch.setenv("DISTILLERY_DATA", str(emobank_data))
    monkeypatch.setattr(sys, "argv", ["emobank.py", "--seeds", "1", "--write"])
    emobank.main()
    last = [line.partition("=")[0] for line in capsys.readouterr().out.splitlines()[-5:]]
    assert last == [
        "emobank_unseen_mae", "emobank_unseen_pearson",
        "emobank_mae", "emobank_pearson", "emobank_ridge_mae",
    ]  # fmt: skip
    text = page.read_text()
    assert "old" not in text
    assert "| MiniLM fine-tuned, 2 epochs, 15 minutes on one core | 0.160 | - | 0.570 |" in text
    assert "| training mean | 0.197 | - | - | - | - | - |" in text
    found = json.loads(figures.read_text())
    assert found["news"] == {"kept": True}
    assert found["emobank"]["unseen_sentences"] == 19
    assert f"`emobank_mae={found['emobank']['results']['emobank_mae']}`" in text


@pytest.mark.parametrize(
    ("script", "options"),
    [("emobank", ["--rows", "9"]), ("lee_news", ["--folds", "2"]), ("lee_news", ["--folds", "9"])],
)
def test_a_part_is_no_result(
    script: str, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = __import__(script)
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *options, "--write"])
    with pytest.raises(SystemExit) as stopped:
        module.read_arguments()
    assert stopped.value.code == 2
