"""Declares which prompt the recording answers: `python -m distillery_filter_crisis.declare`.

Recorded answers are replayed only for the prompt that `recording.yaml` names by its hash. After an
edit of the prompt (or of anything in config.yaml that it shows) read the answers against it; if
they are still answers to it, declare it. A test fails until somebody did.
"""

from __future__ import annotations

import re

from distillery_core.files import write_text
from distillery_core.filters import load_filter
from distillery_filter_crisis import FILTER
from distillery_filter_crisis.corpus import RECORDING

_LINE = re.compile(r"(?m)^prompt_sha256: .*$")


def declared() -> str:
    """The hash that recording.yaml names."""
    match = _LINE.search(_read())
    return match[0].split()[1] if match else ""


def present() -> str:
    """The hash of the prompt as it is now."""
    return load_filter(FILTER / "v1").prompt_sha256


def declare() -> str:
    """Write the present prompt's hash into recording.yaml and return it."""
    digest = present()
    write_text(RECORDING / "recording.yaml", _LINE.sub(f"prompt_sha256: {digest}", _read()))
    return digest


def _read() -> str:
    return (RECORDING / "recording.yaml").read_text(encoding="utf-8")


if __name__ == "__main__":
    declare()
