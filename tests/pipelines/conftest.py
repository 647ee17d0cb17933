"""A ZenML store for each test, copied from one that a worker creates once, on a RAM disk."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_RAM = Path("/dev/shm")
_ROOT = Path(tempfile.mkdtemp(prefix="zenml-tests-", dir=_RAM if _RAM.is_dir() else None))

# Before anything imports ZenML, which reads most of them once.
os.environ.update(
    ZENML_ANALYTICS_OPT_IN="false",
    ZENML_LOGGING_VERBOSITY="CRITICAL",
    ZENML_ENABLE_RICH_TRACEBACK="false",
    ZENML_LOGGING_COLORS_DISABLED="true",
    ZENML_DISABLE_STEP_LOGS_STORAGE="true",
    ZENML_DISABLE_PIPELINE_LOGS_STORAGE="true",
    ZENML_ENABLE_REPO_INIT_WARNINGS="false",
    ZENML_CUSTOM_SOURCE_ROOT=str(_ROOT),
)

REPOSITORY = Path(__file__).resolve().parents[2]


def _forget_store() -> None:
    """ZenML keeps its client and configuration for the life of a process."""
    from zenml.client import Client
    from zenml.config.global_config import GlobalConfiguration

    Client._reset_instance()
    GlobalConfiguration._reset_instance()


@pytest.fixture(scope="session")
def _template() -> Iterator[Path]:
    """A store as `prepare_environment` creates it, without the slow parts of a first run."""
    import zenml.environment
    from zenml.integrations.registry import integration_registry

    from distillery_core.pipelines.environment import prepare_environment

    integration_registry._initialize()
    wanted = {"mlflow", "pandas"}
    known = integration_registry._integrations
    integration_registry._integrations = {k: v for k, v in known.items() if k in wanted}
    patch = pytest.MonkeyPatch()
    patch.setattr(
        zenml.environment.Environment, "get_python_packages", staticmethod(lambda: ["x==1"])
    )
    patch.setenv("ZENML_CONFIG_PATH", str(_ROOT / "template"))
    _forget_store()
    prepare_environment(_ROOT)
    _forget_store()
    yield _ROOT / "template"
    patch.undo()
    shutil.rmtree(_ROOT, ignore_errors=True)


@pytest.fixture
def zenml_store(_template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty store of this test alone."""
    folder = Path(tempfile.mkdtemp(dir=_ROOT)) / "zenml"
    shutil.copytree(_template, folder)
    for path in (folder / "config.yaml", *folder.glob("ready-*")):
        text = path.read_text(encoding="utf-8").replace(str(_template), str(folder))
        path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(folder))
    _forget_store()
    yield folder
    _forget_store()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the recorded crisis articles, as the working directory."""
    corpus = pytest.importorskip("distillery_filter_crisis.corpus")
    rows = list(corpus.articles())
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (tmp_path / "articles.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "filters").mkdir()
    shutil.copy(REPOSITORY / "oracles.yaml", tmp_path / "oracles.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path
