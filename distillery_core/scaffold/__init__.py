"""Lays out a new project, and a new filter inside one; never overwrites anything.

project.py     what `distillery init DIR` writes
new_filter.py  what `distillery filter new NAME` writes
templates/     the texts both start from
"""

from __future__ import annotations

from distillery_core.scaffold.new_filter import new_filter
from distillery_core.scaffold.project import LaidOut, lay_out

__all__ = ["LaidOut", "lay_out", "new_filter"]
