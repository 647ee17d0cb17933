"""The class of an article in a sample: on topic, off topic or edge, with the reason for it."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from distillery_core.dataset.lines import read_lines
from distillery_core.dataset.rows import parse_line
from distillery_core.dataset.shingles import UNSPACED
from distillery_core.errors import UserError, UserErrors
from distillery_core.filters.config import ClassRule, compiled
from distillery_core.filters.filter import Filter
from distillery_core.filters.text_view import pattern_text
from distillery_core.types import Article

SampleClass = Literal["on_topic", "off_topic", "edge"]
CLASSES: tuple[SampleClass, ...] = get_args(SampleClass)

_UNSPACED = re.compile(f"[{UNSPACED}]")
_SHOWN_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Classified:
    """An article's class, why, and who said so: a reviewer, the filter's rules, or its seed
    sentences."""

    name: SampleClass
    reason: str
    by: Literal["review", "rules", "similarity"]


def classify(filter: Filter, article: Article) -> Classified:
    """The class by the filter's sampling rules; off topic is what neither rule finds.

    A keyword is matched as a whole word, whatever its case; one in a script without spaces
    (Chinese, Japanese, Thai ...) wherever it stands. A pattern in `exclude` takes a rule's match
    back, and the other rule is tried.
    """
    text = pattern_text(article.title, article.content)
    folded = _folded(text)
    sampling = filter.config.sampling
    found = _match(sampling.on_topic, text, folded)
    if found:
        return Classified("on_topic", found, "rules")
    found = _match(sampling.edge, text, folded)
    if found:
        return Classified("edge", found, "rules")
    return Classified("off_topic", "no on-topic or edge rule matches", "rules")


def load_classes(path: Path, filter_name: str) -> dict[str, Classified]:
    """A reviewed classes file: JSONL of {id, class, reason}, or with the class under the filter's
    name and the reason under `why`. Rows without a class for this filter are passed over.

    Raises:
        UserError: the file cannot be read, or names a class for no row of this filter.
        UserErrors: every row with an unknown class, or an id that is given two classes.
    """
    classes: dict[str, Classified] = {}
    errors: list[UserError] = []
    for line in read_lines(path):
        try:
            _take(parse_line(line), filter_name, classes)
        except ValueError as error:
            errors.append(UserError(str(error), where=f"{path}:{line.number}"))
    if errors:
        raise UserErrors(errors[:_SHOWN_ERRORS])
    if not classes:
        hint = 'a row is {"id": "...", "class": "on_topic", "reason": "..."}'
        raise UserError(f"names no class for the filter {filter_name}", where=path, hint=hint)
    return classes


def has_rules(filter: Filter) -> bool:
    """Whether the filter's rules can find an on-topic article at all."""
    rule = filter.config.sampling.on_topic
    return bool(rule.keywords or rule.patterns)


def _take(row: Mapping[str, Any], filter_name: str, classes: dict[str, Classified]) -> None:
    name = row.get("class", row.get(filter_name))
    if name is None:
        return
    if name not in CLASSES:
        raise ValueError(f"unknown class {name!r:.40} (on_topic, off_topic or edge)")
    key = str(row.get("id", ""))
    if not key:
        raise ValueError("id is missing")
    if key in classes and classes[key].name != name:
        raise ValueError(f"{key} is given two classes, {classes[key].name} and {name}")
    reason = row.get("reason", row.get("why"))
    classes[key] = Classified(name, reason if isinstance(reason, str) else "", "review")


def _match(rule: ClassRule, text: str, folded: str) -> str | None:
    """What of the rule the text matches, unless an exclusion matches too."""
    found = _keyword(rule, folded) or _pattern(rule, text)
    if found and any(compiled(pattern).search(text) for pattern in rule.exclude):
        return None
    return found


def _keyword(rule: ClassRule, folded: str) -> str | None:
    for keyword in rule.keywords:
        start, pattern = _keyword_pattern(keyword)
        # Finding the plain characters first is some 50 times faster than the pattern.
        if start in folded and pattern.search(folded):
            return f"keyword {keyword!r}"
    return None


def _pattern(rule: ClassRule, text: str) -> str | None:
    for pattern in rule.patterns:
        match = compiled(pattern).search(text)
        if match:
            return f"pattern finds {match[0]!r:.60}"
    return None


@lru_cache(maxsize=4096)
def _keyword_pattern(keyword: str) -> tuple[str, re.Pattern[str]]:
    """A keyword's first word, and the pattern that finds it in folded text as a whole word."""
    words = _folded(keyword).split()
    body = r"\s+".join(re.escape(word) for word in words)
    if not _UNSPACED.search(keyword):
        part = r"\w" if keyword.isascii() else rf"[\w{_marks()}]"
        body = rf"(?<!{part}){body}(?!{part})"
    return words[0] if words else "", re.compile(body)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


@lru_cache(maxsize=1)
def _marks() -> str:
    """Combining marks: Python does not count them as parts of a word, many scripts do."""
    last = min(sys.maxunicode, 0xFFFF)
    marks = (chr(c) for c in range(0x300, last) if unicodedata.category(chr(c)) in ("Mn", "Mc"))
    return "".join(marks)
