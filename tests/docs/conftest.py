"""The repository's documents: which files there are, and the commands and YAML of README.md."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


def _listed() -> list[Path]:
    """Every file that is tracked or would be: what a clone holds."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = (ROOT / name for name in sorted(set(found.split("\0"))) if name)
    return [path for path in paths if path.is_file()]


@pytest.fixture(scope="session")
def files() -> list[Path]:
    return _listed()


@pytest.fixture(scope="session")
def documents(files: list[Path]) -> list[Path]:
    """Every markdown file that people read."""
    return [path for path in files if path.suffix == ".md"]


def _blocks(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [match["text"] for match in _BLOCK.finditer(text) if match["language"] == language]


@pytest.fixture(scope="session")
def readme_commands() -> list[str]:
    """Every command of README.md, a continued one as one line."""
    lines = "".join(_blocks("bash")).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


@pytest.fixture(scope="session")
def readme_yaml() -> dict[str, str]:
    """The YAML of README.md by the file that its first line names."""
    return {block.splitlines()[0].lstrip("# "): block for block in _blocks("yaml")}
