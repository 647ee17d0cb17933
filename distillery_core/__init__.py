"""Distillery: distil a large language model's judgement of texts into a small local model.

From the top layer down; an upper one may import lower ones only (README.md says what each does):

cli       scaffold   pipelines  steps    demo.py    stages     publish    agents     reports
scoring   student    labelling  dataset  verdicts   oracle     filters    agreement  plugins
tracking.py  runs in MLflow               model_registry.py  the promoted model in MLflow
content.py   a project's, then shipped files
fence.py     untrusted text in a prompt   yaml_source.py  YAML into models, mistakes with lines
files.py     hashes, atomic writes        types.py  errors.py  out_of_memory.py  version.py
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from distillery_core.version import __version__

if TYPE_CHECKING:
    from distillery_core.errors import CheckFailed as CheckFailed
    from distillery_core.errors import GateClosed as GateClosed
    from distillery_core.errors import UserError as UserError
    from distillery_core.filters import Filter as Filter
    from distillery_core.filters import list_filters as list_filters
    from distillery_core.filters import load_filter as load_filter
    from distillery_core.filters import resolve_filter as resolve_filter
    from distillery_core.plugins import hookimpl as hookimpl
    from distillery_core.scoring.scorer import Scorer as Scorer
    from distillery_core.stages.calibrate import calibrate as calibrate
    from distillery_core.stages.evaluate import evaluate as evaluate
    from distillery_core.stages.label import label as label
    from distillery_core.stages.prepare import prepare as prepare
    from distillery_core.stages.project import Project as Project
    from distillery_core.stages.project import open_project as open_project
    from distillery_core.stages.promote import promote as promote
    from distillery_core.stages.score import score as score
    from distillery_core.stages.train import train as train
    from distillery_core.types import Article as Article

# Each name is imported on its first use: `import distillery_core` stays cheap, and torch waits
# until something is trained or scored.
_WHERE = {
    "Article": "types",
    "CheckFailed": "errors",
    "Filter": "filters",
    "GateClosed": "errors",
    "Project": "stages.project",
    "Scorer": "scoring.scorer",
    "UserError": "errors",
    "calibrate": "stages.calibrate",
    "evaluate": "stages.evaluate",
    "hookimpl": "plugins",
    "label": "stages.label",
    "list_filters": "filters",
    "load_filter": "filters",
    "open_project": "stages.project",
    "prepare": "stages.prepare",
    "promote": "stages.promote",
    "resolve_filter": "filters",
    "score": "stages.score",
    "train": "stages.train",
}

__all__ = [
    "Article", "CheckFailed", "Filter", "GateClosed", "Project", "Scorer", "UserError",
    "__version__", "calibrate", "evaluate", "hookimpl", "label", "list_filters", "load_filter",
    "open_project", "prepare", "promote", "resolve_filter", "score", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module 'distillery_core' has no attribute {name!r}")
    return getattr(import_module(f"distillery_core.{_WHERE[name]}"), name)
