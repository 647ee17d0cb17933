from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from distillery_core.agents.definition import load_agent
from distillery_core.errors import UserError
from distillery_core.types import Level


@pytest.mark.parametrize("name", ["prompt_calibration", "model_evaluation"])
def test_every_line_of_a_shipped_agent_has_an_action(name: str, project: Path) -> None:
    agent = load_agent(name, project)
    assert set(agent.declared.actions) == set(agent.criteria.names)
    for line in agent.criteria.lines:
        actions = agent.declared.actions[line.name]
        assert actions.for_level(Level.FAIL, insufficient=False)
        if line.minimum_n:
            assert actions.for_level(Level.REVIEW, insufficient=True)
    assert set(agent.declared.reports) == set(agent.criteria.commands)


def test_a_project_may_bring_its_own_agent(tmp_path: Path, project: Path) -> None:
    own = tmp_path / "agents" / "prompt_calibration"
    shutil.copytree(project / "agents" / "prompt_calibration", own)
    assert load_agent("prompt_calibration", tmp_path).folder == own.resolve()


def test_an_action_for_no_line_is_a_mistake(tmp_path: Path, project: Path) -> None:
    own = tmp_path / "agents" / "model_evaluation"
    shutil.copytree(project / "agents" / "model_evaluation", own)
    path = own / "agent.yaml"
    text = path.read_text(encoding="utf-8").replace("  test_rmse:", "  test_rsme:")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="test_rsme"):
        load_agent("model_evaluation", tmp_path)


def test_a_verdict_without_a_next_step_is_a_mistake(tmp_path: Path, project: Path) -> None:
    own = tmp_path / "agents" / "model_evaluation"
    shutil.copytree(project / "agents" / "model_evaluation", own)
    path = own / "agent.yaml"
    text = path.read_text(encoding="utf-8").replace("next:\n  evaluation:", "next:\n  other:")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="next says nothing for: evaluation"):
        load_agent("model_evaluation", tmp_path)
