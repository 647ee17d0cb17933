"""The entries at the repository root, and what importing the package costs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from distillery_core.pipelines.run import PIPELINES

FOLDER = Path(__file__).resolve().parents[2] / "pipelines"


@pytest.mark.parametrize("name", PIPELINES)
def test_an_entry_only_re_exports(name: str) -> None:
    path = FOLDER / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 15 and "__main__" not in text
    spec = importlib.util.spec_from_file_location(f"entry_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ours = importlib.import_module(f"distillery_core.pipelines.{name}")
    assert getattr(module, name) is getattr(ours, name)


def test_there_are_no_other_entries() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(PIPELINES)


def test_importing_the_runner_is_light() -> None:
    code = (
        "import sys, distillery_core.pipelines.run;"
        "print([m for m in ('zenml', 'torch', 'mlflow', 'openai', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
