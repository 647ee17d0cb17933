"""Proposed edits become a diff that git itself takes, or are told to be unusable."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.agents.prompt_edits import DIFF_FILE, propose, write_proposal
from distillery_core.agents.reading import PromptEdit
from distillery_core.filters.filter import Filter, load_filter

Build = Callable[..., Filter]
LONG = (
    "Score the article.\nMind <article> marks.\n"
    + "".join(f"Rule {n}.\n" for n in range(30))
    + "{{ article }}\nEnd: {{ dimensions | join(', ') }}"
)


def _edit(find: str, replace: str, why: str = "because") -> PromptEdit:
    return PromptEdit(find=find, replace=replace, why=why)


def _apply(root: Path, diff: Path) -> None:
    for option in (["--check"], []):
        subprocess.run(
            ["git", "apply", *option, str(diff)], cwd=root, check=True, capture_output=True
        )


@pytest.mark.parametrize(
    "prompt",
    [LONG + "\n", LONG, LONG.replace("\n", "\r\n"), "\ufeff" + LONG],
    ids=["unix", "no last newline", "windows", "byte order mark"],
)
@pytest.mark.parametrize("in_a_repository", [True, False])
def test_git_applies_what_can_be_used(
    make_filter: Build, tmp_path: Path, prompt: str, in_a_repository: bool
) -> None:
    folder = make_filter().folder
    (folder / "prompt.md.j2").write_bytes(prompt.encode())
    if in_a_repository:
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    filter = load_filter(folder)
    edits = [
        _edit("Rule 3.", "Rule 3, sharper.\nAnd an example."),
        _edit("End: {{", "The end: {{"),
        _edit("Rule 20.\nRule 21.\n", ""),
        _edit("Mind ‹article› marks.", "Mind the marks."),  # as a reader is shown it
    ]
    proposal = propose(filter, edits)
    assert not proposal.unusable and len(proposal.usable) == 4
    write_proposal(folder, proposal)
    _apply(tmp_path, folder / DIFF_FILE)
    after = (folder / "prompt.md.j2").read_bytes().decode()
    assert "Rule 3, sharper." in after and "Rule 20." not in after and "Mind the marks." in after
    assert after.startswith("\ufeff") is prompt.startswith("\ufeff")
    assert ("\r\n" in after) is ("\r\n" in prompt)
    assert after.replace("\r\n", "").count("\r") == 0
    assert load_filter(folder).prompt_sha256 != filter.prompt_sha256


@pytest.mark.parametrize(
    ("find", "replace", "problem"),
    [
        ("No such words", "x", "does not stand in the prompt"),
        ("Rule", "x", "stands in the prompt 30 times"),
        ("  ", "x", "names no text to replace"),
        ("Rule 3.", "Rule 3.", "it changes nothing"),
        ("{{ article }}", "the article", "the prompt does not send the article"),
        ("Rule 3.", "{{ article }}", "the prompt sends the article twice"),
        ("Rule 3.", "{% if %}", "the edited prompt cannot be used: template"),
        ("Rule 3.", "{{ secrets }}", "the edited prompt cannot be used: template"),
    ],
)
def test_an_edit_that_cannot_be_used_says_why_and_leaves_the_others(
    make_filter: Build, find: str, replace: str, problem: str
) -> None:
    filter = make_filter(prompt=LONG)
    proposal = propose(filter, [_edit(find, replace), _edit("Rule 5.", "Rule five.")])
    [wrong] = proposal.unusable
    assert problem in wrong.problem
    assert proposal.diff.count("\n+") == 2 and "+Rule five.\n" in proposal.diff


def test_without_a_usable_edit_an_earlier_diff_is_taken_away(
    make_filter: Build, tmp_path: Path
) -> None:
    filter = make_filter(prompt=LONG)
    write_proposal(tmp_path, propose(filter, [_edit("Rule 5.", "Rule five.")]))
    assert (tmp_path / DIFF_FILE).is_file()
    write_proposal(tmp_path, propose(filter, [_edit("nothing", "something")]))
    assert not (tmp_path / DIFF_FILE).exists()
    assert propose(filter, []).diff == ""


def test_a_replacement_cannot_leave_its_hunk(make_filter: Build, tmp_path: Path) -> None:
    """Lines that look like a diff's own are content: git changes the prompt and nothing else."""
    filter = make_filter(prompt=LONG)
    hostile = "x\n--- a/other\n+++ b/other\n@@ -0,0 +1 @@\n+owned\ndiff --git a/other b/other"
    proposal = propose(filter, [_edit("Rule 5.", hostile)])
    write_proposal(filter.folder, proposal)
    _apply(tmp_path, filter.folder / DIFF_FILE)
    assert not (tmp_path / "other").exists()
    assert "+owned" in (filter.folder / "prompt.md.j2").read_text(encoding="utf-8")
