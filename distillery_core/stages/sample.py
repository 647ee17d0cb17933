"""Draw the stratified sample of a round, and replacements for what the oracle did not score."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from distillery_core.agents.rounds import read_rounds
from distillery_core.dataset.classes import (
    Classified,
    SampleClass,
    has_rules,
    load_classes,
)
from distillery_core.dataset.lines import MAX_LINE_BYTES, refuse_overwriting
from distillery_core.dataset.rejects import Rejects
from distillery_core.dataset.rows import read_articles
from distillery_core.dataset.sampling import Round, Sample, draw_sample, rank, refuse_short, unfit
from distillery_core.dataset.similarity import Embed, classes_by_similarity, nearest_pool
from distillery_core.errors import UserError
from distillery_core.fence import normalised_key
from distillery_core.files import atomic_write
from distillery_core.filters import Filter
from distillery_core.stages.label import usable_articles
from distillery_core.stages.project import Project, find_beside
from distillery_core.types import Article, Progress, silent


class SampleWish(TypedDict, total=False):
    """What sample is wanted; whatever is left out or None is as the filter's config says.

    `classes` is a reviewed file of classes; `embedding_model` the base model by which the filter's
    seed sentences are compared with the articles.
    """

    n_positive: int | None
    n_negative: int | None
    n_edge: int | None
    random_seed: int | None
    classes: Path | None
    embedding_model: str | None


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
    output: Path | None = None,
    allow_short: bool = False,
    progress: Progress = silent,
    **wish: Unpack[SampleWish],
) -> SampleResult:
    """Draw a sample of a corpus that no earlier round has seen.

    Numbers and seed default to the filter's `calibration` section. The same call again writes the
    same sample.

    Raises:
        CheckFailed: a class has too few articles, unless `allow_short`.
    """
    drawing = open_drawing(
        project, filter, input=input, round=round, output=output, progress=progress, **wish
    )
    sample, rejected = drawing.first()
    if not allow_short:
        refuse_short(sample)
    write_sample(drawing.target, sample.articles)
    asked, drawn = _counts(sample.asked), _counts(sample.drawn)
    return SampleResult(drawing.target, drawing.seed, asked, drawn, sample.passed_over, rejected)


@dataclass(frozen=True)
class Drawing:
    """A draw from one corpus under one seed, which can go on where it ended.

    Attributes:
        target: the file the sample goes to.
        asked: class -> articles asked for.
        classes: article id -> class; None for the filter's keyword rules.
        earlier: articles of earlier rounds, which are not drawn again.
    """

    filter: Filter
    input: Path
    round: Round
    target: Path
    seed: int
    asked: Mapping[SampleClass, int]
    classes: Mapping[str, Classified] | None
    unclassified: str
    earlier: tuple[Article, ...] = field(repr=False)
    progress: Progress = silent

    def first(self) -> tuple[Sample, int]:
        """The sample, and how many rows of the corpus were set aside (see `<target>.rejected`)."""
        with Rejects(self.target) as rejects:
            sample = self._draw(read_articles(self.input, rejects), self.asked, ())
        return sample, rejects.rejected

    def more(self, have: Sequence[Article], missing: Mapping[SampleClass, int]) -> list[Article]:
        """The next articles of each class, each marked as a replacement; fewer where the corpus
        holds no more."""
        sample = self._draw(usable_articles(self.input), missing, have)
        return [_as_replacement(article) for article in sample.articles]

    def _draw(
        self, articles: Iterator[Article], asked: Mapping[SampleClass, int], have: Sequence[Article]
    ) -> Sample:
        return draw_sample(
            self.filter,
            articles,
            n_positive=asked.get("on_topic", 0),
            n_negative=asked.get("off_topic", 0),
            n_edge=asked.get("edge", 0),
            seed=self.seed,
            round=self.round,
            classes=self.classes,
            unclassified=self.unclassified,
            exclude=(*self.earlier, *have),
            progress=self.progress,
        )


def open_drawing(
    project: Project,
    filter: Filter,
    *,
    input: Path,
    round: Round,
    output: Path | None = None,
    progress: Progress = silent,
    **wish: Unpack[SampleWish],
) -> Drawing:
    """Get everything ready to draw from a corpus.

    Raises:
        UserError: the file of classes or the embedding model cannot be used; the sample would
            overwrite the corpus.
    """
    seed = seed_of(filter, round, wish)
    target = output or project.sample_path(filter, round, seed)
    refuse_overwriting(input, target)
    earlier = list(_earlier(project, filter, round, target))
    if round == "validation":
        earlier += _judged_before(project, filter, seed, input, earlier)
    classes, unclassified = _classes_of(project, filter, input, seed, wish)
    return Drawing(
        filter=filter,
        input=input,
        round=round,
        target=target,
        seed=seed,
        asked=asked_of(filter, wish),
        classes=classes,
        unclassified=unclassified,
        earlier=tuple(earlier),
        progress=progress,
    )


def seed_of(filter: Filter, round: Round, wish: SampleWish) -> int:
    """The seed that is wanted, or the config's for this round."""
    wanted = wish.get("random_seed")
    if wanted is not None:
        return wanted
    calibration = filter.config.calibration
    return calibration.random_seed if round == "calibration" else calibration.validation_seed


def asked_of(filter: Filter, wish: SampleWish) -> dict[SampleClass, int]:
    """Articles asked for per class; a filter without an edge class asks for none of it."""
    wanted = filter.config.calibration
    edge = _or(wish.get("n_edge"), wanted.n_edge) if filter.config.sampling.has_edge else 0
    return {
        "on_topic": _or(wish.get("n_positive"), wanted.n_positive),
        "off_topic": _or(wish.get("n_negative"), wanted.n_negative),
        "edge": edge,
    }


def _or(given: int | None, default: int) -> int:
    return default if given is None else given


def _classes_of(
    project: Project, filter: Filter, input: Path, seed: int, wish: SampleWish
) -> tuple[dict[str, Classified] | None, str]:
    """The classes to draw by, and why an article without one is passed over.

    A reviewed file comes first, then seed sentences where a model can embed, then keyword rules.
    """
    reviewed = _classes(filter, project, wish.get("classes"))
    if reviewed is not None:
        return reviewed, "no reviewed class"
    model = _embedding_model(project, filter, wish.get("embedding_model"))
    seeds = filter.config.sampling.seed_sentences
    if seeds is None or model is None:
        return None, ""
    candidates = (one for one in usable_articles(input) if unfit(filter, one) is None)
    pool = nearest_pool(candidates, lambda one: rank(filter, seed, one), seeds.pool)
    classes = classes_by_similarity(pool, seeds, _embedder(filter, model))
    return classes, f"not among the {len(pool)} articles that were embedded"


def _embedding_model(project: Project, filter: Filter, given: str | None) -> str | None:
    """The model that embeds: the one named, the config's, or the filter's own student."""
    seeds = filter.config.sampling.seed_sentences
    if seeds is None:
        if given is not None:
            raise UserError(
                f"the filter {filter.label} has no seed sentences to compare articles with",
                where=filter.folder / "config.yaml",
                hint="add sampling.seed_sentences.on_topic, a list of sentences",
            )
        return None
    student = project.home(filter) / "model"
    named = given or seeds.model or (str(student) if (student / "config.json").is_file() else None)
    if named is None and not has_rules(filter):
        raise UserError(
            f"no model to compare articles with the seed sentences of {filter.label}",
            where=filter.folder / "config.yaml",
            hint="--embedding-model NAME, or sampling.seed_sentences.model; or add keywords",
        )
    return named


def _embedder(filter: Filter, model: str) -> Embed:
    def embed_texts(texts: Sequence[tuple[str, str, str]]) -> Any:
        from distillery_core.student.embeddings import embed

        return embed(model, texts, filter.config.text, max_length=filter.config.training.max_length)

    return embed_texts


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


def write_sample(path: Path, articles: Sequence[Article]) -> None:
    """Write a sample, each article with its class, reason and seed."""
    with atomic_write(path) as handle:
        for article in articles:
            handle.write(json.dumps(article.row(), ensure_ascii=False) + "\n")


def _counts(per_class: Mapping[SampleClass, int]) -> dict[str, int]:
    return {str(name): count for name, count in per_class.items()}


def _as_replacement(article: Article) -> Article:
    sample = {**article.extra["sample"], "replacement": True}
    return replace(article, extra={**article.extra, "sample": sample})
