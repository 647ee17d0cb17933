"""What a process of its own does until it is killed: label a file, or collect a provider batch.

Each process is forked from one that has imported everything, so that a kill costs no imports.
"""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import distillery_core.labelling.provider_batch as batch
import distillery_core.oracle.provider_batch_collect as collect
from distillery_core.filters import load_filter
from distillery_core.labelling import label_file
from distillery_core.labelling.run import LabelSettings
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.ledger_job import Job, open_job
from distillery_core.oracle.opening import open_oracle
from distillery_core.oracle.provider_batch_openai import OpenAIBatches
from distillery_core.oracle.provider_batch_send import Patience
from distillery_core.oracle.spec import OracleSpec
from distillery_core.types import Article

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    ["openai", "distillery_core.labelling.provider_batch", "distillery_core.oracle.openai_client",
     "distillery_core.oracle.provider_batch_openai", "distillery_core.labelling.label_file"]
)  # fmt: skip
_OWNERS = {"batch": batch, "collect": collect, "job": Job, "remote": OpenAIBatches}


def start(what: Callable[..., None], *arguments: str) -> BaseProcess:
    """Start one of the functions below as a process."""
    process = _PROCESSES.Process(target=what, args=arguments)
    process.start()
    return process


def label(folder: str, source: str, output: str, project: str, spec: str) -> None:
    """Label a file."""
    label_file(
        load_filter(Path(folder)),
        Path(source),
        Path(output),
        spec=OracleSpec.model_validate_json(spec),
        project=Path(project),
    )


def label_by_batch(
    folder: str, project: str, spec: str, rows: str, where: str, calls: str, when: str
) -> None:
    """Ask about articles by a provider batch, and die before or after a call of a function.

    Args:
        where: `owner.function`, an owner of `_OWNERS`.
        calls: which call of it is the last.
        when: `before` or `after`.
    """
    owner, name = where.split(".")
    _die_at(_OWNERS[owner], name, int(calls), when)
    articles = [
        Article(f"a{n:03}", f"Storm {n}", f"Storm number {n} hit the coast.")
        for n in range(int(rows))
    ]
    asyncio.run(_collect(Path(folder), Path(project), spec, articles))


async def _collect(folder: Path, project: Path, spec: str, articles: list[Article]) -> None:
    filter, oracle_spec = load_filter(folder), OracleSpec.model_validate_json(spec)
    patience = Patience(listing_s=0.01, poll_s=0.02, poll_cap_s=0.05, backoff_s=0.01)
    async with open_oracle(oracle_spec) as oracle:
        with (
            Ledger.open(project / ".distillery" / "ledger.sqlite") as ledger,
            open_job(
                ledger, filter.label, oracle=oracle_spec.name, purpose="batch", paid=True
            ) as job,
        ):
            place = project / ".distillery" / "batches" / filter.slug
            run = batch.ProviderBatchRun(
                *(filter, oracle, job, place),
                settings=LabelSettings(),
                batch=batch.BatchSettings(patience=patience),
            )
            await run.run(lambda: articles)


def _die_at(owner: Any, name: str, calls: int, when: str) -> None:
    """Kill -9 this process before or after a call of a function."""
    original, left = getattr(owner, name), [calls]

    def die(moment: str) -> None:
        if moment == when:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    def plain(*args: Any, **kwargs: Any) -> Any:
        die("before")
        result = original(*args, **kwargs)
        die("after")
        return result

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        die("before")
        result = await original(*args, **kwargs)
        die("after")
        return result

    setattr(owner, name, awaited if inspect.iscoroutinefunction(original) else plain)
