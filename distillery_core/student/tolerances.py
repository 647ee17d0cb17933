"""How far apart two computations may come out that are meant to be the same; stated, not measured.

Scores and errors are on the scale of 0-10.
"""

from __future__ import annotations

RELOAD_TOLERANCE = 1e-5
"""Of the scores of a saved model in float32, read back, from those of the model in memory."""

ROUNDED_TOLERANCE = 0.1
"""The same where a model is held, and so saved, in bf16: merging rounds its matrices once more."""

RESUMED_MAE_TOLERANCE = 0.02
"""Of each epoch's validation MAE of a run resumed on a GPU from that of the run that was never cut
off: bf16 kernels add up in another order each time. On a CPU the two are equal bit for bit."""

RESUMED_SCORE_TOLERANCE = 0.1
"""Of the scores that the two runs' saved models give."""
