"""The pipeline `evaluate`; pipelines/evaluate.yaml says how it is run."""

from distillery_core.pipelines.evaluate import evaluate

__all__ = ["evaluate"]
