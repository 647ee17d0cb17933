"""The pipeline `train`; pipelines/train.yaml says how it is run."""

from distillery_core.pipelines.train import train

__all__ = ["train"]
