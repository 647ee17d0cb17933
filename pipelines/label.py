"""The pipeline `label`; pipelines/label.yaml says how it is run."""

from distillery_core.pipelines.label import label

__all__ = ["label"]
