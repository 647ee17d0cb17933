"""The pipeline `prepare`; pipelines/prepare.yaml says how it is run."""

from distillery_core.pipelines.prepare import prepare

__all__ = ["prepare"]
