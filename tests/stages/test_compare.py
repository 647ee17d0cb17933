"""Two prompts on the same real articles, by an oracle that minds what the prompt says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from distillery_core.errors import UserError
from distillery_core.oracle.ledger import Ledger
from distillery_core.stages.compare import compare_prompts, comparison_projection, with_prompt
from distillery_core.stages.project import Project, adopt
from tests.stages.answering import Asked
from tests.stages.conftest import crisis
from tests.stages.test_rounds_of_oracles import Rounds, _set

STRICT = "Be strict about metaphors."
SIZES: dict[str, Any] = {"n_positive": 12, "n_negative": 16, "n_edge": 4}


@pytest.fixture
def rounds(tmp_path: Path, corpus: Path) -> Rounds:
    return Rounds(tmp_path / "project", corpus)


def _prompts(project: Project) -> tuple[Path, Path]:
    """The present prompt, and a stricter one in a file of its own."""
    present = project.home(crisis(project)) / "prompt.md.j2"
    strict = project.root / "strict.md.j2"
    text = present.read_text(encoding="utf-8")
    strict.write_text(text.replace("{{ article }}", f"{STRICT}\n\n{{{{ article }}}}", 1))
    return present, strict


def test_a_stricter_prompt_is_shown_to_be_better(rounds: Rounds) -> None:
    """The oracle takes metaphors for crises unless the prompt tells it not to."""
    project = rounds.project
    filter = adopt(project, crisis(project))
    present, strict = _prompts(project)

    def minds(asked: Asked) -> dict[str, Any]:
        found = rounds.recorded[asked.key]
        lenient = STRICT not in asked.system
        wrong = lenient and rounds.classes[found.id].name == "off_topic"
        return _set(found.answer, lambda value: value + 6) if wrong else found.answer

    rounds.special = minds
    with rounds.serve() as server:
        projected = comparison_projection(
            project, filter, strict, input=rounds.corpus, oracle="live", **SIZES
        )
        result = compare_prompts(
            project, filter, strict, input=rounds.corpus, oracle="live", **SIZES
        )
        asked, body = len(server.asked), result.report_path.read_text(encoding="utf-8")
        again = compare_prompts(
            project, filter, strict, present, input=rounds.corpus, oracle="live", **SIZES
        )
    assert projected is not None and projected.to_ask == asked == 2 * 32
    assert again.summary.asked == 0  # every answer of both prompts is in the ledger
    assert result.headline == "B is better"
    assert body == again.report_path.read_text(encoding="utf-8").replace(
        "A is `prompt.md.j2`", "A is `the present prompt.md.j2`"
    )
    assert "B has fewer off-topic false positives: 0 vs" in body
    assert f"+{STRICT}" in body
    with Ledger.open(project.ledger) as ledger:
        rows = ledger.connection.execute(
            "SELECT prompt_sha256, count(*) FROM items GROUP BY prompt_sha256"
        ).fetchall()
    hashes = {filter.prompt_sha256, with_prompt(filter, strict).prompt_sha256}
    assert {row[0]: row[1] for row in rows} == dict.fromkeys(hashes, 32)


def test_a_validation_sample_is_not_spent_on_a_comparison(
    calibrated: Project, tmp_path: Path
) -> None:
    filter = crisis(calibrated)
    other = tmp_path / "other.md.j2"
    shutil.copy(calibrated.home(filter) / "prompt.md.j2", other)
    sample = calibrated.sample_path(filter, "validation", 2025)
    with pytest.raises(UserError, match="no choice between prompts may have seen"):
        compare_prompts(calibrated, filter, other, sample=sample)


@pytest.mark.parametrize(
    ("text", "problem"),
    [(None, "cannot be read"), ("Score it.\n", "does not send the article")],
)
def test_a_prompt_that_cannot_be_used_is_refused(
    calibrated: Project, tmp_path: Path, text: str | None, problem: str
) -> None:
    path = tmp_path / "other.md.j2"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=problem):
        compare_prompts(calibrated, crisis(calibrated), path)


def test_the_other_prompts_hashes_are_its_own(calibrated: Project, tmp_path: Path) -> None:
    filter = crisis(calibrated)
    before = filter.prompt_sha256
    path = tmp_path / "other.md.j2"
    path.write_text("Another.\n{{ article }}\n", encoding="utf-8")
    assert with_prompt(filter, path).prompt_sha256 != before
