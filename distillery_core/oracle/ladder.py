"""The ladder of answer formats: json_schema, json_object, text; one rung down when one is refused.

Servers refuse a format in many ways (400 with a message, 422, even 500 with a validation error), so
a refusal is known by its words, or, before the rung has ever held, by its status.
"""

from __future__ import annotations

import re

from distillery_core.oracle.client import AnswerFormat, OracleFailure

_RUNGS: tuple[AnswerFormat, ...] = ("json_schema", "json_object", "text")
_WORDS = re.compile(r"response_?format|json_?schema|json_?object|grammar|structured", re.IGNORECASE)
_UNTRIED_STATUS = {400, 415, 422, 501}
_WORDED_STATUS = {*_UNTRIED_STATUS, 500}


class FormatLadder:
    """Remembers, for a run, which format the server takes."""

    def __init__(self, top: AnswerFormat) -> None:
        self.current: AnswerFormat = top
        self._top: AnswerFormat = top
        self._held: set[AnswerFormat] = set()
        self._guessing = True

    def held(self, answer_format: AnswerFormat) -> None:
        """A call with this format was answered."""
        self._held.add(answer_format)

    def refused(self, answer_format: AnswerFormat, failure: OracleFailure) -> bool:
        """Whether the failure was about the format; then the next call uses a lower rung."""
        if answer_format in self._held or not self._may_be_format(failure):
            return False
        if answer_format == _RUNGS[-1]:
            self._blame_the_question()
            return False
        if answer_format == self.current:
            self.current = _RUNGS[_RUNGS.index(answer_format) + 1]
        return True

    def _may_be_format(self, failure: OracleFailure) -> bool:
        worded = failure.status in _WORDED_STATUS and _WORDS.search(failure.message) is not None
        return worded or (self._guessing and failure.status in _UNTRIED_STATUS)

    def _blame_the_question(self) -> None:
        """Plain text was refused as well, so the descent was wrong."""
        if self._guessing and not self._held:
            self.current = self._top
        self._guessing = False
