"""Labelled file to dataset folder: read, group, split, judge, and write everything at once."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from distillery_core.content import project_root
from distillery_core.dataset.collect import Collected, collect
from distillery_core.dataset.describe import Declared, Prepared, describe, split_file
from distillery_core.dataset.duplicates import NEAR_DUPLICATE, find_duplicates
from distillery_core.dataset.leaks import LeakReport, find_leaks
from distillery_core.dataset.manifest import (
    Manifest,
    NoiseRecord,
    load_manifest,
    write_manifest,
)
from distillery_core.dataset.rejects import Rejects
from distillery_core.dataset.split import SPLITS, Ratios, assign_splits
from distillery_core.errors import CheckFailed, UserError
from distillery_core.filters.filter import Filter
from distillery_core.types import Progress, silent


def prepare(
    filter: Filter,
    labelled: Path,
    output_dir: Path,
    ratios: Ratios | tuple[float, float, float] = (0.8, 0.1, 0.1),
    *,
    threshold: float = NEAR_DUPLICATE,
    allow_mixed: bool = False,
    noise_floor: Mapping[str, float] | None = None,
    noise: NoiseRecord | None = None,
    project: Path | None = None,
    progress: Progress = silent,
) -> Manifest:
    """Make train.jsonl, val.jsonl, test.jsonl and manifest.json of a labelled file.

    The four files appear together, or the folder stays as it was; other files in it are kept. Rows
    that cannot be used go to `<output_dir>.rejected.jsonl`. The same file gives the same bytes (the
    date of an equal dataset that is there already is kept); its rows in another order give the same
    splits.

    A failed QA or too many rejected rows are recorded, not raised: call `manifest.check_prepared`
    with the result.

    Args:
        ratios: shares of train, validation and test.
        threshold: Jaccard similarity from which two texts are kept in one split.
        allow_mixed: labels of several oracles or prompts are meant.
        noise_floor: mean absolute difference per dimension between repeated answers, if measured.
        noise: where that comes from, for labels made of several answers.
        project: where `agents/dataset_quality` is looked for first.

    Raises:
        UserError: the input cannot be used, the ratios are wrong, the folder cannot be written.
        CheckFailed: the splits share texts.
    """
    shares = ratios if isinstance(ratios, Ratios) else Ratios(*ratios)
    root = project or project_root(output_dir.parent)
    declared = Declared(root, allow_mixed, noise_floor, noise)
    with _staging(output_dir) as stage, Rejects(output_dir) as rejects:
        with (stage / ".spool").open("w+b") as spool:
            rows = collect(labelled, filter, rejects, spool, progress)
            prepared = _split(filter, rows, shares, threshold, progress)
            _refuse_leak(prepared.leak)
            _write_splits(stage, prepared)
        (stage / ".spool").unlink()
        fresh = describe(filter, labelled, prepared, rejects, declared, stage)
        manifest = _as_dated_before(fresh, output_dir)
        write_manifest(stage, manifest)
        _publish(stage, output_dir)
    return manifest


def _as_dated_before(manifest: Manifest, output_dir: Path) -> Manifest:
    """Keep the date of a dataset that is made again and is the same.

    Models and reports name the manifest's hash; a new date alone must not void them.
    """
    try:
        before = load_manifest(output_dir)
    except UserError:
        return manifest
    dated = manifest.model_copy(update={"created_at": before.created_at})
    return dated if dated == before else manifest


def _split(
    filter: Filter, rows: Collected, ratios: Ratios, threshold: float, progress: Progress
) -> Prepared:
    progress(0, len(rows), "comparing texts")
    duplicates = find_duplicates(rows.index, lambda row: rows.value(row, "content"), threshold)
    splits = assign_splits(duplicates.group, rows.index.keys, rows.tiers, ratios, filter.name)
    leak = find_leaks(duplicates.group, splits, lambda row: rows.value(row, "id"))
    progress(len(rows), len(rows), "split")
    return Prepared(rows, duplicates, threshold, ratios, splits, leak)


@contextmanager
def _staging(output_dir: Path) -> Iterator[Path]:
    """A hidden folder beside the output, removed whatever happens."""
    if output_dir.exists() and not output_dir.is_dir():
        raise UserError("is a file, a folder is needed", where=output_dir)
    try:
        output_dir.parent.mkdir(parents=True, exist_ok=True)
        stage = tempfile.mkdtemp(dir=output_dir.parent, prefix=f".{output_dir.name}.")
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=output_dir) from None
    try:
        yield Path(stage)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _publish(stage: Path, output_dir: Path) -> None:
    """Put the finished folder in the old one's place; what else lay in there moves along."""
    stage.chmod(0o755)
    old = stage.with_name(f"{stage.name}.old")
    if output_dir.exists():
        output_dir.rename(old)
    try:
        stage.rename(output_dir)
    except BaseException:
        if old.exists():
            old.rename(output_dir)
        raise
    if old.exists():
        for entry in old.iterdir():
            if not (output_dir / entry.name).exists():
                entry.rename(output_dir / entry.name)
        shutil.rmtree(old, ignore_errors=True)


def _refuse_leak(leak: LeakReport) -> None:
    if leak.total:
        raise CheckFailed(
            "the splits share texts",
            reasons=[
                f"{leak.test} test and {leak.val} validation rows stand in an earlier split too",
                f"for example {', '.join(leak.examples)}",
            ],
        )


def _write_splits(stage: Path, prepared: Prepared) -> None:
    """Copy each spooled line to its split; rows of a group of several name their group."""
    rows, groups = prepared.rows, prepared.duplicates.group.tolist()
    sizes = Counter(groups)
    rows.spool.seek(0)
    with ExitStack() as stack:
        files = {s: stack.enter_context((stage / split_file(s)).open("wb")) for s in SPLITS}
        for line, split, group in zip(rows.spool, prepared.splits, groups, strict=True):
            files[split].write(_with_group(line, group, rows) if sizes[group] > 1 else line)


def _with_group(line: bytes, group: int, rows: Collected) -> bytes:
    return line[:-2] + f', "group": "{int(rows.index.keys[group]):016x}"}}\n'.encode()
