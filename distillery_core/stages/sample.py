"""Draw the stratified sample of a round."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distillery_core.agents.rounds import read_rounds
from distillery_core.dataset.classes import Classified, SampleClass, load_classes
from distillery_core.dataset.lines import MAX_LINE_BYTES, refuse_overwriting
from distillery_core.dataset.rejects import Rejects
from distillery_core.dataset.rows import read_articles
from distillery_core.dataset.sampling import Round, Sample, draw_sample, refuse_short
from distillery_core.errors import UserError
from distillery_core.fence import normalised_key
from distillery_core.files import atomic_write
from distillery_core.filters import Filter
from distillery_core.stages.label import usable_articles
from distillery_core.stages.project import Project, find_beside
from distillery_core.types import Article, Progress, silent


@dataclass(frozen=True, slots=True)
class SampleResult:
    """A sample on disk; `asked` and `drawn` are counts per class."""

    path: Path
    seed: int
    asked: Mapping[str, int]
    drawn: Mapping[str, int]
    passed_over: Mapping[str, int]
    rejected: int


def draw(
    project: Project,
    filter: Filter,
    *,
    input: Path,
    round: Round = "calibration",
    n_positive: int | None = None,
    n_negative: int | None = None,
    n_edge: int | None = None,
    random_seed: int | None = None,
    classes: Path | None = None,
    output: Path | None = None,
    allow_short: bool = False,
    progress: Progress = silent,
) -> SampleResult:
    """Draw a sample of a corpus that no earlier round has seen.

    Numbers and seed default to the filter's `calibration` section. The same call again writes the
    same sample.

    Raises:
        CheckFailed: a class has too few articles, unless `allow_short`.
    """
    wanted = filter.config.calibration
    default_seed = wanted.random_seed if round == "calibration" else wanted.validation_seed
    seed = default_seed if random_seed is None else random_seed
    target = output or project.sample_path(filter, round, seed)
    refuse_overwriting(input, target)
    earlier = list(_earlier(project, filter, round, target))
    if round == "validation":
        earlier += _judged_before(project, filter, seed, input, earlier)
    with Rejects(target) as rejects:
        sample = draw_sample(
            filter,
            read_articles(input, rejects),
            n_positive=wanted.n_positive if n_positive is None else n_positive,
            n_negative=wanted.n_negative if n_negative is None else n_negative,
            n_edge=wanted.n_edge if n_edge is None else n_edge,
            seed=seed,
            round=round,
            classes=_classes(filter, project, classes),
            exclude=earlier,
            progress=progress,
        )
    if not allow_short:
        refuse_short(sample)
    _write(target, sample)
    return SampleResult(
        target,
        seed,
        _counts(sample.asked),
        _counts(sample.drawn),
        sample.passed_over,
        rejects.rejected,
    )


def _classes(filter: Filter, project: Project, given: Path | None) -> dict[str, Classified] | None:
    """The reviewed classes: a file that was named, or the one of the filter's config."""
    if given is not None:
        return load_classes(given, filter.name)
    name = filter.config.sampling.classes_file
    if name is None:
        return None
    found = find_beside(filter, name) or project.root / name
    if not found.is_file():
        raise UserError(f"sampling.classes_file {name} does not exist", where=filter.folder)
    return load_classes(found, filter.name)


def _earlier(project: Project, filter: Filter, round: Round, target: Path) -> Iterator[Article]:
    """Articles of all other samples of this filter, whatever their prompt.

    A calibration sample may be drawn again (rounds are repeated on the same articles), so only a
    validation sample has to keep clear of it.
    """
    folder = project.sample_path(filter, round, 0).parent
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        if path.resolve() == target.resolve() or path.name.endswith(".rejected.jsonl"):
            continue
        if round == "calibration" and path.name.startswith("validation-"):
            continue
        yield from read_sample(path)


def _judged_before(
    project: Project, filter: Filter, seed: int, input: Path, at_hand: Sequence[Article]
) -> list[Article]:
    """Articles of the corpus that a judged round has seen, wherever its sample was written to."""
    keys = {
        key
        for one in read_rounds(project.home(filter))
        if (one.kind, one.seed) != ("validation", seed)
        for key in one.keys
    }
    keys -= {normalised_key(article.content) for article in at_hand}
    if not keys:
        return []
    return [one for one in usable_articles(input) if normalised_key(one.content) in keys]


def read_sample(path: Path) -> Iterator[Article]:
    """The articles of a sample that `draw` wrote.

    Raises:
        UserError: it is no such file.
    """
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:  # splitlines would split U+2028
            for line in lines:
                row = json.loads(line)
                keys = row.pop("id"), row.pop("title"), row.pop("content")
                yield Article(*keys, row)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"is not a sample: {error}", where=path) from None


def holds_sample(path: Path) -> bool:
    """Whether a file's first line is a row of a sample; a corpus beside it is not read further."""
    with path.open("rb") as handle:
        first = handle.readline(MAX_LINE_BYTES)
    try:
        row = json.loads(first)
    except ValueError:
        return False
    return isinstance(row, dict) and isinstance(row.get("sample"), dict)


def _write(path: Path, sample: Sample) -> None:
    with atomic_write(path) as handle:
        for article in sample.articles:
            handle.write(json.dumps(article.row(), ensure_ascii=False) + "\n")


def _counts(per_class: Mapping[SampleClass, int]) -> dict[str, int]:
    return {str(name): count for name, count in per_class.items()}
