"""Asks a person about the articles of a sample, one by one, on a terminal or through a pipe."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from distillery_core.cli.console import clean, one_line
from distillery_core.dataset.judgement_table import score
from distillery_core.dataset.judgements import MAX_NOTE

if TYPE_CHECKING:
    from distillery_core.dataset.classes import SampleClass
    from distillery_core.stages.review import Review, Told

WIDTH = 88
"""Longest line of a shown text, in characters."""

KEYS = "[o]n topic  o[f]f topic  [e]dge  [s]kip  [b]ack  [q]uit"
_CLASSES: Mapping[str, SampleClass] = {"o": "on_topic", "f": "off_topic", "e": "edge"}
_HINT = "one letter; words after o, f or e are kept as a note: `e between two beats`"

Ask = Callable[[str], str | None]
"""Shows a question and returns the answer's line, None where there will be no more."""
Tell = Callable[[str], None]


class _Back(Exception):
    """Somebody wants to see this article's question, or the article before, again."""


class _Stop(Exception):
    """Nobody answers any more."""


class Conversation:
    """Goes through the articles; what is answered is stored at once.

    Args:
        scores: ask for a score of each dimension too.
        again: show articles that this person has judged already.
    """

    def __init__(self, review: Review, ask: Ask, tell: Tell, *, scores: bool, again: bool) -> None:
        self._review, self._ask, self._tell = review, ask, tell
        self._scores, self._again = scores, again

    def run(self) -> None:
        """Until the last article, `q`, or the end of the input."""
        at = self._next(0)
        seen: list[int] = []
        try:
            while at is not None:
                self._show(at)
                try:
                    self._judge(at)
                except _Back:
                    at = seen.pop() if seen else at
                    continue
                seen.append(at)
                at = self._next(at + 1)
        except _Stop:
            self._tell("")

    def _next(self, start: int) -> int | None:
        if self._again:
            return start if start < len(self._review) else None
        return self._review.next_open(start)

    def _show(self, at: int) -> None:
        review, view = self._review, self._review.shown[at].view
        width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
        self._tell(f"\n{at + 1} of {len(review)}, {review.judged} judged by {review.name}")
        self._tell("-" * width)
        for line in _wrapped(view.title or "(no title)", width):
            self._tell(line)
        self._tell("")
        for line in _wrapped(view.content, width):
            self._tell(line)
        self._tell("-" * width)
        mine = review.mine(at)
        if mine is not None:
            self._tell(f"judged before: {mine.class_name}{_scores_text(mine.scores)}")

    def _judge(self, at: int) -> None:
        """One article's answer, stored unless it is skipped."""
        while True:
            word, note = self._answer()
            if word == "s":
                return
            if word == "b":
                raise _Back
            if word == "q":
                raise _Stop
            try:
                given = self._dimension_scores() if self._scores else None
            except _Back:
                continue
            self._review.judge(at, _CLASSES[word], given, note)
            self._tell(told_text(self._review.told(at)))
            return

    def _answer(self) -> tuple[str, str]:
        """A key, and for a class the note after it."""
        while True:
            line = self._line(f"{KEYS} > ")
            found = re.fullmatch(r"([ofesbq])(?:\s+(\S.*))?", line.strip(), re.IGNORECASE)
            if found is None:
                self._tell(_HINT)
                continue
            word, note = found[1].lower(), found[2] or ""
            if note and word not in _CLASSES:
                self._tell(_HINT)
            elif len(note) > MAX_NOTE:
                self._tell(f"a note has at most {MAX_NOTE} characters")
            else:
                return word, note

    def _dimension_scores(self) -> dict[str, float]:
        """The scores that were given, 0-10; an empty line leaves a dimension out."""
        found: dict[str, float] = {}
        for name, about in self._review.filter.config.scoring.dimensions.items():
            self._tell(f"  {name}: {one_line(about.description, 200)}")
            value = self._score(name)
            if value is not None:
                found[name] = value
        return found

    def _score(self, name: str) -> float | None:
        while True:
            line = self._line(f"  {name}, 0 to 10 (Enter: none, b: back) > ").strip()
            if line.lower() == "b":
                raise _Back
            try:
                return score(line) if line else None
            except ValueError as error:
                self._tell(f"  {error}")

    def _line(self, question: str) -> str:
        line = self._ask(question)
        if line is None:
            raise _Stop
        return line


def told_text(told: Told | None) -> str:
    """What is told after a judgement, on one line."""
    return "" if told is None else f"  -> {'; '.join(one_line(p, 300) for p in told.parts())}"


def _scores_text(scores: Mapping[str, float]) -> str:
    listed = ", ".join(f"{name} {value:g}" for name, value in scores.items())
    return f" ({listed})" if listed else ""


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of a text that fit, its own line breaks kept; nothing in it can steer a terminal."""
    for line in clean(text).split("\n"):
        yield from textwrap.wrap(line.expandtabs(4), width) or [""]


def ask_on_terminal(question: str) -> str | None:
    """Ask on stderr and read a line of stdin; None at its end."""
    print(question, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        return None
    if not sys.stdin.isatty():
        print(clean(line.rstrip("\n")), file=sys.stderr)
    return line
