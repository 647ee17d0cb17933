"""The Jinja environment of reports: sandboxed, strict, and everything escaped unless formatted.

A string that an expression prints is escaped as markdown by `finalize`, so a template cannot forget
to; `md` is for cutting long ones. Filters that format numbers return finished text.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from distillery_core.errors import UserError
from distillery_core.reports import formatting
from distillery_core.reports.markdown import code_block, escape, inline_code, table

_FORMATS: dict[str, Callable[..., str]] = {
    "fixed": formatting.fixed,
    "signed": formatting.signed,
    "percent": formatting.percent,
    "integer": formatting.integer,
    "money": formatting.money,
    "compact": formatting.compact,
    "duration": formatting.duration,
    "megabytes": formatting.megabytes,
}


def render_file(path: Path, context: Mapping[str, Any]) -> str:
    """Render a report template.

    Raises:
        UserError: the template is missing, broken, or names an unknown variable.
    """
    try:
        source = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the report's template cannot be read: {error}", where=path) from None
    return render_text(source, context, where=path)


def render_text(source: str, context: Mapping[str, Any], where: Path | str = "template") -> str:
    """As `render_file`, from the template's text; ends with exactly one newline."""
    import jinja2

    try:
        text: str = environment().from_string(source).render(context)
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"template: {error.message}", where=f"{where}:{error.lineno}") from None
    except Exception as error:  # noqa: BLE001 - a template is data, whatever goes wrong in it
        what = f"template: {error}" if str(error) else f"template: {type(error).__name__}"
        raise UserError(what, where=_with_line(where, error)) from None
    return text.strip() + "\n"


def _with_line(where: Path | str, error: Exception) -> str:
    """`file:line` of the template's own line that was at work, as Jinja's traceback names it."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == "<template>"]
    return f"{where}:{lines[-1]}" if lines else str(where)


def sandbox(**options: Any) -> Any:
    """A strict Jinja environment for templates that come as data, from a project's `agents/`.

    They may read the fields of pydantic objects and call none of their methods: `parse_raw`
    unpickles, which runs code.
    """
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from pydantic import BaseModel

    class Sandbox(ImmutableSandboxedEnvironment):
        def is_safe_callable(self, obj: Any) -> bool:
            owner = getattr(obj, "__self__", None)
            kind = owner if isinstance(owner, type) else type(owner)
            return not issubclass(kind, BaseModel) and super().is_safe_callable(obj)

    return Sandbox(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, **options
    )


@cache
def environment() -> Any:
    """The environment, built once."""
    made = sandbox(
        autoescape=True,  # keeps Markup apart from str, so that `finalize` knows what is finished
        finalize=_finished,
    )
    made.filters.update({name: _as_markup(function) for name, function in _FORMATS.items()})
    made.filters.update(counted=formatting.counted)  # a word of the template: escaped as any text
    made.filters.update(md=_md, words=_words, code=_code, code_block=code_block, table=_table)
    return made


def _finished(value: Any) -> Any:
    """What an expression printed: finished text as it is, numbers plain, all else escaped."""
    if hasattr(value, "__html__"):
        return value
    return escape(str(value))


def _as_markup(function: Callable[..., str]) -> Callable[..., Markup]:
    return lambda *values: Markup(function(*values))  # noqa: S704  # digits and units only


def _md(value: Any, limit: int | None = None) -> Markup:
    return value if isinstance(value, Markup) else escape(str(value), limit)


def _words(name: Any) -> Markup:
    """A name such as `on_topic` as words."""
    return escape(str(name).replace("_", "-"))


def _code(value: Any, limit: int | None = None) -> Markup:
    return inline_code(str(value), limit)


def _table(rows: Any, header: list[str], right: list[int] | None = None) -> Markup:
    return Markup(table(header, rows, right or ()))  # noqa: S704  # `table` escapes each cell
