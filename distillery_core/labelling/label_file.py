"""Labels a file into a file: what `distillery label` and the pipeline's step both run."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from distillery_core.dataset.lines import refuse_overwriting
from distillery_core.dataset.rejects import MAX_BAD, Rejects
from distillery_core.dataset.rows import NumberedArticle, numbered_articles
from distillery_core.filters.filter import Filter
from distillery_core.labelling.output import LabelWriter, check_writable, remove_leftovers
from distillery_core.labelling.run import Label, LabellingRun, LabelSettings, LabelSummary, Setback
from distillery_core.oracle.client import Oracle
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_job import open_job
from distillery_core.oracle.opening import RECORDING_FOLDER, open_oracle
from distillery_core.oracle.prices import price_of
from distillery_core.oracle.spec import OracleSpec
from distillery_core.plugins.hookspecs import OracleProvider
from distillery_core.types import Article, Progress, silent


def ledger_path(project: Path) -> Path:
    """Where a project keeps its ledger."""
    return project / ".distillery" / "ledger.sqlite"


def label_file(
    filter: Filter,
    source: Path,
    output: Path,
    *,
    spec: OracleSpec,
    project: Path,
    settings: LabelSettings | None = None,
    max_bad: float = MAX_BAD,
    environ: Mapping[str, str] | None = None,
    providers: Mapping[str, OracleProvider] | None = None,
    recording_folder: Path | None = None,
    progress: Progress = silent,
) -> LabelSummary:
    """Label the articles of a JSONL file.

    Labelled rows go to `output` in input order, rows and answers that cannot be used to
    `<output>.rejected.jsonl`, pre-filtered ones to `<output>.skipped.jsonl`. Until the run has
    ended well the files of an earlier run stay. The same command again takes every answer that
    reached the ledger from there.

    Args:
        max_bad: highest share of rejected rows, 0-1.
        environ, providers: as in `open_oracle`.
        recording_folder: the filter's recorded answers; by default `recording/` beside it.

    Raises:
        UserError: nothing was asked, or could be: input, output, oracle, price, lock, disk.
        LabellingStopped: a stop rule or the budget ended the run; `output` was not touched.
        CheckFailed: everything was written, and more than `max_bad` of the rows were rejected.
    """
    price_of(spec)
    check_writable(output)
    refuse_overwriting(source, output)
    settings = settings or LabelSettings()
    with Ledger.open(ledger_path(project)) as ledger, Rejects(output, max_bad) as rejects:
        rows = islice(numbered_articles(source, rejects), settings.limit)

        async def run() -> LabelSummary:
            folder = recording_folder or filter.folder / RECORDING_FOLDER
            async with open_oracle(
                spec, environ, providers=providers, recording_folder=folder
            ) as oracle:
                return await _label(
                    filter, rows, output, rejects, oracle, ledger, settings, progress
                )

        with _imports_out_of_collections():
            summary = asyncio.run(run())
        rejects.check()
    return summary


async def _label(
    filter: Filter,
    rows: Iterable[NumberedArticle],
    output: Path,
    rejects: Rejects,
    oracle: Oracle,
    ledger: Ledger,
    settings: LabelSettings,
    progress: Progress,
) -> LabelSummary:
    spec = oracle.spec
    lines = _Lines(rows)
    with open_job(
        ledger, filter.label, oracle=spec.name, purpose=settings.purpose, paid=spec.paid
    ) as job:
        remove_leftovers(output)
        run = LabellingRun(filter, oracle, job, settings)
        with LabelWriter(filter, output, rejects) as writer:

            def write(article: Article, outcome: Label | Setback) -> None:
                writer.write(lines.of(article), article, outcome)

            return await run.run(lines, write, progress, settings.limit)


@contextmanager
def _imports_out_of_collections() -> Iterator[None]:
    """Spare the garbage collector what there is already, for the block.

    Every call makes and drops thousands of objects; looking through all imported modules with them
    took a tenth of a run's CPU time. Who has frozen objects himself is left alone.
    """
    ours = gc.get_freeze_count() == 0
    if ours:
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()


class _Lines:
    """Articles of a stream, and the line of each until its outcome was written."""

    def __init__(self, rows: Iterable[NumberedArticle]) -> None:
        self._rows = rows
        self._line_of: dict[str, int] = {}

    def __iter__(self) -> Iterator[Article]:
        for line, article in self._rows:
            self._line_of[article.id] = line
            yield article

    def of(self, article: Article) -> int:
        """The line of an article; asked for once."""
        return self._line_of.pop(article.id)
