"""Renders a filter's prompt, and proves with a canary that the article is in it."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from distillery_core.errors import UserError
from distillery_core.fence import FENCE_OPEN, fence, fence_content, prompt_hash_of_messages
from distillery_core.filters.config import FilterConfig
from distillery_core.filters.text_view import text_view

CANARY_TITLE = "Canary title 7c1f"
CANARY_CONTENT = "Canary content 93ab, which no prompt contains by itself."


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the oracle is sent.

    `system` is everything before the article and byte-identical for every article, so that a
    provider can cache it; `user` starts with the fenced article.
    """

    system: str
    user: str


def render(template: str, config: FilterConfig, title: str, content: str) -> Prompt:
    """Render a prompt for one article.

    Raises:
        jinja2.TemplateError: the template is broken or names an unknown variable.
    """
    view = text_view(title, content, config.text)
    block = fence(view.title, view.content)
    before, after = _around_the_article(template, _Same(config))
    if after is None:
        return Prompt(system=before, user="")
    return Prompt(system=before, user=(block + after).strip())


class _Same:
    """A config as a key: the same object, which is frozen, makes the same prompt."""

    def __init__(self, config: FilterConfig) -> None:
        self.config = config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.config is other.config

    def __hash__(self) -> int:
        return id(self.config)


@lru_cache(maxsize=64)
def _around_the_article(template: str, key: _Same) -> tuple[str, str | None]:
    """What stands before and behind the article, rendered once and the same for every article.

    Behind is None where the template does not send the article as it is.
    """
    view = text_view(CANARY_TITLE, CANARY_CONTENT, key.config.text)
    block = fence(view.title, view.content)
    text: str = _compiled(template).render(article=block, **_variables(key.config))
    # The instructions may speak of the fence too, so the block is found by its whole text.
    position = text.find(block)
    if position < 0:
        return text.strip(), None
    return text[:position].strip(), text[position + len(block) :].rstrip()


def prompt_sha256(template: str, config: FilterConfig) -> str:
    """Hash of the prompt with the fenced article replaced by a placeholder."""
    prompt = render(template, config, CANARY_TITLE, CANARY_CONTENT)
    return prompt_hash_of_messages(prompt.system, prompt.user)


def check_template(template: str, config: FilterConfig, path: Path) -> None:
    """Render with a canary: both title and text must arrive, exactly once.

    Raises:
        UserError: with the template's line where Jinja knows it.
    """
    import jinja2

    try:
        prompt = render(template, config, CANARY_TITLE, CANARY_CONTENT)
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"template: {error.message}", where=f"{path}:{error.lineno}") from None
    except jinja2.UndefinedError as error:
        known = ", ".join(["article", *_variables(config)])
        message = f"template: {error.message} (known: {known})"
        raise UserError(message, where=f"{path}{_line_of(error)}") from None
    except Exception as error:  # noqa: BLE001 - a template's expressions may fail in any way
        raise UserError(f"template: {error}", where=f"{path}{_line_of(error)}") from None
    _check_canary(prompt, path)


def _line_of(error: Exception) -> str:
    """`:12`, the template's line that Jinja puts into the traceback, or nothing."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == "<template>"]
    return f":{lines[-1]}" if lines else ""


def _check_canary(prompt: Prompt, path: Path) -> None:
    hint = "put {{ article }} on a line of its own, after the instructions"
    whole = f"{prompt.system}\n{prompt.user}"
    if not prompt.user.startswith(FENCE_OPEN) or CANARY_CONTENT not in whole:
        raise UserError("the prompt does not send the article", where=path, hint=hint)
    if CANARY_TITLE not in whole:
        raise UserError("the prompt does not send the article's title", where=path, hint=hint)
    if whole.count(CANARY_CONTENT) > 1:
        raise UserError("the prompt sends the article twice", where=path, hint=hint)
    if fence_content(prompt.user) != (CANARY_TITLE, CANARY_CONTENT):
        # Ledger and hash know the article by its block; they would take the example for it.
        what = "another <article> block stands behind the article"
        raise UserError(what, where=path, hint="put worked examples before {{ article }}")
    if not prompt.system:
        raise UserError("no instructions stand before the article", where=path, hint=hint)


def _variables(config: FilterConfig) -> dict[str, Any]:
    """Plain values only: a pydantic object would lend a template its methods, and one of them
    (`parse_raw`) unpickles."""
    dimensions = config.scoring.dimensions.items()
    return {
        "filter": config.filter.model_dump(),
        "dimensions": {name: dimension.model_dump() for name, dimension in dimensions},
        "scale_max": 10,
    }


def _json(value: Any) -> str:
    """Jinja's own `tojson` writes for HTML and would turn an apostrophe into \\u0027."""
    return json.dumps(value, ensure_ascii=False)


@lru_cache(maxsize=64)
def _compiled(template: str) -> Any:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Plain text for a language model, not HTML: escaping would falsify the article.
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters["tojson"] = _json
    return environment.from_string(template)
