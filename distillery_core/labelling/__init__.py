"""Labelling: many articles, one oracle, a label for each or the reason why not.

parsing.py     finds the answer in what a model wrote      pool.py        work in order, flat memory
run.py         labels a stream of articles                 output.py      labelled and skipped rows
label_file.py  labels a file into a file                   projection.py  what a run will cost
"""

from __future__ import annotations

from distillery_core.labelling.label_file import label_file
from distillery_core.labelling.run import Label, LabelSettings, LabelSummary, label_articles

__all__ = ["Label", "LabelSettings", "LabelSummary", "label_articles", "label_file"]
