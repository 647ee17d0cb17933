"""Score articles with the version in use, or with one that was named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distillery_core.dataset.rejects import MAX_BAD
from distillery_core.errors import GateClosed
from distillery_core.filters import Filter, resolve_filter
from distillery_core.stages.gates import evaluation_gate
from distillery_core.stages.project import Project
from distillery_core.stages.promote import promoted, promoted_model, refuse_other_rules
from distillery_core.types import Progress, silent

if TYPE_CHECKING:
    from distillery_core.scoring.stream import ScoreSummary


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """A scored file; `promoted` is false where an unpromoted model was asked for by name."""

    filter: Filter
    model_dir: Path
    promoted: bool
    summary: ScoreSummary


def score(
    project: Project,
    reference: str,
    *,
    input: Path,
    output: Path,
    unpromoted: bool = False,
    max_bad: float = MAX_BAD,
    threads: int | None = None,
    intervals: bool = False,
    progress: Progress = silent,
) -> ScoreResult:
    """Score every line of a file.

    Args:
        reference: NAME (the promoted version), NAME:vN or PATH.
        unpromoted: score with the named version's model although its gate is closed.
        intervals: write an interval beside every score.

    Raises:
        UserError: nothing is promoted, there is no model, files cannot be used.
        GateClosed: a named version whose evaluation gate is closed, without `unpromoted`.
    """
    from distillery_core.scoring.stream import score_file

    filter, model, promoted = _choose(project, reference, unpromoted)
    summary = score_file(
        *(filter, model, input, output),
        max_bad=max_bad,
        threads=threads,
        intervals=intervals,
        progress=progress,
    )
    return ScoreResult(filter, model, promoted, summary)


def _choose(project: Project, reference: str, unpromoted: bool) -> tuple[Filter, Path, bool]:
    from distillery_core.scoring.scorer import model_folder

    filter = resolve_filter(reference, project.root)
    entry = promoted(project, filter.name)
    in_use = entry is not None and entry.version == filter.version
    if not unpromoted and (reference == filter.name or in_use):
        entry, model = promoted_model(project, filter.name)
        filter = resolve_filter(f"{filter.name}:v{entry.version}", project.root)
        refuse_other_rules(entry, filter)
        return filter, model, True
    model = model_folder(project.home(filter))
    if not unpromoted:
        _require_gate(project, filter)
    return filter, model, False


def _require_gate(project: Project, filter: Filter) -> None:
    state = evaluation_gate(project, filter)
    if not state.open:
        raise GateClosed(
            f"scoring with {filter.label}, which is not promoted: the gate is closed",
            state.reasons,
            hint=f"{state.next_command} (or --unpromoted, to look at its scores nevertheless)",
        )
