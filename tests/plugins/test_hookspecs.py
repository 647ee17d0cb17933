"""Every hook has a test and stands in the documentation with its signature."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.plugins import hookspecs

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "plugins.md"

HOOKS: dict[str, Callable[..., object]] = {
    name: function
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
    if hasattr(function, "distillery_spec")
}


def test_this_many_hooks_were_found() -> None:
    assert sorted(HOOKS) == ["distillery_filters", "distillery_oracles", "distillery_students"]


@pytest.mark.parametrize("name", HOOKS)
def test_hook_has_a_test(name: str) -> None:
    tests = (Path(__file__).parent / "test_manager.py").read_text(encoding="utf-8")
    assert f"def {name}(" in tests


@pytest.mark.parametrize("name", HOOKS)
def test_hook_is_documented_with_its_signature(name: str) -> None:
    returned = typing.get_type_hints(HOOKS[name])["return"]
    item = typing.get_args(returned)[0].__name__
    parameters = inspect.signature(HOOKS[name]).replace(return_annotation=inspect.Signature.empty)
    signature = f"{name}{parameters}"
    assert f"`{signature} -> Sequence[{item}]`" in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", HOOKS)
def test_hook_says_when_it_matters(name: str) -> None:
    assert inspect.getdoc(HOOKS[name])


def test_factories_of_core_name_functions() -> None:
    """Written as texts so that nothing heavy is imported; they must still exist."""
    from importlib.util import find_spec

    from distillery_core.plugins import builtin

    oracles = [entry.factory for entry in builtin.distillery_oracles()]
    students = [entry.factory for entry in builtin.distillery_students()]
    for factory in oracles + students:
        module, _, function = factory.partition(":")
        spec = find_spec(module)
        assert spec is not None, module
        source = Path(str(spec.origin)).read_text(encoding="utf-8")
        assert f"def {function}(" in source
