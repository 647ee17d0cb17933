"""Label a batch behind the calibration gate, or a sample without one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from distillery_core.dataset.lines import read_lines
from distillery_core.dataset.rejects import MAX_BAD, Rejects
from distillery_core.dataset.rows import read_articles
from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters import Filter
from distillery_core.labelling.canaries import CanarySettings
from distillery_core.labelling.label_file import label_file
from distillery_core.labelling.projection import Projection, project_cost
from distillery_core.labelling.run import LabelSettings, LabelSummary, question_of
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_report import articles_asked
from distillery_core.stages.gates import calibration_gate
from distillery_core.stages.oracles import choose_oracle, oracle_identity, recording_folder
from distillery_core.stages.project import Project
from distillery_core.types import Article, Progress, silent

SAMPLE_LIMIT = 400
"""Distinct articles that may be labelled as samples per filter version, over all prompts: enough
for four rounds of a hundred, too few to label a corpus around the gate."""


@dataclass(frozen=True, slots=True)
class LabelResult:
    """What a labelling run left: files and the account of it."""

    output: Path
    summary: LabelSummary

    @property
    def rejected(self) -> Path | None:
        """Rows and answers that could not be used, if there are any."""
        return _beside(self.output, "rejected")

    @property
    def skipped(self) -> Path | None:
        """Articles that the pre-filter left out, if there are any."""
        return _beside(self.output, "skipped")


def label(
    project: Project,
    filter: Filter,
    *,
    input: Path,
    output: Path | None = None,
    oracle: str | None = None,
    budget: float | None = None,
    limit: int | None = None,
    concurrency: int | None = None,
    max_bad: float = MAX_BAD,
    more_samples: bool = False,
    retry_failed: bool = False,
    accept_fingerprint: bool = False,
    canaries: int | None = None,
    progress: Progress = silent,
) -> LabelResult:
    """Label a file of articles.

    A file whose every row carries a `sample` is a sample and needs no gate.

    Args:
        budget: hard cap in USD on what the ledger shows for this filter, all runs together.
        canaries: answers between two rounds of canaries, 0 for none; default the config's.

    Raises:
        GateClosed: the calibration or validation report does not let this batch through.
        UserError, CheckFailed: as `labelling.label_file`.
    """
    as_sample = require_gate(project, filter, input, oracle)
    purpose = purpose_of(project, filter, input, as_sample, more_samples)
    spec = choose_oracle(project, filter, oracle)
    target = output or default_output(project, filter, input, as_sample)
    settings = LabelSettings(
        concurrency=concurrency,
        budget_usd=budget,
        limit=limit,
        retry_failed=retry_failed,
        accept_fingerprint=accept_fingerprint,
        purpose=purpose,
        canaries=canary_settings(filter, canaries),
    )
    summary = label_file(
        filter,
        input,
        target,
        spec=spec,
        project=project.root,
        settings=settings,
        max_bad=max_bad,
        recording_folder=recording_folder(filter),
        progress=progress,
    )
    return LabelResult(target, summary)


def canary_settings(filter: Filter, every: int | None) -> CanarySettings:
    """The config's canaries, asked as often as the caller says."""
    choice = filter.config.oracle
    often = choice.canaries if every is None else every
    return CanarySettings(often, choice.canary_articles, choice.canary_limit)


def default_output(project: Project, filter: Filter, input: Path, as_sample: bool) -> Path:
    """Where labels go when no place is named."""
    if as_sample:
        return project.labelled_sample_path(filter, input)
    return project.labelled_path(filter)


def refuse_shorter(target: Path, articles: int) -> None:
    """See that a part of a corpus does not silently take the place of a longer batch.

    Raises:
        UserError: the file holds more labelled rows than this run can write.
    """
    there = sum(1 for _ in read_lines(target)) if target.is_file() else 0
    if there > articles:
        raise UserError(
            f"holds {there} labelled articles, this run would replace them by {articles} at most",
            where=target,
            hint="name another place with --output (answers are in the ledger either way)",
        )


def require_gate(project: Project, filter: Filter, input: Path, oracle: str | None = None) -> bool:
    """See that a file may be labelled: a sample always, a batch behind the calibration gate.

    Returns:
        Whether it is a sample.

    Raises:
        GateClosed: it is a batch, and calibration or validation does not let it through.
    """
    spec = choose_oracle(project, filter, oracle)
    if is_sample(input):
        return True
    gate = calibration_gate(project, filter, oracle_identity(filter, spec))
    gate.require(f"labelling with {filter.label}")
    return False


def projection(
    project: Project, filter: Filter, input: Path, oracle: str | None = None
) -> Projection:
    """What labelling a file will cost, before anything is asked.

    Raises:
        UserError: the oracle's price is not known, or the file cannot be used.
    """
    spec = choose_oracle(project, filter, oracle)
    count = sum(1 for _ in usable_articles(input))
    if not project.ledger.exists():
        return project_cost(filter, usable_articles(input), count, spec)
    folder = recording_folder(filter)
    with Ledger.open(project.ledger) as ledger:
        return project_cost(
            filter, usable_articles(input), count, spec, ledger, recording_folder=folder
        )


def is_sample(path: Path) -> bool:
    """Whether every row of a file carries a `sample` with its class and round."""
    return all(_has_sample(article) for article in usable_articles(path))


def purpose_of(
    project: Project, filter: Filter, input: Path, as_sample: bool, more_samples: bool
) -> str:
    """What the ledger counts a file's questions as: `sample` or `batch`.

    Raises:
        CheckFailed: as `refuse_too_many_samples`.
    """
    if not as_sample:
        return "batch"
    refuse_too_many_samples(project, filter, usable_articles(input), more_samples)
    return "sample"


def refuse_too_many_samples(
    project: Project,
    filter: Filter,
    articles: Iterable[Article],
    more_samples: bool,
    purpose: str = "sample",
) -> None:
    """See that a corpus is not labelled as forty samples (or readiness checks).

    Raises:
        CheckFailed: more than `SAMPLE_LIMIT` distinct articles, unless `more_samples`.
    """
    if more_samples:
        return
    texts = {question_of(filter, article).article_sha256 for article in articles}
    if project.ledger.exists():
        with Ledger.open(project.ledger) as ledger:
            texts |= articles_asked(ledger, filter.label, purpose)
    if len(texts) > SAMPLE_LIMIT:
        raise CheckFailed(
            f"this would make {len(texts)} articles labelled as samples of {filter.label}, "
            f"{SAMPLE_LIMIT} may be",
            ["samples pass the calibration gate; a corpus has to wait for it"],
            hint="distillery calibrate opens the gate; --more-samples if more are really needed",
        )


def usable_articles(path: Path) -> Iterator[Article]:
    """The usable articles of a file; what is set aside is told by the run itself."""
    with tempfile.TemporaryDirectory() as scratch, Rejects(Path(scratch) / "rows") as rejects:
        yield from read_articles(path, rejects)


def _has_sample(article: Article) -> bool:
    sample = article.extra.get("sample")
    return isinstance(sample, dict) and {"class", "round"} <= set(sample)


def _beside(output: Path, what: str) -> Path | None:
    path = output.with_name(f"{output.name}.{what}.jsonl")
    return path if path.exists() else None
