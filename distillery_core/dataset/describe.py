"""What prepare found out, as the records of a manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distillery_core.dataset import manifest as records
from distillery_core.dataset.collect import Collected
from distillery_core.dataset.duplicates import Duplicates
from distillery_core.dataset.leaks import LeakReport
from distillery_core.dataset.quality import (
    Labels,
    filter_kind,
    quality_measurements,
    quality_statistics,
)
from distillery_core.dataset.rejects import Rejects
from distillery_core.dataset.split import SPLITS, Ratios, Split
from distillery_core.files import now_utc, sha256_file
from distillery_core.filters.filter import Filter
from distillery_core.verdicts.criteria import load_criteria
from distillery_core.verdicts.decision import decide

AGENT = "dataset_quality"
ASSIGNED_BY = "hash of filter name and duplicate group, within the tier"


@dataclass(frozen=True)
class Prepared:
    """A dataset in memory, but for its texts: rows, duplicate groups, the split of each row."""

    rows: Collected
    duplicates: Duplicates
    threshold: float
    ratios: Ratios
    splits: list[Split]
    leak: LeakReport


@dataclass(frozen=True)
class Declared:
    """What the caller says about the labels and where the verdict table is looked for first."""

    project: Path
    allow_mixed: bool = False
    noise_floor: Mapping[str, float] | None = None
    noise: records.NoiseRecord | None = None


def describe(
    filter: Filter,
    labelled: Path,
    prepared: Prepared,
    rejects: Rejects,
    declared: Declared,
    stage: Path,
) -> records.Manifest:
    """The manifest of a dataset whose splits lie in `stage`."""
    rows, duplicates, leak = prepared.rows, prepared.duplicates, prepared.leak
    written = _split_records(stage, filter, prepared)
    labels = rows.labels(rejects, declared.allow_mixed)
    return records.Manifest(
        created_at=now_utc(),
        filter=_filter_record(filter),
        source=_source_record(labelled, rejects, len(rows)),
        labels=_label_records(rows),
        mixture_declared=declared.allow_mixed,
        labelled_from=rows.log.first,
        labelled_to=rows.log.last,
        ratios=dict(zip(SPLITS, prepared.ratios.shares, strict=True)),
        assigned_by=ASSIGNED_BY,
        splits=written,
        dataset_sha256=records.dataset_sha256(written),
        duplicates=records.DuplicatesRecord(
            threshold=prepared.threshold,
            groups=duplicates.groups,
            exact=duplicates.exact,
            near=duplicates.near,
        ),
        leak=records.LeakRecord(test=leak.test, val=leak.val, examples=leak.examples),
        quality=judge_quality(filter, labels, declared.project),
        cost=_cost_record(rows),
        noise_floor=dict(declared.noise_floor) if declared.noise_floor else None,
        noise=declared.noise,
        warnings=_warnings(filter, rows),
    )


def judge_quality(filter: Filter, labels: Labels, project: Path) -> records.QualityRecord:
    """Dataset QA: measured here, decided by the table of `agents/dataset_quality`."""
    kind = filter_kind(filter, labels.overall)
    measurements = quality_measurements(labels)
    decision = decide(load_criteria(AGENT, project), measurements, kind.kind)
    lines = tuple(
        records.LineRecord(
            name=result.name,
            title=result.title,
            level=result.level.name,
            value=result.measurement.point,
            ok=result.ok_text,
            fail=result.fail_text or None,
            reason=result.reason,
            note=result.measurement.note,
        )
        for result in decision.lines
    )
    return records.QualityRecord.model_validate(
        {
            "verdict": ("PASS", "REVIEW", "FAIL")[decision.level - 1],
            "deciding_line": decision.deciding.name,
            "kind": kind.kind,
            "kind_reason": kind.reason,
            "lines": lines,
            "measurements": {name: m.to_dict() for name, m in measurements.items()},
            "statistics": quality_statistics(labels),
        }
    )


def split_file(split: str) -> str:
    """The file name of a split."""
    return f"{split}.jsonl"


def _split_records(
    stage: Path, filter: Filter, prepared: Prepared
) -> dict[str, records.SplitRecord]:
    rows = prepared.rows
    tiers: dict[str, Counter[int]] = {split: Counter() for split in SPLITS}
    classes: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for split, number, sample_class in zip(prepared.splits, rows.tiers, rows.classes, strict=True):
        tiers[split][number] += 1
        if sample_class is not None:
            classes[split][sample_class] += 1
    names = [tier.name for tier in filter.config.scoring.tiers]
    return {
        split: records.SplitRecord(
            file=split_file(split),
            rows=tiers[split].total(),
            sha256=sha256_file(stage / split_file(split)),
            tiers={name: tiers[split][number] for number, name in enumerate(names)},
            classes=dict(sorted(classes[split].items())),
        )
        for split in SPLITS
    }


def _filter_record(filter: Filter) -> records.FilterRecord:
    return records.FilterRecord(
        name=filter.name,
        version=filter.version,
        digest=filter.digest,
        origin=filter.origin,
        dimensions=filter.dimensions,
        dimensions_sha256=filter.dimensions_sha256,
        prompt_sha256=filter.prompt_sha256,
        text_view_sha256=filter.text_view_sha256,
        scoring_sha256=filter.scoring_sha256,
    )


def _source_record(labelled: Path, rejects: Rejects, used: int) -> records.SourceRecord:
    return records.SourceRecord(
        file=labelled.name,
        sha256=sha256_file(labelled),
        rows_read=rejects.read,
        rows_used=used,
        rejected=dict(rejects.counts.most_common()),
    )


def _label_records(rows: Collected) -> tuple[records.LabelRecord, ...]:
    return tuple(
        records.LabelRecord(**who._asdict(), rows=count)
        for who, count in rows.log.provenances.most_common()
    )


def _cost_record(rows: Collected) -> records.CostRecord:
    log = rows.log
    return records.CostRecord(
        usd=round(log.usd, 6), paid_usd=round(log.paid_usd, 6), rows_without_cost=log.without_cost
    )


def _warnings(filter: Filter, rows: Collected) -> tuple[str, ...]:
    """What is no fault of the rows, but should be known to who reads the manifest."""
    sources = rows.log.provenances
    asked = {who.prompt_sha256 for who in sources}
    viewed = {who.text_view_sha256 for who in sources}
    found: list[str] = []
    if None in {who.oracle for who in sources} or None in asked:
        unknown = sum(n for who, n in sources.items() if not (who.oracle and who.prompt_sha256))
        found.append(f"{unknown} labels do not say which oracle and prompt gave them")
    if asked - {None, filter.prompt_sha256}:
        found.append("labels were given under another prompt than the filter has now")
    if viewed - {None, filter.text_view_sha256}:
        found.append("labels were given with another text view than the filter has now")
    return tuple(found)
