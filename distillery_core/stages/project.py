"""A project on disk: where each stage reads and writes, and how a filter comes to live in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from distillery_core.content import CARRIED, project_root, shipped_root
from distillery_core.errors import UserError
from distillery_core.files import atomic_write, now_utc, sha256_file, write_json
from distillery_core.filters import Filter, load_filter
from distillery_core.filters.filter import CONFIG, DEFINITION
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

    @property
    def cache(self) -> Path:
        """Token ids and features of articles, by content hash; may be deleted at any time."""
        return self.root / ".distillery" / "cache"

    @property
    def locks(self) -> Path:
        """Empty files that a running command holds; they may stay."""
        return self.root / ".distillery" / "locks"

    def home(self, filter: Filter) -> Path:
        """Where reports, history and model of a filter are written."""
        return self.root / "filters" / filter.name / f"v{filter.version}"

    def sample_path(self, filter: Filter, round: str, seed: int) -> Path:
        """The sample of a calibration or validation round."""
        return self.root / "datasets" / "samples" / filter.slug / f"{round}-{seed}.jsonl"

    def labelled_path(self, filter: Filter) -> Path:
        """The batch of labelled articles."""
        return self.root / "datasets" / "labeled" / _of_version(filter) / "labeled_articles.jsonl"

    def labelled_sample_path(self, filter: Filter, sample: Path) -> Path:
        """Where a labelled sample goes, so that it never takes the place of the batch."""
        return self.labelled_path(filter).with_name(f"sample-{sample.stem}.jsonl")

    def training_dir(self, filter: Filter) -> Path:
        """train.jsonl, val.jsonl, test.jsonl and their manifest."""
        return self.root / "datasets" / "training" / _of_version(filter)

    def reports_dir(self, filter: Filter) -> Path:
        """Side products of reports that do not belong beside the filter."""
        return self.root / "reports" / filter.slug

    def relative(self, path: Path) -> str:
        """A path as a person in the project would type it."""
        try:
            return path.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return str(path)


def _of_version(filter: Filter) -> str:
    """The seed's folders for version 1; later versions get their own beside them."""
    return filter.name if filter.version == 1 else filter.slug


def open_project(start: Path | None = None) -> Project:
    """The project that `start` (default: the working directory) lies in."""
    return Project(project_root(start))


def project_of(reference: str) -> Project:
    """The project that a filter reference is about: the one whose `filters/<name>/v<N>` a PATH
    names, else that of the working directory. So a command that a report or gate prints with a
    path works from everywhere."""
    folder = Path(reference).resolve()
    root = folder.parents[2] if len(folder.parents) > 2 else folder
    lies_there = (folder / CONFIG).is_file() and folder.parent.parent == root / "filters"
    carried = root == shipped_root() and root.name == CARRIED
    return Project(root) if lies_there and not carried else open_project()


def adopt(project: Project, filter: Filter) -> Filter:
    """Bring a filter from elsewhere into the project before something is written to it.

    Its definition is copied to the filter's home with an `origin.json` that names where it came
    from and the hashes it had. A filter that already lives there is returned as it is.

    Raises:
        UserError: the project's copy was edited since; it is never overwritten.
    """
    home = project.home(filter)
    if filter.folder.resolve() == home.resolve():
        return filter
    if not (home / CONFIG).exists():
        try:
            _copy_definition(filter, home)
        except OSError as error:
            raise UserError(f"cannot be written: {error.strerror}", where=home) from error
    own = load_filter(home, f"project (from {filter.origin})")
    if own.digest != filter.digest:
        what = f"the project has its own {filter.label}, which differs from {filter.folder}"
        raise UserError(what, where=home, hint=f"--filter {filter.label} takes the project's")
    return own


def _copy_definition(filter: Filter, home: Path) -> None:
    classes = filter.config.sampling.classes_file
    wanted = [*_WITH_DEFINITION, *([classes] if classes else [])]
    copied = [name for name in wanted if (filter.folder / name).is_file()]
    hashes = {name: sha256_file(filter.folder / name) for name in copied}
    write_json(home / ORIGIN, {"origin": filter.origin, "adopted": now_utc(), "sha256": hashes})
    # The config last: it makes the folder a filter, which a killed run must not leave half.
    for name in sorted(copied, key=lambda name: name == CONFIG):
        with atomic_write(home / name, "wb") as handle:
            handle.write((filter.folder / name).read_bytes())


def definition_folders(filter: Filter) -> list[Path]:
    """Where files that belong to a filter's definition may lie: its folder, then its plugin's.

    Recorded answers stay in the plugin when the filter has been adopted, whichever version of the
    plugin is installed by now: a recording names the prompt that it is for.
    """
    folders = [filter.folder]
    if (filter.folder / ORIGIN).is_file():
        origin = _without_version(_adopted_from(filter.folder / ORIGIN))
        for found in load_plugins().filters:
            if _without_version(found.origin) == origin and found.folder.name == filter.name:
                folders.append(found.folder / f"v{filter.version}")
    return folders


def _adopted_from(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["origin"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "restore it, or remove it if the filter is the project's own"
        raise UserError(f"does not say where the filter comes from: {error}", path, hint) from None


def _without_version(origin: str) -> str:
    """`plugin distillery-filter-crisis 0.1.0` without its number."""
    return origin.rpartition(" ")[0]


def find_beside(filter: Filter, name: str) -> Path | None:
    """A file or folder that belongs to the filter's definition, or None."""
    for folder in definition_folders(filter):
        if (folder / name).exists():
            return folder / name
    return None
