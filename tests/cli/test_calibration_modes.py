"""`calibrate --oracle-check` and `--compare` as they are typed, on recorded answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distillery_filter_crisis.corpus import articles

Run = Callable[..., Any]


def test_both_modes_of_calibrate(project: Path, run: Run) -> None:
    corpus = project / "articles.jsonl"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in articles()), encoding="utf-8")
    here = ("calibrate", "--filter", "crisis")

    checked = run(*here, "--oracle-check", "--n", "40", "--input", "articles.jsonl", "--json")
    assert checked.code == 0
    assert checked.json["verdict"] == "READY"
    assert checked.json["rates"][0]["n"] == 40
    assert checked.json["full_job"]["to_ask"] == 310
    plain = run(*here, "--oracle-check", "--n", "40", "--input", "articles.jsonl")
    assert "full job: 310 calls" in plain.out and "0 calls, 40 answers from the ledger" in plain.out

    sizes = ("--n-positive", "8", "--n-negative", "8", "--n-edge", "2", "--random-seed", "7")
    drawn = run(*here, "--input", "articles.jsonl", *sizes, "--json")
    assert drawn.json["sample"].endswith("calibration-7.jsonl")
    assert drawn.json["replaced"] == 0

    home = project / "filters" / "crisis" / "v1"
    (project / "b.md.j2").write_bytes((home / "prompt.md.j2").read_bytes())
    seed = ("--random-seed", "7")
    alone = run(*here, "--compare", "b.md.j2", *seed)
    assert alone.code == 0
    assert alone.out.startswith("No difference shown with this n.")
    both = run(*here, "--compare", str(home / "prompt.md.j2"), "b.md.j2", *seed, "--json")
    assert both.json["headline"] == "No difference shown with this n"
    assert both.json["labelling"]["asked"] == 0
    assert (home / "prompt_comparison.md").is_file()
