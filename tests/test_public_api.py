"""The public surface is a list: growing it is a decision, and importing it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import distillery_core


def test_every_public_name_is_there_and_in_the_list() -> None:
    assert set(distillery_core.__all__) == {*distillery_core._WHERE, "__version__"}
    for name in distillery_core.__all__:
        assert getattr(distillery_core, name) is not None


def test_the_version_is_the_distributions() -> None:
    assert distillery_core.__version__ == metadata.version("distillery-core")


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(distillery_core, "horoscope")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, distillery_core; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "zenml", "mlflow", "openai", "pydantic", "yaml"}
    assert not heavy & set(shown.stdout.split())
