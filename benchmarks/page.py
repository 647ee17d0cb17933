"""Puts what a benchmark measured into a page of the documentation, and says where it was measured.

A page holds one block for each benchmark, between `<!-- NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from distillery_core.files import write_text

ROOT = Path(__file__).parents[1]
BENCHMARKS_PAGE = ROOT / "docs" / "benchmarks.md"


def write_block(page: Path, name: str, text: str) -> None:
    """Replace a block of a page.

    Raises:
        ValueError: the page has no such block.
    """
    before = page.read_text(encoding="utf-8")
    block = re.compile(rf"(?<=<!-- {re.escape(name)} -->\n).*?(?=<!-- end -->)", re.DOTALL)
    after, found = block.subn(lambda _: text.strip() + "\n", before, count=1)
    if not found:
        raise ValueError(f"{page} has no block <!-- {name} --> ... <!-- end -->")
    write_text(page, after)


def machine() -> str:
    """Processor, number of cores, Python: what a timing depends on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, Python {platform.python_version()}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        text = information.read_text(encoding="utf-8")
        if found := re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE):
            return found[1]
    return platform.processor() or platform.machine()
