"""The pre-filter: form and source, by a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.errors import UserErrors
from distillery_core.filters.prefilter import Prefilter, load_prefilter
from distillery_core.types import Article

TABLE = Path(__file__).parents[1] / "cases/filters/prefilter.yaml"
CASES = yaml.safe_load(TABLE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_article(case: dict[str, Any]) -> None:
    given = dict(case["article"])
    article = Article("1", given.pop("title", ""), given.pop("content"), given)
    reason = Prefilter.model_validate(case["rules"]).check(article)
    if "blocked" not in case:
        assert reason is None
    else:
        assert reason is not None
        assert case["blocked"] in reason


def test_filter_without_the_file_blocks_nothing(tmp_path: Path) -> None:
    assert load_prefilter(tmp_path / "prefilter.yaml") == Prefilter()


def test_every_mistake_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "prefilter.yaml"
    path.write_text(
        "min_chars: many\nsource: {block: [x]}\n"
        "patterns:\n  - name: ad\n    reason: advertisement\n    patterns: ['(']\n",
        encoding="utf-8",
    )
    with pytest.raises(UserErrors) as caught:
        load_prefilter(path)
    text = caught.value.render()
    assert f"{path}:1: min_chars:" in text
    assert f"{path}:2: source: unknown key, did you mean 'sources'?" in text
    assert f"{path}:6: patterns.0.patterns: '(' is not a regular expression" in text
