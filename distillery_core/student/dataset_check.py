"""What training asks of a dataset before anything expensive starts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from distillery_core.dataset.manifest import MANIFEST, Manifest, refuse_failed, verify_manifest
from distillery_core.dataset.rows import Example, read_examples
from distillery_core.errors import UserError
from distillery_core.files import sha256_file
from distillery_core.filters.filter import Filter


@dataclass(frozen=True)
class CheckedDataset:
    """A dataset that may be trained on.

    Attributes:
        dataset_sha256: of the three splits.
        manifest_sha256: of manifest.json itself.
        prompt_sha256: of the prompt that the labels were asked with; the dataset's own filter's
            where the labels do not say or name several.
        kind: general or needle, as the dataset's QA found.
        labelled_by: oracle and its rows, most first; None where the rows name none.
    """

    train: tuple[Example, ...]
    val: tuple[Example, ...]
    dataset_sha256: str
    manifest_sha256: str
    prompt_sha256: str
    kind: str
    labelled_by: tuple[tuple[str | None, int], ...] = ()

    @property
    def hashes(self) -> dict[str, str]:
        """The dataset's part of a training record."""
        names = ("dataset_sha256", "manifest_sha256", "prompt_sha256")
        return {name: getattr(self, name) for name in names}


def check_dataset(filter: Filter, data_dir: Path) -> CheckedDataset:
    """Read the training and validation splits of a dataset that fits the filter.

    Raises:
        UserError: no manifest, a file that is not the one it names, another filter's dataset,
            other dimensions, labels given on another text view, an empty split.
        CheckFailed: the Dataset QA came out as FAIL, or splits share texts.
    """
    manifest = verify_manifest(data_dir)
    refuse_failed(manifest)
    _refuse_other_filter(manifest, filter, data_dir)
    _refuse_other_text_view(manifest, filter, data_dir)
    prompts = {label.prompt_sha256 for label in manifest.labels}
    prompt = prompts.pop() if len(prompts) == 1 else None
    return CheckedDataset(
        train=_examples(manifest, "train", filter, data_dir),
        val=_examples(manifest, "val", filter, data_dir),
        dataset_sha256=manifest.dataset_sha256,
        manifest_sha256=sha256_file(data_dir / MANIFEST),
        prompt_sha256=prompt or manifest.filter.prompt_sha256,
        kind=manifest.quality.kind,
        labelled_by=_labelled_by(manifest),
    )


def _labelled_by(manifest: Manifest) -> tuple[tuple[str | None, int], ...]:
    rows: Counter[str | None] = Counter()
    for label in manifest.labels:
        rows[label.oracle] += label.rows
    return tuple(rows.most_common())


def _refuse_other_filter(manifest: Manifest, filter: Filter, data_dir: Path) -> None:
    made_for = manifest.filter
    if made_for.name != filter.name:
        what = f"this dataset is for the filter {made_for.name!r}, not for {filter.name!r}"
        raise UserError(what, where=data_dir, hint=_prepare(filter))
    if made_for.dimensions != filter.dimensions:
        what = (
            f"this dataset has the dimensions {', '.join(made_for.dimensions)}; "
            f"the filter has {', '.join(filter.dimensions)}"
        )
        raise UserError(what, where=data_dir, hint=_prepare(filter))


def _refuse_other_text_view(manifest: Manifest, filter: Filter, data_dir: Path) -> None:
    seen = {label.text_view_sha256 for label in manifest.labels} - {None}
    if seen - {filter.text_view_sha256}:
        raise UserError(
            "the oracle labelled another part of the articles than the filter's text view now",
            where=data_dir,
            hint="restore `text:` in the filter's config.yaml, or label again with the new one",
        )


def _examples(
    manifest: Manifest, split: str, filter: Filter, data_dir: Path
) -> tuple[Example, ...]:
    if split not in manifest.splits:
        raise UserError(f"the manifest has no split {split!r}", where=data_dir)
    path = data_dir / manifest.splits[split].file
    examples = read_examples(path)
    if not examples:
        raise UserError("has no rows", where=path, hint=_prepare(filter))
    for example in examples:
        if example.dimension_names != filter.dimensions:
            what = f"article {example.id} has the dimensions {', '.join(example.dimension_names)}"
            raise UserError(what, where=path, hint=_prepare(filter))
    return tuple(examples)


def _prepare(filter: Filter) -> str:
    return f"distillery prepare --filter {filter.label} --input LABELLED --output-dir DATASET"
