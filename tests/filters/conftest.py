"""A small filter on disk, to be bent by each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

CONFIG = """\
filter:
  name: mood
  version: "1.0"
  description: How does it read?
  scope: {in: "poems", out: "prose"}
oracle: {name: recorded}
scoring:
  dimensions:
    joy: {weight: 0.5, description: "How glad?"}
    depth: {weight: 0.3, description: "How deep?"}
    proof: {weight: 0.2, description: "How sure?"}
  tiers:
    - {name: high, at: 6.0}
    - {name: low, at: 2.5}
    - {name: none, at: 0.0}
"""

PROMPT = """\
Judge {{ filter.name }}.
{% for name, dimension in dimensions.items() %}
{{ name }}: {{ dimension.description }}
{% endfor %}

{{ article }}
"""

MakeFilter = Callable[..., Path]


@pytest.fixture
def make_filter(tmp_path: Path) -> MakeFilter:
    """Writes `<root>/<name>/v<version>` and returns the folder."""

    def make(
        *replacements: tuple[str, str],
        root: Path = tmp_path,
        name: str = "mood",
        version: int = 1,
        prompt: str = PROMPT,
        prefilter: str | None = None,
        cases: str | None = None,
    ) -> Path:
        config = CONFIG
        for old, new in replacements:
            assert config.count(old) == 1, f"{old!r} is not once in the config"
            config = config.replace(old, new)
        config = config.replace("name: mood", f"name: {name}").replace("1.0", f"{version}.0", 1)
        folder = root / name / f"v{version}"
        folder.mkdir(parents=True)
        files = {"config.yaml": config, "prompt.md.j2": prompt}
        files |= {"prefilter.yaml": prefilter} if prefilter is not None else {}
        files |= {"cases.yaml": cases} if cases is not None else {}
        for file_name, text in files.items():
            (folder / file_name).write_text(text, encoding="utf-8")
        return folder

    return make
