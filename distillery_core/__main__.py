"""`python -m distillery_core` is the `distillery` command (and what torchrun starts)."""

from __future__ import annotations

import sys

from distillery_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
