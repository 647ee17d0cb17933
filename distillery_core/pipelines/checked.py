"""A ZenML pipeline that refuses a YAML file with mistakes and stops at the first failed step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from zenml.enums import ExecutionMode
from zenml.pipelines.pipeline_definition import Pipeline

from distillery_core.pipelines.run_file import RunFile, check_run_file, run_file_model


class CheckedPipeline(Pipeline):
    """As ZenML's, started the same ways; its YAML is checked first."""

    def __init__(self, name: str, entrypoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(name=name, entrypoint=entrypoint, **options)
        self.step_names: tuple[str, ...] = ()

    @property
    def run_file(self) -> type[RunFile]:
        """The schema of its YAML."""
        return run_file_model(self.name, self.entrypoint, self.step_names)

    def with_options(self, *args: Any, **options: Any) -> Pipeline:
        """As ZenML's (`zenml pipeline run -c` calls it too).

        Raises:
            UserErrors: the YAML has mistakes.
        """
        if options.get("config_path") is not None:
            check_run_file(Path(options["config_path"]), self.run_file)
        return super().with_options(*args, **options)


def gated_pipeline(*step_names: str) -> Callable[[Callable[..., Any]], CheckedPipeline]:
    """Make a pipeline of a function whose steps have these names.

    It fails fast: a closed gate ends the run, and the gate's own exception reaches the caller.
    """

    def make(entrypoint: Callable[..., Any]) -> CheckedPipeline:
        made = CheckedPipeline(
            entrypoint.__name__, entrypoint, execution_mode=ExecutionMode.FAIL_FAST
        )
        made.step_names = step_names
        made.__doc__ = entrypoint.__doc__
        return made

    return make
