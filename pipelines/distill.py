"""The pipeline `distill`; pipelines/distill.yaml says how it is run."""

from distillery_core.pipelines.distill import distill

__all__ = ["distill"]
