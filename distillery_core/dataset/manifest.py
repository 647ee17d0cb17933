"""manifest.json: what a dataset was made from, how it was split, and how good it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distillery_core.dataset.rejects import MAX_BAD
from distillery_core.errors import CheckFailed, UserError
from distillery_core.files import sha256_file, sha256_json, write_json

MANIFEST = "manifest.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class FilterRecord(_Record):
    """The filter that the dataset is for, as it was when the dataset was made."""

    name: str
    version: int
    digest: str
    origin: str
    dimensions: tuple[str, ...]
    dimensions_sha256: str
    prompt_sha256: str
    text_view_sha256: str
    scoring_sha256: str


class SourceRecord(_Record):
    """The labelled file and what became of its rows; `rejected` counts rows by kind."""

    file: str
    sha256: str
    rows_read: int
    rows_used: int
    rejected: dict[str, int]

    @property
    def rejected_rate(self) -> float:
        """Share of rows that could not be used, 0-1."""
        return sum(self.rejected.values()) / max(self.rows_read, 1)


class LabelRecord(_Record):
    """Who gave how many of the labels; null where the rows do not say."""

    oracle: str | None
    prompt_sha256: str | None
    text_view_sha256: str | None
    rows: int


class SplitRecord(_Record):
    """One split's file; `tiers` and `classes` count its rows."""

    file: str
    rows: int
    sha256: str
    tiers: dict[str, int]
    classes: dict[str, int]


class DuplicatesRecord(_Record):
    """Groups of identical or similar texts; no group stands in two splits."""

    threshold: float
    groups: int
    exact: int
    near: int


class LeakRecord(_Record):
    """Rows of a later split whose text, or nearly, stands in an earlier one."""

    test: int
    val: int
    examples: tuple[str, ...] = ()


class LineRecord(_Record):
    """One line of the Dataset QA table."""

    name: str
    title: str
    level: str
    value: float | None
    ok: str
    fail: str | None
    reason: str
    note: str = ""


class QualityRecord(_Record):
    """The Dataset QA: verdict, deciding line, every line, and what is only reported."""

    verdict: Literal["PASS", "REVIEW", "FAIL"]
    deciding_line: str
    kind: Literal["general", "needle"]
    kind_reason: str
    lines: tuple[LineRecord, ...]
    measurements: dict[str, dict[str, Any]]
    statistics: dict[str, Any]

    @property
    def grade(self) -> int:
        """0 PASS, 1 REVIEW, 2 FAIL: the evaluation table's line `dataset_qa`."""
        return ("PASS", "REVIEW", "FAIL").index(self.verdict)


class CostRecord(_Record):
    """US dollars for the labels; `paid_usd` leaves out recorded and free answers."""

    usd: float
    paid_usd: float
    rows_without_cost: int


class NoiseRecord(_Record):
    """Where the noise floor comes from (`agreement.noise_floor`): labels made of several answers.

    `single` is what single answers differ by, mean absolute difference per dimension.
    """

    basis: Literal["repeats", "oracles"]
    aggregate: Literal["median", "mean"]
    answers: int
    articles: int
    single: dict[str, float]


class Manifest(_Record):
    """The whole of manifest.json."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    created_at: str
    filter: FilterRecord
    source: SourceRecord
    labels: tuple[LabelRecord, ...]
    mixture_declared: bool
    labelled_from: str | None
    labelled_to: str | None
    ratios: dict[str, float]
    assigned_by: str
    splits: dict[str, SplitRecord]
    dataset_sha256: str
    duplicates: DuplicatesRecord
    leak: LeakRecord
    quality: QualityRecord
    cost: CostRecord
    noise_floor: dict[str, float] | None = None
    noise: NoiseRecord | None = None
    warnings: tuple[str, ...] = ()

    @property
    def oracles(self) -> tuple[str, ...]:
        """The distinct oracles that are named, most rows first."""
        return tuple(dict.fromkeys(label.oracle for label in self.labels if label.oracle))

    def to_json(self) -> dict[str, Any]:
        """Plain values, as written."""
        return self.model_dump(mode="json", by_alias=True)


def dataset_sha256(splits: dict[str, SplitRecord]) -> str:
    """One hash for the three splits."""
    return sha256_json({name: split.sha256 for name, split in splits.items()})


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json into a dataset folder."""
    write_json(folder / MANIFEST, manifest.to_json())


def load_manifest(folder: Path) -> Manifest:
    """Read a dataset folder's manifest.json.

    Raises:
        UserError: it is missing, or not a manifest that this version reads.
    """
    path = folder / MANIFEST
    hint = "make the dataset with `distillery prepare`"
    try:
        return Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"no {MANIFEST} in this folder", where=folder, hint=hint) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"not a manifest: {place}: {first['msg']}", where=path, hint=hint) from None
    except ValueError as error:
        raise UserError(f"not a manifest: {error}", where=path, hint=hint) from None


def verify_manifest(folder: Path) -> Manifest:
    """Load a manifest and see that the splits beside it are the ones it describes.

    Raises:
        UserError: no manifest, a split is missing, or a hash differs.
    """
    manifest = load_manifest(folder)
    hint = "make the dataset again with `distillery prepare`"
    for split in manifest.splits.values():
        path = folder / split.file
        if not path.is_file():
            raise UserError("is in the manifest, but not there", where=path, hint=hint)
        if sha256_file(path) != split.sha256:
            raise UserError("has changed since its manifest was written", where=path, hint=hint)
    if dataset_sha256(manifest.splits) != manifest.dataset_sha256:
        raise UserError("the dataset's hash does not fit its splits", where=folder, hint=hint)
    return manifest


def refuse_failed(manifest: Manifest) -> None:
    """What `train` calls first.

    Raises:
        CheckFailed: the Dataset QA came out as FAIL, or the splits share texts.
    """
    reasons = [
        f"{line.title}: {line.reason}" + (f" ({line.note})" if line.note else "")
        for line in manifest.quality.lines
        if line.level == "FAIL"
    ]
    if manifest.leak.test or manifest.leak.val:
        reasons.append(f"leak: {manifest.leak.test} test and {manifest.leak.val} validation rows")
    if manifest.quality.verdict == "FAIL" or manifest.leak.test or manifest.leak.val:
        hint = "mend the labels and run `distillery prepare` again"
        raise CheckFailed("the dataset failed its QA", reasons=reasons, hint=hint)


def check_prepared(manifest: Manifest, max_bad: float = MAX_BAD) -> None:
    """What `prepare` ends with: `refuse_failed`, and not too many rejected rows.

    Raises:
        CheckFailed: the QA failed, or more than `max_bad` of the rows were rejected.
    """
    refuse_failed(manifest)
    if manifest.source.rejected_rate > max_bad:
        raise CheckFailed(
            f"{manifest.source.rejected_rate:.1%} of the rows were rejected "
            f"(at most {max_bad:.1%} may be)",
            reasons=[f"{count} x {kind}" for kind, count in manifest.source.rejected.items()],
            hint="look into the .rejected.jsonl beside the dataset, or raise --max-bad",
        )
