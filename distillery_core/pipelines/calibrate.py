"""Pipeline `calibrate`: score a sample, judge the prompt, validate on a fresh sample, gate."""

from __future__ import annotations

from distillery_core.pipelines.checked import gated_pipeline
from distillery_core.pipelines.scope import open_scope
from distillery_core.pipelines.wiring import CALIBRATION_STEPS, Articles, calibrated


@gated_pipeline(*CALIBRATION_STEPS)
def calibrate(
    filter: str,
    input: str | None = None,
    sample: str | None = None,
    validation_sample: str | None = None,
    project: str | None = None,
    oracle: str | None = None,
    budget: float | None = None,
    concurrency: int | None = None,
    read: bool = True,
    probes: bool = True,
    wait_for_approval: float | None = None,
) -> None:
    """Calibrate a filter's prompt; the run fails unless batch labelling may start.

    Args:
        filter: NAME, NAME:vN or PATH.
        input: articles to draw the samples from.
        sample, validation_sample: samples drawn before, instead of drawing them.
        project: the project's folder; by default the one around the working directory.
        oracle: name in oracles.yaml; by default the filter's.
        budget: cap in USD on all that was ever spent on the filter.
        concurrency: calls in flight; by default the oracle's.
        read: whether a model reads the evidence.
        probes: whether known attacks are tried on the oracle.
        wait_for_approval: minutes to stand still at a REVIEW until somebody approves it.
    """
    scope = open_scope(filter, project, oracle)
    calibrated(scope, Articles.of(scope, input, sample, validation_sample), read, probes)
