"""Reading a sample back: what its texts hold must not matter."""

from __future__ import annotations

import json
from pathlib import Path

from distillery_core.stages.sample import read_sample


def test_line_breaks_of_unicode_inside_a_text_are_no_line_ends(tmp_path: Path) -> None:
    """JSON leaves U+2028, U+2029 and U+0085 as they are, and web pages hold them."""
    path = tmp_path / "calibration-1.jsonl"
    texts = ["one\u2028two", "one\u2029two", "one\x85two", "one\x0btwo"]
    rows = [{"id": str(at), "title": "t", "content": text} for at, text in enumerate(texts)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert [article.content for article in read_sample(path)] == texts
