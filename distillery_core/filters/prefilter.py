"""Declarative pre-filter: rules about form and source that keep junk from oracle and student."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field

from distillery_core.filters.config import PatternList, Strict
from distillery_core.filters.text_view import pattern_text
from distillery_core.types import Article
from distillery_core.yaml_source import load_model


class Listed(Strict):
    """Names that are blocked, and, when `allow` is not empty, the only ones let through."""

    block: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()


class PatternRule(PatternList):
    """Blocks an article whose title or content matches, unless an overriding pattern does too."""

    name: str
    reason: str = Field(min_length=1)


class Prefilter(Strict):
    """The whole of prefilter.yaml. Lengths are in characters of the content, so that scripts
    without spaces are measured too."""

    min_chars: int = Field(default=0, ge=0)
    max_chars: int | None = Field(default=None, ge=1)
    sources: Listed = Listed()
    domains: Listed = Listed()
    languages: Listed = Listed()
    patterns: tuple[PatternRule, ...] = ()

    def check(self, article: Article) -> str | None:
        """Why the article is blocked, or None when it passes."""
        return (
            self._length(article)
            or _listed("source", _text(article, "source"), self.sources)
            or _listed("domain", _domain(article), self.domains)
            or _listed("language", _text(article, "language"), self.languages, _same_language)
            or self._pattern(article)
        )

    def _length(self, article: Article) -> str | None:
        length = len(article.content.strip())
        if length < self.min_chars:
            return f"too short: {length} characters, {self.min_chars} needed"
        if self.max_chars is not None and length > self.max_chars:
            return f"too long: {length} characters, {self.max_chars} allowed"
        return None

    def _pattern(self, article: Article) -> str | None:
        text = pattern_text(article.title, article.content)
        for rule in self.patterns:
            if rule.matches(text):
                return f"{rule.name}: {rule.reason}"
        return None


def load_prefilter(path: Path) -> Prefilter:
    """Read prefilter.yaml; a filter without one blocks nothing.

    Raises:
        UserErrors: every mistake with its line.
    """
    return load_model(path, Prefilter) if path.exists() else Prefilter()


def _text(article: Article, key: str) -> str:
    return str(article.extra.get(key) or "").strip()


def _domain(article: Article) -> str:
    try:
        host = urlsplit(_text(article, "url")).hostname or ""
    except ValueError:  # an address such as http://[broken
        host = ""
    return host.removeprefix("www.")


def _same(name: str, entry: str) -> bool:
    """Equal, or a sub-domain of the entry."""
    name, entry = name.casefold(), entry.casefold().removeprefix("www.")
    return name == entry or ("." in entry and name.endswith(f".{entry}"))


def _same_language(name: str, entry: str) -> bool:
    """Equal, or the entry's language in some region or script (`en-AU` is `en`)."""
    name, entry = name.casefold().replace("_", "-"), entry.casefold().replace("_", "-")
    return name == entry or name.startswith(f"{entry}-")


def _listed(
    what: str, name: str, rule: Listed, same: Callable[[str, str], bool] = _same
) -> str | None:
    """An unknown name passes an allow list: what is not known cannot be judged by it."""
    if not name:
        return None
    if any(same(name, entry) for entry in rule.block):
        return f"{what} {name!r} is blocked"
    if rule.allow and not any(same(name, entry) for entry in rule.allow):
        return f"{what} {name!r} is not among the allowed ones"
    return None
