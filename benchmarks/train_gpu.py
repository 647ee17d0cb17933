"""LoRA on a GPU beside `transformers.Trainer`: Qwen2.5 of 0.5B, 1.5B and 7B at 512 tokens.

    python benchmarks/train_gpu.py [--write]
    python benchmarks/train_gpu.py --device cpu --tiny     a check of the script, not a result

    share_of_gpu_peak_7b=   model FLOPs of useful tokens / the card's bf16 peak (devices.json)
    vs_trainer_gpu_7b=      useful tokens/s, ours / Trainer(bf16=True) with peft and dynamic padding
    seed_job_minutes_7b=    7,000 articles of 512 tokens, three epochs, at our rate

Ours is the loop of `distillery train`. Both get the same token ids, adapters, weights, batch size
and gradient checkpointing. Weights are random and articles made up, so nothing is downloaded: speed
depends on neither. An epoch to warm up, then the median of three, in seconds of wall time.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hollow_base import hollow_base
from page import BENCHMARKS_PAGE, machine, write_block
from train_gpu_loops import WARM_UP, Epoch, ours, peer
from train_setup import Material, made_up
from transformers import Qwen2Config

from distillery_core.errors import UserError
from distillery_core.reports.markdown import table
from distillery_core.student.computing.device import describe, pick_device, pick_precision
from distillery_core.student.computing.memory import is_out_of_memory
from distillery_core.student.planning.flops import peak_flops
from distillery_core.student.planning.plan import SEED_ARTICLES, choose
from distillery_core.student.planning.shape import base_config, shape_of
from distillery_core.student.planning.step_memory import GIB
from distillery_core.student.planning.target import target_for
from distillery_core.student.settings import TrainSettings

BASES = ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-1.5B", "Qwen/Qwen2.5-7B")
OURS, PEER = "ours", "Trainer(bf16=True)"
SEED_EPOCHS = 3
_MEASURED = 3
_TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 2000,
}

Loops = dict[str, Epoch | None]
"""By name; None where memory did not suffice."""


def measure(name: str, config: Any, material: Material, settings: TrainSettings) -> Loops:
    """Both loops on one base."""
    texts = [example.content for example in material.dataset.train]
    found: Loops = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(settings, model_name=hollow_base(Path(folder), config, texts))
        shape = shape_of(settings.model_name, len(material.filter.dimensions))
        choice = choose(shape, settings, target_for(settings.device))
        settings = replace(settings, gradient_checkpointing=choice.checkpointing)
        for loop, run in ((OURS, ours), (PEER, peer)):
            found[loop] = epoch = _unless_too_large(run, material, settings)
            told = "out of memory" if epoch is None else f"{epoch.rate:.0f} useful tokens/s"
            print(f"{name}, {loop}: {told}", flush=True)
    return found


def _unless_too_large(
    run: Callable[[Material, TrainSettings], Epoch], material: Material, settings: TrainSettings
) -> Epoch | None:
    try:
        return run(material, settings)
    except (RuntimeError, UserError) as error:
        if not is_out_of_memory(error.__cause__ or error):
            raise
        return None
    finally:  # one base goes before the next one comes
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def results_table(found: dict[str, Loops], settings: TrainSettings, peak: float | None) -> str:
    """A row for each base and loop."""
    head = ("base", "loop", "useful tokens/s", "of the peak", "memory", "padding", "seed's job")
    rows = [
        (name, loop, *_cells(epoch, settings, peak))
        for name, loops in found.items()
        for loop, epoch in loops.items()
    ]
    return table(head, rows, right=range(2, 7))


def _cells(epoch: Epoch | None, settings: TrainSettings, peak: float | None) -> tuple[str, ...]:
    if epoch is None:
        return ("out of memory", "", "", "", "")
    return (
        f"{epoch.rate:,.0f}",
        "unknown" if peak is None else f"{epoch.share(peak):.0%}",
        f"{epoch.memory / GIB:.1f} GiB",
        f"{epoch.padding_waste:.1%}",
        f"{seed_minutes(epoch, settings):.1f} min",
    )


def seed_minutes(epoch: Epoch, settings: TrainSettings) -> float:
    """How long 7,000 articles that are read to the end of `max_length` take in three epochs."""
    return SEED_ARTICLES * SEED_EPOCHS * settings.max_length / epoch.rate / 60


def results(
    found: dict[str, Loops], settings: TrainSettings, peak: float | None
) -> Iterator[tuple[str, str]]:
    """Name and value of the figures that count."""
    for name, loops in found.items():
        size = name.rpartition("-")[2].lower()
        mine, theirs = loops[OURS], loops[PEER]
        if mine is not None and peak is not None:
            yield f"share_of_gpu_peak_{size}", f"{mine.share(peak):.2f}"
        if mine is not None and theirs is not None:
            yield f"vs_trainer_gpu_{size}", f"{mine.rate / theirs.rate:.2f}"
        if mine is not None:
            yield f"seed_job_minutes_{size}", f"{seed_minutes(mine, settings):.1f}"


def notes(material: Material, settings: TrainSettings, peak: float | None) -> str:
    """What the figures are about, in words."""
    device = pick_device(settings.device)
    known = "not known" if peak is None else f"{peak / 1e12:,.0f} TFLOP/s"
    rows = material.dataset.train
    return (
        f"{describe(device)}, bf16 peak {known}; {len(rows)} articles ({material.name}), two thirds"
        f" of them cut at {settings.max_length} tokens, batches of {settings.batch_size}, rank "
        f"{settings.lora_rank}, attention `{settings.attention}`, {_MEASURED} epochs after one to "
        f"warm up.\n\n{datetime.now(UTC):%Y-%m-%d}, {machine()}, torch {version('torch')}, "
        f"transformers {version('transformers')}, peft {version('peft')}."
    )


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a base of two layers, 64 tokens")
    parser.add_argument("--bases", nargs="+", choices=BASES, default=BASES)
    parser.add_argument("--articles", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument(
        "--attention", default="sdpa", help="transformers' name; flex_attention ..."
    )
    parser.add_argument(
        "--write", action="store_true", help="renew the block of docs/benchmarks.md"
    )
    given = parser.parse_args()
    if given.device == "cpu" and not given.tiny:
        parser.error("--device cpu is for --tiny: these bases are for GPUs")
    if given.tiny and given.write:
        parser.error("--tiny measures nothing that could be written")
    return given


def main() -> int:
    """Measure, print, write."""
    given = read_arguments()
    if given.device == "cuda" and not torch.cuda.is_available():
        print("No GPU at hand: nothing was measured.")
        return 0
    settings = TrainSettings(
        method="lora",
        max_length=64 if given.tiny else 512,
        epochs=WARM_UP + _MEASURED,
        batch_size=given.batch_size,
        learning_rate=1e-4,
        attention=given.attention,
        device=given.device,
    )
    material = made_up(16 if given.tiny else given.articles)
    if given.tiny:
        configs = {"tiny": Qwen2Config(**_TINY)}
    else:
        configs = {name: base_config(name) for name in given.bases}
    found = {name: measure(name, config, material, settings) for name, config in configs.items()}
    device = pick_device(settings.device)
    peak = peak_flops(device, pick_precision(settings.precision, device))
    text = f"{results_table(found, settings, peak)}\n\n{notes(material, settings, peak)}"
    lines = [f"{name}={value}" for name, value in results(found, settings, peak)]
    print("\n".join(["", text, "", *lines]))
    if given.write:
        listed = "\n".join(f"- `{line}`" for line in lines)
        write_block(BENCHMARKS_PAGE, "training on a GPU", f"{text}\n\n{listed}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
