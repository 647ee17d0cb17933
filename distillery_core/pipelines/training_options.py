"""The training settings that a run may give."""

from __future__ import annotations

TrainingOptions = dict[str, bool | int | float | str]
"""Setting of `student.settings.TrainSettings` -> value; the stage refuses unknown ones."""
