"""A project on disk: where each stage reads and writes, and how a filter comes to live in it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from distillery_core.content import project_root
from distillery_core.errors import UserError
from distillery_core.files import now_utc, sha256_file, write_json
from distillery_core.filters import Filter, load_filter
from distillery_core.filters.filter import DEFINITION
from distillery_core.plugins.manager import load_plugins

ORIGIN = "origin.json"
_WITH_DEFINITION = (*DEFINITION, "README.md", "cases.yaml")


@dataclass(frozen=True, slots=True)
class Project:
    """The folders of one project. Nothing is created before something is written into it."""

    root: Path

    @property
    def ledger(self) -> Path:
        """Every paid (or recorded) answer of this project."""
        return self.root / ".distillery" / "ledger.sqlite"

    def home(self, filter: Filter) -> Path:
        """Where reports, history and model of a filter are written."""
        return self.root / "filters" / filter.name / f"v{filter.version}"

    def sample_path(self, filter: Filter, round: str, seed: int) -> Path:
        """The sample of a calibration or validation round."""
        return self.root / "datasets" / "samples" / filter.slug / f"{round}-{seed}.jsonl"

    def labelled_path(self, filter: Filter) -> Path:
        """The batch of labelled articles."""
        return self.root / "datasets" / "labeled" / filter.name / "labeled_articles.jsonl"

    def training_dir(self, filter: Filter) -> Path:
        """train.jsonl, val.jsonl, test.jsonl and their manifest."""
        return self.root / "datasets" / "training" / filter.name

    def reports_dir(self, filter: Filter) -> Path:
        """Side products of reports that do not belong beside the filter."""
        return self.root / "reports" / filter.slug

    def relative(self, path: Path) -> str:
        """A path as a person in the project would type it."""
        try:
            return path.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return str(path)


def open_project(start: Path | None = None) -> Project:
    """The project that `start` (default: the working directory) lies in."""
    return Project(project_root(start))


def adopt(project: Project, filter: Filter) -> Filter:
    """Bring a plugin's or shipped filter into the project before something is written to it.

    Its definition is copied to the filter's home with an `origin.json` that names where it came
    from and the hashes it had. A filter that already lives there is returned as it is.
    """
    home = project.home(filter)
    if filter.folder.resolve() == home.resolve():
        return filter
    if not filter.origin.startswith(("plugin", "shipped")):
        return filter
    try:
        _copy_definition(filter, home)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=home) from error
    return load_filter(home, f"project (from {filter.origin})")


def _copy_definition(filter: Filter, home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    classes = filter.config.sampling.classes_file
    wanted = [*_WITH_DEFINITION, *([classes] if classes else [])]
    copied = [name for name in wanted if (filter.folder / name).is_file()]
    for name in copied:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(filter.folder / name, home / name)
    hashes = {name: sha256_file(home / name) for name in copied}
    write_json(home / ORIGIN, {"origin": filter.origin, "adopted": now_utc(), "sha256": hashes})


def definition_folders(filter: Filter) -> list[Path]:
    """Where files that belong to a filter's definition may lie: its folder, then its plugin's.

    Recorded answers stay in the plugin when the filter has been adopted.
    """
    folders = [filter.folder]
    if (filter.folder / ORIGIN).is_file():
        origin = json.loads((filter.folder / ORIGIN).read_text(encoding="utf-8"))["origin"]
        for found in load_plugins().filters:
            if found.origin == origin and found.folder.name == filter.name:
                folders.append(found.folder / f"v{filter.version}")
    return folders


def find_beside(filter: Filter, name: str) -> Path | None:
    """A file or folder that belongs to the filter's definition, or None."""
    for folder in definition_folders(filter):
        if (folder / name).exists():
            return folder / name
    return None
