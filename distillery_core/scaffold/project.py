"""Writes the folders and first files of a project; what is already there stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from distillery_core.content import shipped_root
from distillery_core.errors import UserError
from distillery_core.files import write_text

_TEMPLATES = Path(__file__).parent / "templates" / "project"

_EXPLAINED = ("agents", "filters", "plugins", "datasets", "training/configs", "reports", "docs")
"""Folders that get a README saying what lives there (pipelines and stacks ship their own)."""

_SHIPPED = ("agents", "filters", "pipelines", "stacks", "training/configs")
"""Folders whose content comes with the package."""

# A filter folder of a checkout may also hold models and reports of somebody's runs.
_OF_A_FILTER = {"config.yaml", "prompt.md.j2", "prefilter.yaml", "README.md", "cases.yaml"}


@dataclass(frozen=True, slots=True)
class LaidOut:
    """What `lay_out` did: files written, and files that were there and kept as they are."""

    folder: Path
    created: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)


def lay_out(folder: Path) -> LaidOut:
    """Make `folder` a distillery project. Doing it again adds only what is missing.

    Raises:
        UserError: `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError("is a file, a folder is needed", where=folder)
    result = LaidOut(folder)
    for relative, text in _files():
        target = folder / relative
        if target.exists():
            result.kept.append(target)
        else:
            write_text(target, text)
            result.created.append(target)
    return result


def _files() -> Iterator[tuple[Path, str]]:
    """Relative path and text of everything a new project holds."""
    for name, template in (("README.md", "README.md"), (".gitignore", "gitignore")):
        yield Path(name), _template(template)
    yield Path("oracles.yaml"), _read(shipped_root() / "oracles.yaml")
    for name in _EXPLAINED:
        yield Path(name) / "README.md", _template(f"{name.replace('/', '_')}.md")
    for name in _SHIPPED:
        yield from _shipped(name)


def _shipped(folder: str) -> Iterator[tuple[Path, str]]:
    root = shipped_root()
    for path in sorted((root / folder).rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and _is_content(relative):
            yield relative, _read(path)


def _is_content(relative: Path) -> bool:
    if any(part.startswith((".", "__")) for part in relative.parts):
        return False
    if len(relative.parts) == 2 and relative.name == "README.md":
        return relative.parts[0] in {"pipelines", "stacks"}  # the others are explained above
    return relative.parts[0] != "filters" or (
        len(relative.parts) == 4 and relative.name in _OF_A_FILTER
    )


def _template(name: str) -> str:
    return _read(_TEMPLATES / name)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
