"""Which kept report speaks for an oracle that was not the last one calibrated."""

from __future__ import annotations

from pathlib import Path

from distillery_core.stages.kept_reports import report_of_oracle
from distillery_core.verdicts.front_matter import ReportFront, write_report


def write(folder: Path, oracle: str, prompt: str, name: str = "report.md") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    front = ReportFront(
        agent="prompt_calibration",
        round="calibration",
        filter="crisis",
        version=1,
        verdict="PASS",
        deciding_line="",
        evidence={"oracle": oracle, "prompt_sha256": prompt},
        measurements={},
    )
    write_report(folder / name, front, "body")
    return folder / name


def test_a_prompt_that_was_changed_back_finds_its_report(tmp_path: Path) -> None:
    current = write(tmp_path, "other/m (1)", "a", "calibration_report.md")
    kept = {
        number: write(tmp_path / "calibration" / f"round-{number:02}", "one/m (1)", prompt)
        for number, prompt in ((8, "a"), (99, "b"), (100, "b"))
    }
    (tmp_path / "calibration" / "round-101").mkdir()
    (tmp_path / "calibration" / "round-101" / "report.md").write_text("damaged", "utf-8")

    def found(oracle: str, prompt: str) -> Path:
        return report_of_oracle(current, "calibration", oracle, {"prompt_sha256": prompt})

    assert found("one/m (1)", "a") == kept[8]
    assert found("one/m (1)", "b") == kept[100]
    assert found("one/m (1)", "never asked") == kept[100]
    assert found("other/m (1)", "b") == found("nobody/m (1)", "a") == current
    assert report_of_oracle(current, "validation", "one/m (1)", {}) == current
