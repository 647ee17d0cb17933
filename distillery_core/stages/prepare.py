"""Make the dataset of a labelled file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distillery_core.dataset.manifest import Manifest, NoiseRecord
from distillery_core.dataset.prepare import prepare as prepare_dataset
from distillery_core.filters import Filter
from distillery_core.stages.agreement import labels_noise
from distillery_core.stages.project import Project
from distillery_core.stages.repeats import noise_floor, recorded_repeats
from distillery_core.types import Progress, silent


@dataclass(frozen=True, slots=True)
class PrepareResult:
    """A dataset folder and what its manifest says."""

    folder: Path
    manifest: Manifest


def prepare(
    project: Project,
    filter: Filter,
    *,
    input: Path | None = None,
    output_dir: Path | None = None,
    train_ratio: float = 0.8,
    val_ratio: float = 0.1,
    test_ratio: float = 0.1,
    allow_mixed: bool = False,
    progress: Progress = silent,
) -> PrepareResult:
    """Split labelled articles into train, validation and test, grouped and stratified by tier.

    A failed QA is in the manifest: `manifest.check_prepared` raises it for whoever goes on.

    Raises:
        UserError, CheckFailed: as `dataset.prepare`.
    """
    source = input or project.labelled_path(filter)
    folder = output_dir or project.training_dir(filter)
    floor, noise = _noise(filter, source)
    manifest = prepare_dataset(
        filter,
        source,
        folder,
        (train_ratio, val_ratio, test_ratio),
        allow_mixed=allow_mixed,
        noise_floor=floor,
        noise=noise,
        project=project.root,
        progress=progress,
    )
    return PrepareResult(folder, manifest)


def _noise(filter: Filter, source: Path) -> tuple[dict[str, float] | None, NoiseRecord | None]:
    """How far labels made this way lie apart: from the answers they were made of, else from second
    answers of the filter's recording."""
    found = labels_noise(source, filter)
    if found is None:
        return noise_floor(filter, source, recorded_repeats(filter)), None
    record = NoiseRecord(
        basis=found.basis,
        aggregate=found.aggregate,
        answers=found.answers,
        articles=found.articles,
        single=found.single,
    )
    return found.label, record
