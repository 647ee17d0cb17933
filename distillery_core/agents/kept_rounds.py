"""Keeps what a round was made of under `calibration/round-<NN>/`, so that rounds can be compared.

report.md       the report as it was             prompt.md.j2       the prompt that was judged
report.json     its record, every number         prompt_edits.diff  what the reader proposed
articles.jsonl  the sample: identity, class, state and scores of each article. Of its text only
                the title and the cut words of the oracle, as the report shows them: a filter's
                folder is shared, a corpus often may not be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distillery_core.agents.prompt_edits import Proposal, write_proposal
from distillery_core.agents.publishing import Judged
from distillery_core.agents.rounds import KEPT_ROUNDS
from distillery_core.agents.scored import ScoredArticle
from distillery_core.files import atomic_write, write_text
from distillery_core.filters.filter import PROMPT, Filter
from distillery_core.reports.markdown import cut, one_line
from distillery_core.reports.record import record_path

_TITLE_CHARS = 90
_WORDS_CHARS = 260


def keep_round(
    folder: Path,
    number: int,
    filter: Filter,
    scored: Sequence[ScoredArticle],
    judged: Judged,
    proposal: Proposal,
) -> Path:
    """Write the round's folder; judging the same round again writes the same files."""
    kept = folder / KEPT_ROUNDS / f"round-{number:02}"
    with atomic_write(kept / "articles.jsonl") as handle:
        for one in scored:
            handle.write(json.dumps(_row(one), ensure_ascii=False) + "\n")
    write_text(kept / PROMPT, filter.prompt_template)
    _copy(judged.report_path, kept / "report.md")
    _copy(record_path(judged.report_path), kept / "report.json")
    write_proposal(kept, proposal)
    return kept


def _copy(source: Path, target: Path) -> None:
    with atomic_write(target, "wb") as handle:
        handle.write(source.read_bytes())


def _row(one: ScoredArticle) -> dict[str, Any]:
    given = one.article.extra.get("sample")
    sample = given if isinstance(given, dict) else {}
    return {
        "id": one.article.id,
        "title": cut(one_line(one.article.title), _TITLE_CHARS),
        "key": one.key,
        "class": one.class_name,
        "class_reason": one.class_reason,
        "seed": sample.get("seed"),
        "state": one.state,
        "overall": one.overall,
        "scores": None if one.scores is None else dict(one.scores),
        "words": cut(one_line(one.reasoning or one.failure or ""), _WORDS_CHARS),
    }
