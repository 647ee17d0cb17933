"""Several oracles behind their gates, the agreement report beside the labels, the noise floor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery_core.cli.main import main
from distillery_core.dataset.manifest import load_manifest
from distillery_core.errors import GateClosed, UserError
from distillery_core.filters import Filter, resolve_filter
from distillery_core.stages import calibrate, gates, prepare
from distillery_core.stages.label_several import label_with_several, several_projection
from distillery_core.stages.project import Project
from distillery_core.verdicts.front_matter import read_report

SECOND = {
    "provider": "replay",
    "recording": "plugin",
    "model": "other",
    "paid": False,
    "price_of": "gemini-2.5-flash",
}


def crisis(project: Project) -> Filter:
    return resolve_filter("crisis", project.root)


@pytest.fixture
def two_oracles(calibrated: Project) -> Project:
    """A second name for the recording: an oracle that answers the same."""
    oracles = yaml.safe_load((Path(__file__).parents[2] / "oracles.yaml").read_text("utf-8"))
    oracles["oracles"]["second"] = SECOND
    (calibrated.root / "oracles.yaml").write_text(yaml.safe_dump(oracles), encoding="utf-8")
    return calibrated


def both(project: Project, corpus: Path, **more: Any) -> Any:
    names = ["recorded", "second"]
    return label_with_several(project, crisis(project), input=corpus, oracles=names, **more)


def calibrate_second(project: Project, corpus: Path) -> None:
    for kind in ("calibration", "validation"):
        calibrate.calibrate(
            *(project, crisis(project)), round=kind, input=corpus, oracle="second", probes=False
        )
    gates.approve(project, crisis(project), report="validation", who="Ada", why="read it too")


def test_every_oracle_needs_its_own_gate(two_oracles: Project, corpus: Path) -> None:
    with pytest.raises(GateClosed, match="the gate is closed"):
        both(two_oracles, corpus)
    assert not two_oracles.labelled_path(crisis(two_oracles)).exists()


def test_two_oracles_label_together(two_oracles: Project, corpus: Path) -> None:
    calibrate_second(two_oracles, corpus)
    filter = crisis(two_oracles)
    result = both(two_oracles, corpus, repeats=2, limit=40)
    assert result.summary.states == {"done": 40}
    rows = [json.loads(line) for line in result.output.read_text("utf-8").splitlines()]
    provenance = rows[0][filter.analysis_key]["provenance"]
    assert (provenance["oracle"], provenance["asked"]) == ("recorded + second", 4)
    assert result.agreement is not None
    told = result.agreement.read_text("utf-8")
    assert "`second (2nd answer)`" in told
    numbers = json.loads(result.agreement.with_suffix(".json").read_text("utf-8"))
    assert numbers["together"][filter.dimensions[0]]["alpha"]["value"] == 1.0
    assert numbers["floor"]["basis"] == "repeats"
    manifest = prepare.prepare(two_oracles, filter).manifest
    assert manifest.noise_floor == dict.fromkeys(filter.dimensions, 0.0)
    assert manifest.noise is not None
    assert (manifest.noise.answers, manifest.noise.articles) == (4, 40)
    assert manifest.oracles == ("recorded + second",)
    lines = {line.name: line for line in manifest.quality.lines}
    assert lines["mixed_provenance"].value == 0
    assert load_manifest(two_oracles.training_dir(filter)).noise == manifest.noise


def test_what_cannot_be_asked_is_refused_first(two_oracles: Project, corpus: Path) -> None:
    filter = crisis(two_oracles)
    with pytest.raises(UserError, match="named twice: recorded"):
        label_with_several(two_oracles, filter, input=corpus, oracles=["recorded", "recorded"])
    with pytest.raises(UserError, match="from 1 to 20"):
        label_with_several(two_oracles, filter, input=corpus, repeats=21)
    with pytest.raises(UserError, match="no oracle 'recordd'"):
        label_with_several(two_oracles, filter, input=corpus, oracles=["recordd"])


def test_the_verb_asks_several_times_and_says_where_the_report_is(
    calibrated: Project,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(calibrated.root)
    command = ["label", "--filter", "crisis", "--input", str(corpus), "--limit", "15"]
    output = ["--output", "some.jsonl"]
    assert main([*command, *output, "--repeats", "2", "--canaries", "4"]) == 0
    captured = capsys.readouterr()
    assert "some.jsonl.agreement.md: how far the answers agree" in captured.out
    assert captured.err.startswith("30 calls")  # at most: some first answers are in the ledger
    assert "label: 1 of 30 (3%), recorded: " in captured.err
    assert main([*command, *output, "--oracles", "recorded", "--oracle", "recorded"]) == 2
    assert "both given" in capsys.readouterr().err


def test_a_projection_counts_every_answer(two_oracles: Project, corpus: Path) -> None:
    filter = crisis(two_oracles)
    one = several_projection(two_oracles, filter, corpus)
    assert one.to_ask < 350  # the samples are answered
    two = several_projection(two_oracles, filter, corpus, repeats=2)
    assert two.to_ask == one.to_ask + 350
    assert two.high_usd > one.high_usd
    three = several_projection(two_oracles, filter, corpus, ["recorded", "second"])
    assert three.to_ask == one.to_ask + 350


def test_calibrate_with_repeats_measures_how_far_answers_differ(
    calibrated: Project, corpus: Path
) -> None:
    before = gates.report_path(calibrated, crisis(calibrated), "calibration")
    known = read_report(before).front.measurements["repeatability"].value
    again = calibrate.calibrate(
        calibrated, crisis(calibrated), input=corpus, probes=False, repeats=2
    )
    measured = again.judged.front.measurements["repeatability"]
    # The recording answers the same each time, unlike the second answers that lie beside it.
    assert known is not None and known > 0
    assert (measured.value, measured.n) == (0.0, 100)
    assert again.summary.asked == 100
    assert again.summary.states["done"] == 200
