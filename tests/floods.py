"""The small filter `floods`, which tests of several folders judge."""

from __future__ import annotations

from pathlib import Path

CONFIG = """\
filter:
  name: floods
  version: "1.0"
  description: How bad a flood is.
  scope: {in: a flood that harms people, out: everything else}
oracle: {name: recorded}
scoring:
  dimensions:
    harm: {weight: 0.5, description: people hurt}
    area: {weight: 0.3, description: area under water}
    loss: {weight: 0.2, description: money lost}
  tiers: [{name: bad, at: 5.0}, {name: watch, at: 3.0}, {name: none, at: 0.0}]
text: {max_chars: 2000}
sampling: {on_topic: {keywords: [flood]}}
"""
PROMPT = "Score {{ dimensions | join(', ') }} from 0 to 10.\n{{ article }}\n"


def write_floods(root: Path, config: str = CONFIG, prompt: str = PROMPT) -> Path:
    """Write the filter into a project; returns its folder."""
    folder = root / "filters" / "floods" / "v1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "prompt.md.j2").write_text(prompt, encoding="utf-8")
    (folder / "prefilter.yaml").write_text("min_chars: 1\n", encoding="utf-8")
    return folder
