"""A sample drawn by nearness to seed sentences, embedded by a real model."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery_core.errors import UserError
from distillery_core.filters import Filter
from distillery_core.stages.calibrate import calibrate
from distillery_core.stages.project import Project, adopt
from distillery_core.stages.sample import draw, read_sample
from distillery_core.student.testing import tiny_base
from tests.stages.conftest import crisis

SEEDS = """
  seed_sentences:
    on_topic: [Many people were killed in an attack., Bushfires destroyed homes in Sydney.]
    edge: [The company cut jobs.]
    on_topic_at: 0.1
    edge_at: 0.02
    pool: 150
"""
FEW = {"n_positive": 8, "n_negative": 8, "n_edge": 4}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project" / "filters").mkdir(parents=True)
    return Project(tmp_path / "project")


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("embeds") / "base", "bert")


def _with_seeds(project: Project, rules: bool = True) -> Filter:
    filter = adopt(project, crisis(project))
    config = project.home(filter) / "config.yaml"
    text = config.read_text(encoding="utf-8")
    text = text.replace("  classes_file: recording/classes.jsonl\n", SEEDS)
    if not rules:
        start, end = text.index("  on_topic:\n    keywords:"), text.index("calibration:\n")
        text = text[:start] + text[end:]
    config.write_text(text, encoding="utf-8")
    return crisis(project)


def test_a_sample_by_similarity_names_it_in_each_row(
    project: Project, corpus: Path, base: Path
) -> None:
    filter = _with_seeds(project, rules=False)
    drawn = draw(project, filter, input=corpus, embedding_model=str(base), **FEW)
    assert drawn.drawn == {"on_topic": 8, "off_topic": 8, "edge": 4}
    rows = [article.extra["sample"] for article in read_sample(drawn.path)]
    assert {row["by"] for row in rows} == {"similarity"}
    assert all(row["reason"].startswith("similarity ") for row in rows)
    assert {row["seed"] for row in rows} == {2024}
    assert any("were embedded" in reason for reason in drawn.passed_over)
    before = drawn.path.read_bytes()
    draw(project, filter, input=corpus, embedding_model=str(base), **FEW)
    assert drawn.path.read_bytes() == before


def test_similarity_alone_is_a_review_at_most(project: Project, corpus: Path, base: Path) -> None:
    filter = _with_seeds(project)
    judged = calibrate(project, filter, input=corpus, embedding_model=str(base), **FEW).judged
    assert judged.front.measurements["classes_reviewed"].value == 0
    assert judged.decision.word != "PASS"
    assert "similarity to the filter's seed sentences" in judged.report.body


def test_without_a_model_keyword_rules_decide_if_there_are_any(
    project: Project, corpus: Path
) -> None:
    drawn = draw(project, _with_seeds(project), input=corpus, **FEW)
    assert {article.extra["sample"]["by"] for article in read_sample(drawn.path)} == {"rules"}


def test_the_filters_own_student_embeds_where_there_is_one(
    project: Project, corpus: Path, base: Path
) -> None:
    filter = _with_seeds(project)
    (project.home(filter) / "model").symlink_to(base, target_is_directory=True)
    drawn = draw(project, filter, input=corpus, **FEW)
    assert {article.extra["sample"]["by"] for article in read_sample(drawn.path)} == {"similarity"}


def test_without_model_and_rules_it_says_what_to_name(project: Project, corpus: Path) -> None:
    with pytest.raises(UserError, match="--embedding-model"):
        draw(project, _with_seeds(project, rules=False), input=corpus, **FEW)


def test_a_model_without_seed_sentences_is_refused(project: Project, corpus: Path) -> None:
    filter = adopt(project, crisis(project))
    config = project.home(filter) / "config.yaml"
    config.write_text(
        config.read_text(encoding="utf-8").replace("  classes_file: recording/classes.jsonl\n", "")
    )
    with pytest.raises(UserError, match="no seed sentences"):
        draw(project, crisis(project), input=corpus, embedding_model="any", **FEW)
