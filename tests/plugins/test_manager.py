"""Plugins load one by one: a broken one names itself, and everything else works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery_core.plugins import manager
from distillery_core.plugins.manager import Plugins

Install = Callable[..., None]
Load = Callable[[], Plugins]

HEAD = """
from pathlib import Path
from distillery_core.plugins import hookimpl
from distillery_core.plugins.hookspecs import OracleProvider, StudentBackend
"""
GOOD = f"""{HEAD}
@hookimpl
def distillery_filters():
    return [Path(__file__).parent / "mood"]

@hookimpl
def distillery_oracles():
    return [OracleProvider("extra", "extra.oracle:create")]

@hookimpl
def distillery_students():
    return [StudentBackend("extra", "extra.student:train")]
"""

BROKEN = {
    "import of a missing module": ("import no_such_module_at_all", "ModuleNotFoundError"),
    "syntax error": ("def broken(:", "SyntaxError"),
    "an exception while importing": ("raise RuntimeError('no licence')", "no licence"),
    "a hook with an argument that no caller gives": (
        f"{HEAD}\n@hookimpl\ndef distillery_filters(project):\n    return []",
        "project",
    ),
    "an unknown hook": (
        f"{HEAD}\n@hookimpl\ndef distillery_filter():\n    return []",
        "unknown hook 'distillery_filter'",
    ),
    "a hook that raises": (
        f"{HEAD}\n@hookimpl\ndef distillery_filters():\n    raise OSError('disk gone')",
        "OSError: disk gone",
    ),
    "a hook that returns None": (
        f"{HEAD}\n@hookimpl\ndef distillery_filters():\n    return None",
        "TypeError",
    ),
    "a hook that returns texts": (
        f"{HEAD}\n@hookimpl\ndef distillery_filters():\n    return ['/a/folder']",
        "returned '/a/folder', not a Path",
    ),
    "a hook that returns another kind": (
        f"{HEAD}\n@hookimpl\ndef distillery_oracles():\n    return [StudentBackend('a', 'b:c')]",
        "not a OracleProvider",
    ),
    "a provider's name that is taken": (
        f"{HEAD}\n@hookimpl\ndef distillery_oracles():\n"
        "    return [OracleProvider('openai', 'a:b')]",
        "the name 'openai' is taken",
    ),
    "a provider's name that is taken by asking to be first": (
        f"{HEAD}\n@hookimpl(trylast=True)\ndef distillery_oracles():\n"
        "    return [OracleProvider('openai', 'a:b')]",
        "the name 'openai' is taken",
    ),
    "leaving Python while importing": ("raise SystemExit(0)", "SystemExit"),
    "leaving Python in a hook": (
        f"{HEAD}\n@hookimpl\ndef distillery_filters():\n    raise SystemExit(3)",
        "SystemExit: 3",
    ),
    "a folder that does not exist": (
        f"{HEAD}\n@hookimpl\ndef distillery_filters():\n    return [Path('/no/such/folder')]",
        "returned /no/such/folder, which is no folder",
    ),
}


def _core_works(plugins: Plugins) -> bool:
    return {"openai", "replay"} <= set(plugins.oracles) and "transformers" in plugins.students


@pytest.mark.parametrize("source_and_words", BROKEN.values(), ids=BROKEN.keys())
def test_broken_plugin_names_itself_and_the_rest_works(
    install: Install, load: Load, source_and_words: tuple[str, str]
) -> None:
    source, words = source_and_words
    install(source, name="bad", dist="distillery-bad", version="0.3")
    install(GOOD, name="good", dist="distillery-good")
    plugins = load()
    (failure,) = plugins.failures
    assert words in failure.error
    assert failure.distribution == "distillery-bad 0.3"
    assert "distillery-bad 0.3" in str(failure)
    assert _core_works(plugins)
    assert plugins.oracles["openai"].factory == "distillery_core.oracle.openai_client:create"
    assert "extra" in plugins.oracles
    assert "extra" in plugins.students
    assert any(found.origin == "plugin distillery-good 1.2" for found in plugins.filters)


def test_entry_point_whose_module_does_not_exist(site: Path, load: Load) -> None:
    info = site / "distillery_gone-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: distillery-gone\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[distillery]\ngone = distillery_gone\n")
    plugins = load()
    assert [failure.name for failure in plugins.failures] == ["gone"]
    assert _core_works(plugins)


def test_name_registered_twice_keeps_the_first(install: Install, load: Load) -> None:
    install(GOOD, name="same", dist="distillery-a")
    install(GOOD, name="same", dist="distillery-b")
    plugins = load()
    (failure,) = plugins.failures
    assert failure.distribution == "distillery-b 1.2"
    assert "distillery-a 1.2 already registered the name 'same'" in failure.error
    assert "extra" in plugins.oracles


def test_module_named_twice_stays_registered_once(site: Path, install: Install, load: Load) -> None:
    install(GOOD, name="first")
    (points,) = site.glob("*.dist-info/entry_points.txt")
    module = points.read_text(encoding="utf-8").split(" = ")[1].strip()
    points.write_text(f"[distillery]\nfirst = {module}\nsecond = {module}\n", encoding="utf-8")
    plugins = load()
    assert [failure.name for failure in plugins.failures] == ["second"]
    assert "extra" in plugins.oracles
    assert "first" in {info.name for info in plugins.loaded}


def test_good_plugin_contributes_to_every_hook(site: Path, install: Install, load: Load) -> None:
    install(GOOD)
    plugins = load()
    assert plugins.failures == ()
    (info,) = (info for info in plugins.loaded if info.name == "extra")
    assert info.distribution == "distillery-extra 1.2"
    assert info.hooks == ("distillery_filters", "distillery_oracles", "distillery_students")
    (found,) = (f for f in plugins.filters if f.origin == "plugin distillery-extra 1.2")
    assert found.folder == site / "mood"
    assert plugins.oracles["extra"].factory == "extra.oracle:create"
    assert plugins.students["extra"].factory == "extra.student:train"


def test_plugin_is_left_out_by_name(
    install: Install, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("raise RuntimeError('must not be imported')", name="loud")
    monkeypatch.setenv(manager.DISABLE, "quiet, loud")
    plugins = load()
    assert plugins.failures == ()
    assert "loud" not in {info.name for info in plugins.loaded}
    assert _core_works(plugins)


def test_core_comes_through_its_own_entry_point(load: Load, install: Install) -> None:
    install(GOOD)
    (core,) = (info for info in load().loaded if info.name == "core")
    assert core.distribution.startswith("distillery-core ")
    assert core.hooks == ("distillery_oracles", "distillery_students")


def test_plugins_load_once_a_process() -> None:
    assert manager.load_plugins() is manager.load_plugins()
