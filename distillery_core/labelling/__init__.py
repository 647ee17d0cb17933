"""Labelling: many articles, one oracle, a label for each or the reason why not.

parsing.py     finds the answer in what a model wrote      pool.py        work in order, flat memory
run.py         labels a stream of articles                 output.py      labelled and skipped rows
label_file.py  labels a file into a file                   projection.py  what a run will cost
several.py     several answers an article, one label       canaries.py    has the oracle drifted?
provider_batch.py  a run by provider batches               batch_watch.py until each has ended
batch_questions.py which questions go into a batch, and the file that carries them
"""

from __future__ import annotations

from distillery_core.labelling.label_file import label_file
from distillery_core.labelling.run import Label, LabelSettings, LabelSummary, label_articles

__all__ = ["Label", "LabelSettings", "LabelSummary", "label_articles", "label_file"]
