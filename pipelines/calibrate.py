"""The pipeline `calibrate`; pipelines/calibrate.yaml says how it is run."""

from distillery_core.pipelines.calibrate import calibrate

__all__ = ["calibrate"]
