"""What each step's outcome depends on beside the artefacts that reach it: named hashes.

A step is served from the cache only if all of these are as they were. They are computed on the
client and passed to the step as `made_from`, so the dashboard shows which one changed. What a step
writes into the filter's folder is never among them, or nothing would ever be cached.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from distillery_core.agents.rounds import ROUNDS_FILE
from distillery_core.content import find_content
from distillery_core.files import sha256_file, sha256_json, sha256_tree
from distillery_core.filters.prefilter import Prefilter
from distillery_core.pipelines.scope import NONE, Scope
from distillery_core.publish.promotion import promoted
from distillery_core.stages.oracles import asking_sha256, recording_folder
from distillery_core.stages.project import find_beside
from distillery_core.version import __version__

MadeFrom = dict[str, str]


def of_labels(scope: Scope) -> MadeFrom:
    """Prompt, text view, dimensions, pre-filter, and who is asked how."""
    about = scope.filter
    return _with_code(
        filter=about.label,
        prompt=about.prompt_sha256,
        text_view=about.text_view_sha256,
        dimensions=about.dimensions_sha256,
        prefilter=_prefilter(about.prefilter),
        oracle=_oracle(scope),
    )


def of_rounds(scope: Scope) -> MadeFrom:
    """As the labels; also what samples are drawn by and what a verdict is made with."""
    config = scope.filter.config
    return of_labels(scope) | {
        "scoring": scope.filter.scoring_sha256,
        "calibration": sha256_json(config.calibration.model_dump(mode="json")),
        "sampling": sha256_json(config.sampling.model_dump(mode="json")),
        "classes": _classes(scope),
        "agent": _agent(scope, "prompt_calibration"),
        "other_samples": _other_samples(scope),
    }


def of_dataset(scope: Scope) -> MadeFrom:
    """Dimensions, text view, tiers and the dataset's own criteria; the labels are an artefact."""
    about = scope.filter
    return _with_code(
        filter=about.label,
        dimensions=about.dimensions_sha256,
        text_view=about.text_view_sha256,
        scoring=about.scoring_sha256,
        agent=_agent(scope, "dataset_quality"),
        repeats=_recording(scope),
    )


def of_model(scope: Scope, training: dict[str, Any]) -> MadeFrom:
    """The training section, dimensions, text view and a base model that lies in a folder."""
    about = scope.filter
    section = about.config.training
    return _with_code(
        filter=about.label,
        dimensions=about.dimensions_sha256,
        text_view=about.text_view_sha256,
        training=sha256_json(section.model_dump(mode="json")),
        base_model=_base_model(str(training.get("model_name") or section.model_name), scope),
    )


def of_evaluation(scope: Scope, read: bool) -> MadeFrom:
    """Criteria, score rules, kind, the version that scores now; model and data are artefacts."""
    about = scope.filter
    return _with_code(
        filter=about.label,
        prompt=about.prompt_sha256,
        dimensions=about.dimensions_sha256,
        text_view=about.text_view_sha256,
        scoring=about.scoring_sha256,
        deployment=sha256_json(about.config.deployment.model_dump(mode="json")),
        agent=_agent(scope, "model_evaluation"),
        reader=_oracle(scope) if read else NONE,
        incumbent=_incumbent(scope),
    )


def _with_code(**parts: str) -> MadeFrom:
    """A new minor version of the engine may compute differently; a patch does not."""
    return parts | {"engine": ".".join(__version__.split(".")[:2])}


def _oracle(scope: Scope) -> str:
    """Hash of what decides an answer: the model, where it is asked, and how."""
    recording = _recording(scope) if scope.oracle.recording is not None else NONE
    asking = asking_sha256(scope.filter, scope.oracle)
    return sha256_json({"asking": asking, "recording": recording})


def _recording(scope: Scope) -> str:
    """Recorded answers of the filter, if it has some."""
    folder = recording_folder(scope.filter)
    return sha256_tree(folder) if folder is not None else NONE


def _prefilter(prefilter: Prefilter) -> str:
    return sha256_json(prefilter.model_dump(mode="json"))


def _agent(scope: Scope, name: str) -> str:
    return sha256_tree(find_content("agents", name, scope.project.root))


def _classes(scope: Scope) -> str:
    name = scope.filter.config.sampling.classes_file
    path = find_beside(scope.filter, name) if name else None
    return sha256_file(path) if path is not None and path.is_file() else NONE


def _other_samples(scope: Scope) -> str:
    """Rounds of other seeds, run by hand: their samples are judged together with the run's own."""
    path = scope.project.home(scope.filter) / ROUNDS_FILE
    if not path.is_file():
        return NONE
    calibration = scope.filter.config.calibration
    own = {calibration.random_seed, calibration.validation_seed}
    others = [row for row in _rows(path) if row.get("seed") not in own]
    return sha256_json(others) if others else NONE


def _rows(path: Path) -> list[dict[str, Any]]:
    """Lines of a JSONL file; the stage itself refuses damaged ones with their number."""
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            row = {"damaged": line}
        rows.append(row if isinstance(row, dict) else {"damaged": line})
    return rows


def _base_model(name: str, scope: Scope) -> str:
    folder = scope.path(name)
    return sha256_tree(folder) if folder.is_dir() else name


def _incumbent(scope: Scope) -> str:
    """The promoted version, unless it is the one that is being judged."""
    now = promoted(scope.project.root / "filters" / scope.filter.name)
    if now is None or now.version == scope.filter.version:
        return NONE
    return f"v{now.version}:{now.model_sha256}"
