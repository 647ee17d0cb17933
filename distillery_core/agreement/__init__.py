"""Agreement: how far several answers about the same articles lie apart, bias and noise told apart.

Numbers only; nothing here knows of files, oracles or filters.

ratings.py       articles x raters x dimensions       resampling.py    intervals by article
paired.py        one rater against a reference        coefficients.py  Krippendorff's alpha, ICC
repeated.py      one oracle against itself            noise_floor.py   how sure a label is
drift.py         the same articles, later
combining.py     several answers, one label           measure.py       all of it at once
"""

from __future__ import annotations

from distillery_core.agreement.measure import Agreement, measure
from distillery_core.agreement.ratings import Rater, Ratings

__all__ = ["Agreement", "Rater", "Ratings", "measure"]
