"""The readiness of an oracle on random articles: recorded and really asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery_core.errors import CheckFailed, UserError
from distillery_core.stages.label import refuse_too_many_samples
from distillery_core.stages.project import Project, adopt
from distillery_core.stages.readiness import check_oracle_readiness, readiness_projection
from distillery_core.verdicts.criteria import load_criteria
from distillery_core.verdicts.gate import check_report
from tests.stages.answering import answering
from tests.stages.conftest import crisis


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project" / "filters").mkdir(parents=True)
    return Project(tmp_path / "project")


def test_a_good_oracle_is_ready_and_the_job_is_projected(project: Project, corpus: Path) -> None:
    result = check_oracle_readiness(project, crisis(project), input=corpus, n=60)
    judged, job = result.judged, result.job
    assert judged.decision.word == "READY"
    assert judged.report_path.name == "oracle_readiness_report.md"
    criteria = load_criteria("oracle_readiness", project.root).for_round("readiness")
    assert check_report(judged.report_path, criteria, judged.front.evidence).open
    rates = {one["name"]: one for one in judged.front.numbers["rates"]}
    watch, acute = rates["watch, on-topic cut"], rates["acute, severe cut"]
    # The corpus's own share, 59 %, lies in the interval of a random sample.
    assert watch["n"] == 60 and watch["low"] < 0.589 < watch["high"]
    assert watch["of_interest"] and not acute["of_interest"]
    assert watch["expected_low"] < watch["expected"] < watch["expected_high"] <= job.corpus
    assert acute["count"] == judged.front.measurements["severe_articles"].value
    assert (job.corpus, job.to_ask) == (350, 350 - job.blocked - 60)
    assert 0 < job.low_usd < job.high_usd and job.paid is False
    assert job.seconds is not None and job.seconds > 0
    assert "recorded, nothing is paid; would cost" in judged.report.body
    assert "| watch, on-topic cut (of interest) | 2.5 |" in judged.report.body


def test_the_same_seed_asks_about_the_same_articles(project: Project, corpus: Path) -> None:
    first = check_oracle_readiness(project, crisis(project), input=corpus, n=30)
    again = check_oracle_readiness(project, crisis(project), input=corpus, n=30)
    other = check_oracle_readiness(project, crisis(project), input=corpus, n=30, random_seed=5)
    assert (first.summary.asked, again.summary.asked) == (30, 0)
    samples = [one.judged.front.evidence["sample_sha256"] for one in (first, again, other)]
    assert samples[0] == samples[1] != samples[2]


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ({"reasoning": "x", **dict.fromkeys("abcdef", 7)}, {"success"}),
        ("no JSON at all", {"success"}),
        (7.0, {"highest_std", "constant_dimensions"}),
        (0.0, {"highest_std", "constant_dimensions"}),
    ],
    ids=["other dimensions", "no answer", "everything 7", "everything 0"],
)
def test_an_oracle_that_is_not_ready_is_blocked(
    project: Project, corpus: Path, answer: object, lines: set[str]
) -> None:
    filter = adopt(project, crisis(project))
    same = {"reasoning": "x", **dict.fromkeys(filter.dimensions, answer)}
    with answering(
        lambda _: same if isinstance(answer, float) else answer,  # type: ignore[return-value]
        project.root,
    ):
        judged = check_oracle_readiness(project, filter, input=corpus, n=12, oracle="live").judged
    assert judged.decision.word == "BLOCK"
    assert lines <= {line.name for line in judged.decision.because}


def test_a_needle_filter_without_a_severe_article_is_a_review(
    project: Project, corpus: Path
) -> None:
    filter = adopt(project, crisis(project))
    with answering(
        lambda asked: {
            "reasoning": "x",
            **{name: len(asked.content) * (at + 1) % 19 / 10 for at, name in enumerate(dimensions)},
        },
        project.root,
    ):
        dimensions = filter.dimensions
        judged = check_oracle_readiness(project, filter, input=corpus, n=20, oracle="live").judged
    assert judged.front.kind == "needle"
    assert judged.decision.word == "REVIEW"
    assert "severe_articles" in {line.name for line in judged.decision.because}
    assert judged.front.numbers["job"]["paid"] is True


def test_its_articles_do_not_use_up_the_samples_and_have_a_limit_of_their_own(
    project: Project, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filter = crisis(project)
    check_oracle_readiness(project, filter, input=corpus, n=40)
    monkeypatch.setattr("distillery_core.stages.label.SAMPLE_LIMIT", 50)
    refuse_too_many_samples(project, filter, [], more_samples=False)
    with pytest.raises(CheckFailed, match="articles labelled as samples of crisis:v1, 50 may be"):
        check_oracle_readiness(project, filter, input=corpus, n=80, random_seed=9)


def test_a_corpus_with_nothing_to_ask_about_is_refused(project: Project, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text(json.dumps({"id": "1", "title": "a", "content": "too short"}) + "\n")
    with pytest.raises(UserError, match="no article that crisis:v1 would ask"):
        check_oracle_readiness(project, crisis(project), input=empty)


def test_the_projection_is_of_the_articles_asked_about(project: Project, corpus: Path) -> None:
    before = readiness_projection(project, crisis(project), corpus, 30)
    assert before.to_ask == 30
    check_oracle_readiness(project, crisis(project), input=corpus, n=30)
    after = readiness_projection(project, crisis(project), corpus, 40)
    assert after.to_ask == 10
    assert after.basis == "measured on 30 answers of this prompt"
