"""Makes the typer app of one verb module, so that all verbs look alike."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

Body = TypeVar("Body", bound=Callable[..., Any])

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def family(help: str) -> typer.Typer:
    """An app that holds several verbs, such as `filter list` and `filter show`."""
    app = _app(help=help, no_args_is_help=True)
    app.callback()(lambda: None)
    return app


def single() -> typer.Typer:
    """An app that is one verb."""
    return _app()


def verb(
    app: typer.Typer,
    *examples: str,
    name: str | None = None,
    cls: type[TyperCommand] = TyperCommand,
) -> Callable[[Body], Body]:
    """Register a function as a verb; every verb shows at least one example below its options.

    Args:
        cls: the command's class, where one reads its arguments in a way of its own.
    """

    def register(body: Body) -> Body:
        epilog = "\b\n" + "\n".join(["Examples:", *(f"  {example}" for example in examples)])
        text = inspect.cleandoc(body.__doc__ or "")
        app.command(name, cls=cls, help=text, epilog=epilog, context_settings=_CONTEXT)(body)
        return body

    return register


def _app(**settings: Any) -> typer.Typer:
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_CONTEXT,
        **settings,
    )
