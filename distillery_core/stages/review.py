"""A person judges the articles of a sample, blind: what the oracle said is told only afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distillery_core.agents.rounds import read_rounds
from distillery_core.dataset.classes import SampleClass
from distillery_core.dataset.judgement_table import Shown, read_table, shown_article, write_table
from distillery_core.dataset.judgements import (
    JUDGEMENTS_FILE,
    Consensus,
    Judgement,
    append,
    disagreements,
    read_people,
    valid_name,
)
from distillery_core.dataset.labels import LabelProblem, read_label
from distillery_core.dataset.rejects import Rejects
from distillery_core.dataset.rows import read_articles
from distillery_core.errors import UserError, UserErrors
from distillery_core.filters import Filter
from distillery_core.filters.score_rules import overall
from distillery_core.filters.text_view import pattern_text, text_view
from distillery_core.stages.project import Project, adopt
from distillery_core.types import Article, Scores

Which = Literal["calibration", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Told:
    """What is told about an article once it has been judged.

    Attributes:
        class_name, class_reason: what the sampling rules, or a classes file, took it for.
        read_as: the class that the last report's reading model gave, where that is another one.
        scores: the oracle's, 0-10; None where it has not answered.
        overall: of these scores, after the filter's rules, 0-10.
    """

    class_name: str = ""
    class_reason: str = ""
    read_as: str = ""
    scores: Scores | None = None
    overall: float | None = None

    def parts(self) -> list[str]:
        """In words: who took it for what, then the oracle's scores."""
        found = []
        if self.class_name:
            why = f" ({self.class_reason})" if self.class_reason else ""
            found.append(f"the sample had it as {_words(self.class_name)}{why}")
        if self.read_as:
            found.append(f"the last report took it for {_words(self.read_as)}")
        if self.scores is None or self.overall is None:
            return [*found, "the oracle has not scored it"]
        listed = ", ".join(f"{name} {value:g}" for name, value in self.scores.items())
        return [*found, f"the oracle: {self.overall:.1f} ({listed})"]


@dataclass(frozen=True, slots=True)
class Imported:
    """How many judgements of a table were new or changed, and how many were known already."""

    taken: int
    unchanged: int


class Review:
    """The articles of one sample and what one person has made of them.

    Attributes:
        filter: the project's copy of the filter.
        sample: the file that the articles come from.
        name: whose judgements these are.
        shown: the articles in the sample's order.
        unreadable: rows of the sample that are no articles.
    """

    def __init__(
        self,
        project: Project,
        filter: Filter,
        sample: Path,
        name: str,
        shown: Sequence[Shown],
        unreadable: int = 0,
    ) -> None:
        self.filter, self.sample, self.name = filter, sample, name
        self.shown = tuple(shown)
        self.unreadable = unreadable
        self.folder = project.home(filter)
        self.people = read_people(self.folder)
        self._answers = _answers(filter, self.folder, [one.article for one in shown])

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def path(self) -> Path:
        """The file of judgements."""
        return self.folder / JUDGEMENTS_FILE

    @property
    def judged(self) -> int:
        """How many of the articles this person has judged."""
        mine = self.people.by(self.name)
        return sum(one.key in mine for one in self.shown)

    def mine(self, at: int) -> Judgement | None:
        """This person's judgement of the article at a position (from 0)."""
        return self.people.latest.get((self.shown[at].key, self.name))

    def next_open(self, start: int = 0) -> int | None:
        """The first article from `start` on that this person has not judged."""
        mine = self.people.by(self.name)
        return next((at for at in range(start, len(self)) if self.shown[at].key not in mine), None)

    def judge(
        self, at: int, class_name: SampleClass, scores: Scores | None = None, note: str = ""
    ) -> Judgement:
        """Store a judgement; one that says the same as before is not stored twice.

        Args:
            scores: None where they were not asked for; those given before then stay.
        """
        before = self.mine(at)
        kept = before.scores if scores is None and before is not None else dict(scores or {})
        one = self.shown[at]
        judgement = Judgement(
            id=one.article.id,
            text_key=one.key,
            title=one.view.title,
            class_name=class_name,
            scores=kept,
            name=self.name,
            note=note,
        )
        if not judgement.same_as(before):
            append(self.folder, [judgement])
            self.people = read_people(self.folder)
        return judgement

    def told(self, at: int) -> Told | None:
        """What rules and oracle made of an article; None before this person has judged it."""
        if self.mine(at) is None:
            return None
        one = self.shown[at]
        sample = _sample_of(one.article)
        class_name, scores = self._answers.get(one.key, ("", None))
        given = str(sample.get("class", ""))
        text = pattern_text(one.article.title, one.article.content)
        value = None if scores is None else overall(self.filter, scores, text).value
        read_as = class_name if class_name != given else ""
        return Told(given, str(sample.get("reason", "")), read_as, scores, value)

    def disagreements(self) -> list[Consensus]:
        """The articles of this sample that people gave different classes."""
        here = {one.key for one in self.shown}
        return [one for one in disagreements(self.people) if one.key in here]


def open_review(
    project: Project,
    filter: Filter,
    *,
    name: str,
    which: Which = "calibration",
    sample: Path | None = None,
) -> Review:
    """A sample and what has been judged of it so far.

    Args:
        which: whose articles: a round's sample, or the test split of the filter's dataset.
        sample: any file of articles, in place of `which`.

    Raises:
        UserError: there is no such file, or no article in it.
    """
    filter = adopt(project, filter)
    path = sample or _default_sample(project, filter, which)
    with tempfile.TemporaryDirectory() as scratch, Rejects(Path(scratch) / "rows") as rejects:
        articles = list(read_articles(path, rejects))
    shown = [
        shown_article(one, text_view(one.title, one.content, filter.config.text))
        for one in articles
    ]
    return Review(project, filter, path, valid_name(name), shown, rejects.rejected)


def export_table(review: Review, path: Path) -> int:
    """Write the sample with everybody's judgements as CSV; the number of rows."""
    return write_table(path, review.shown, review.people, review.filter.dimensions)


def import_table(review: Review, path: Path) -> Imported:
    """Take the judgements of a CSV file, all of them or, where one is wrong, none.

    Raises:
        UserErrors: every mistake with its line; a row that is older than what the same person has
            judged since is one.
    """
    rows = read_table(path, review.shown, review.filter.dimensions, review.name)
    changed = [one for one in rows if not one.same_as(_known(review, one))]
    errors = [
        UserError(
            f"{one.name} judged {one.id} again on {before.date}, after this row's date",
            where=path,
            hint="empty the row's cells date or class, as the one or the other is to count",
        )
        for one in changed
        if (before := _known(review, one)) is not None and before.date > one.date
    ]
    if errors:
        raise UserErrors(errors)
    append(review.folder, [_dated(review, one) for one in changed])
    review.people = read_people(review.folder)
    return Imported(len(changed), len(rows) - len(changed))


def _words(class_name: str) -> str:
    return class_name.replace("_", " ")


def _known(review: Review, judgement: Judgement) -> Judgement | None:
    return review.people.latest.get((judgement.text_key, judgement.name))


def _dated(review: Review, judgement: Judgement) -> Judgement:
    """A row that was changed in the table still carries the date of what it replaces."""
    before = _known(review, judgement)
    if before is None or before.date != judgement.date:
        return judgement
    data = judgement.row()
    del data["date"]
    return Judgement.model_validate(data)


def _default_sample(project: Project, filter: Filter, which: Which) -> Path:
    wanted = filter.config.calibration
    if which == "test":
        path = project.training_dir(filter) / "test.jsonl"
        command = f"distillery prepare --filter {filter.label}"
    else:
        seed = wanted.random_seed if which == "calibration" else wanted.validation_seed
        path = project.sample_path(filter, which, seed)
        option = " --validate" if which == "validation" else ""
        command = f"distillery sample --filter {filter.label} --input articles.jsonl{option}"
    if not path.is_file():
        raise UserError("there is nothing to review yet", where=path, hint=command)
    return path


def _sample_of(article: Article) -> Mapping[str, Any]:
    sample = article.extra.get("sample")
    return sample if isinstance(sample, Mapping) else {}


def _answers(
    filter: Filter, folder: Path, articles: Sequence[Article]
) -> dict[str, tuple[str, Scores | None]]:
    """Text key -> class of the last round and the oracle's scores, from rounds and labelled rows.

    Rounds of other dimensions are passed over; a later round takes the place of an earlier one.
    """
    found: dict[str, tuple[str, Scores | None]] = {}
    for article in articles:
        scores = _labelled(filter, article.extra)
        if scores is not None:
            found[shown_article(article, text_view("", "", filter.config.text)).key] = ("", scores)
    for one in read_rounds(folder):
        if one.asked.dimensions_sha256 != filter.dimensions_sha256:
            continue
        for seen in one.seen:
            given = None
            if seen.scores is not None:
                given = dict(zip(filter.dimensions, seen.scores, strict=True))
            found[seen.key] = (seen.class_name, given)
    return found


def _labelled(filter: Filter, extra: Mapping[str, Any]) -> Scores | None:
    """The oracle's scores that a row of a split or of a labelled file carries."""
    labels = extra.get("labels")
    if isinstance(labels, list) and extra.get("dimension_names") == list(filter.dimensions):
        return {name: float(value) for name, value in zip(filter.dimensions, labels, strict=False)}
    try:
        label = read_label(extra, filter)
    except LabelProblem:
        return None
    return dict(zip(filter.dimensions, label.scores, strict=True))
