"""Training beside `transformers.Trainer`: useful tokens per CPU second, in one process.

    DISTILLERY_DATA=/path/to/data python benchmarks/train_speed.py [--write]

    vs_trainer_minilm=      ours / Trainer with dynamic padding, MiniLM, dropout 0
    vs_trainer_qwen2=       the same for a Qwen2 of 28 million parameters
    vs_trainer_bf16_qwen2=  ours / Trainer(bf16=True)
    share_of_bf16_peak=     model FLOPs of useful tokens / matrix peak measured in the same run, the
                            lower one of the two bases
    padding_waste=          share of the tokens that we processed that was padding; no clock in it

Ours is the loop of `distillery train` as it is on a CPU (docs/decisions/0012). All run on one
thread, take turns, and get the same token ids, first head, batches, rates and epochs; medians of
the runs' ratios count. Each loop first runs once unmeasured, since libraries prepare themselves in
it. Whether the faster loop learns as well is measured on recorded labels.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from page import BENCHMARKS_PAGE, machine, write_block
from train_loops import Measured, ours, peer
from train_setup import MINILM, Material, lee, long_news, mixed_news, short_news, small_qwen2

from distillery_core.reports.markdown import table
from distillery_core.student.computing.device import pick_precision
from distillery_core.student.measures.bootstrap import Interval, paired_bootstrap
from distillery_core.student.measures.metrics import Array, article_errors
from distillery_core.student.planning.flops import matrix_peak
from distillery_core.student.settings import Precision, TrainSettings

OURS, PEER, PEER_BF16 = "ours", "Trainer", "Trainer(bf16=True)"
MOST_WASTE = 0.02


@dataclass(frozen=True)
class Base:
    """Rows of the table: a base with a dropout, and the articles it is trained on."""

    name: str
    settings: TrainSettings
    material: Material


@dataclass(frozen=True)
class Turn:
    """One run of each loop on one base, and the matrix peaks just before, FLOP/s.

    `peak` is in the precision that ours computes in, `peak_float32` in that of plain Trainer.
    """

    base: Base
    peak: float
    peak_float32: float
    runs: dict[str, Measured]

    def ratio(self, to: str) -> float:
        """Our rate beside another's."""
        return self.runs[OURS].rate / self.runs[to].rate

    @property
    def share(self) -> float:
        """Of the peak, on useful tokens."""
        return self.runs[OURS].flops / self.runs[OURS].cpu_s / self.peak


def take_turn(base: Base, run: int) -> Turn:
    """Each loop once; who begins changes from run to run."""
    loops: list[tuple[str, Callable[[], Measured]]] = [
        (OURS, lambda: ours(base.material, base.settings)),
        (PEER, lambda: peer(base.material, base.settings, bf16=False)),
        (PEER_BF16, lambda: peer(base.material, base.settings, bf16=True)),
    ]
    start = run % len(loops)
    peaks = highest_peak(peak_precision()), highest_peak("float32")
    runs = {name: loop() for name, loop in loops[start:] + loops[:start]}
    turn = Turn(base, *peaks, runs)
    rates = ", ".join(f"{name} {runs[name].rate:.0f}" for name, _ in loops)
    where = f"{base.name}, {base.material.name}"
    print(f"{where}: {rates} tokens per CPU second; {turn.share:.0%} of the peak", flush=True)
    return turn


def highest_peak(precision: Precision) -> float:
    """Of four measurements, FLOP per CPU second."""
    return max(matrix_peak(precision, clock=time.process_time) for _ in range(4))


def peak_precision() -> Precision:
    """bf16, or float32 where the processor has no bf16 instructions."""
    return pick_precision("auto", torch.device("cpu"))


@dataclass(frozen=True)
class Learned:
    """What the loops learned from recorded labels, with each of several seeds.

    Attributes:
        mae: of each loop, one a seed.
        worse_by: our MAE less Trainer's, with its 95 % interval over held-out articles in pairs.
        furthest: between a prediction of ours and Trainer's, on the scale of 0-10.
    """

    mae: dict[str, list[float]]
    worse_by: Interval
    furthest: float

    @property
    def noise(self) -> float:
        """By how much Trainer's own MAE moves from seed to seed: their standard deviation."""
        return statistics.stdev(self.mae[PEER])

    @property
    def is_worse(self) -> bool:
        """Whether a loss as large as another seed's cannot be ruled out."""
        return self.worse_by.high > self.noise


def learn(settings: TrainSettings, seeds: int) -> Learned:
    """Train on Lee news and measure on its held-out articles.

    A seed decides the first head and the order of the articles, the same for both loops.
    """
    material, furthest = lee(), 0.0
    labels = np.array([one.labels for one in material.dataset.val])
    mae: dict[str, list[float]] = {OURS: [], PEER: []}
    errors: dict[str, list[Array]] = {OURS: [], PEER: []}
    for seed in range(seeds):
        seeded = replace(settings, seed=seed)
        runs = {OURS: ours(material, seeded), PEER: peer(material, seeded, bf16=False)}
        for name, run in runs.items():
            mae[name].append(run.mae)
            errors[name].append(article_errors(run.predictions, labels))
        apart = float(np.abs(runs[OURS].predictions - runs[PEER].predictions).max())
        furthest = max(furthest, apart)
        print(f"seed {seed}: MAE " + ", ".join(f"{k} {v[-1]:.4f}" for k, v in mae.items()))
    mine, theirs = (np.mean(errors[loop], axis=0) for loop in (OURS, PEER))
    return Learned(mae, paired_bootstrap(mine, theirs), furthest)


def speed_table(bases: list[Base], turns: list[Turn]) -> str:
    """One row a base and loop: medians over the runs."""
    head = (
        "base", "articles", "loop", "tokens per CPU second", "ours is x times", "padding",
        "of the peak",
    )  # fmt: skip
    rows = []
    for base in bases:
        own = [turn for turn in turns if turn.base is base]
        for loop in (OURS, PEER, PEER_BF16):
            runs = [turn.runs[loop] for turn in own]
            shares = [turn.runs[loop].flops / turn.runs[loop].cpu_s / turn.peak for turn in own]
            rows.append(
                (
                    base.name,
                    base.material.name,
                    loop,
                    f"{statistics.median(run.rate for run in runs):.0f}",
                    "" if loop == OURS else f"{median_ratio(turns, base, loop):.2f}",
                    f"{runs[0].padding_waste:.1%}",
                    f"{statistics.median(shares):.0%}",
                )
            )
    return table(head, rows, right=range(3, 7))


def median_ratio(turns: list[Turn], base: Base, to: str) -> float:
    """Of the runs on a base."""
    return statistics.median(turn.ratio(to) for turn in turns if turn.base is base)


def main() -> int:
    """Measure, print, write; 1 if padding or the validation MAE misses its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--articles", type=int, default=48)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--write", action="store_true", help="renew the block of docs/benchmarks.md"
    )
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error("--seeds: what a seed changes shows from two on")
    data = os.environ.get("DISTILLERY_DATA")
    if not data:
        sys.exit("DISTILLERY_DATA is not set: name the folder that holds news_corpus/")
    torch.set_num_threads(1)
    plain = TrainSettings(
        model_name=MINILM,
        epochs=1,
        batch_size=8,
        learning_rate=1e-4,
        threads=1,
        device="cpu",
        method="full",
        pooling="first",  # MiniLM as transformers builds it, for both
    )
    with tempfile.TemporaryDirectory() as folder:
        bases = _bases(Path(data), given.articles, plain, Path(folder))
        for base in bases[:3]:
            take_turn(replace(base, material=short_news(8)), 0)
        print("warm from here on", flush=True)
        turns = [take_turn(base, run) for run in range(given.runs) for base in bases]
    learned = learn(replace(plain, epochs=2, max_length=128), given.seeds)
    minilm, qwen2, *_ = bases
    waste = max(turn.runs[OURS].padding_waste for turn in turns)
    shares = [statistics.median(t.share for t in turns if t.base is b) for b in (minilm, qwen2)]
    results = {
        "vs_trainer_minilm": f"{median_ratio(turns, minilm, PEER):.2f}",
        "vs_trainer_qwen2": f"{median_ratio(turns, qwen2, PEER):.2f}",
        "vs_trainer_bf16_qwen2": f"{median_ratio(turns, qwen2, PEER_BF16):.2f}",
        "share_of_bf16_peak": f"{min(shares):.2f}",
        "padding_waste": f"{waste:.4f}",
    }
    text = "\n\n".join([speed_table(bases, turns), *notes(given, turns, learned)])
    print(f"\n{text}\n")
    print("\n".join(f"{name}={value}" for name, value in results.items()))
    if given.write:
        lines = "\n".join(f"- `{name}={value}`" for name, value in results.items())
        write_block(BENCHMARKS_PAGE, "training speed", f"{text}\n\n{lines}")
    return int(waste > MOST_WASTE or learned.is_worse)


def _bases(data: Path, articles: int, plain: TrainSettings, scratch: Path) -> list[Base]:
    mixed, long, short = mixed_news(data, articles), long_news(data, articles), short_news(articles)
    qwen2 = replace(plain, model_name=small_qwen2(scratch, mixed))
    return [
        Base("MiniLM, dropout 0", plain, mixed),
        Base("Qwen2 28M, its own dropout 0", qwen2, mixed),
        Base("MiniLM, its own dropout 0.1", replace(plain, dropout=None), mixed),
        Base("MiniLM, dropout 0", plain, long),
        Base("MiniLM, dropout 0", plain, short),
    ]


def notes(
    given: argparse.Namespace,
    turns: list[Turn],
    learned: Learned,
) -> list[str]:
    """What the figures are about, in words."""
    lengths = {t.base.material.name: t.runs[OURS].tokens / given.articles for t in turns}
    means = ", ".join(f"{name} {mean:.0f}" for name, mean in lengths.items())
    peak = statistics.median(turn.peak for turn in turns) / 1e9
    peak_float32 = statistics.median(turn.peak_float32 for turn in turns) / 1e9
    mine, theirs = (statistics.mean(learned.mae[loop]) for loop in (OURS, PEER))
    worse = learned.worse_by
    return [
        f"{given.articles} articles cut at 512 tokens (mean: {means}), batches of 8; {given.runs} "
        f"interleaved runs. The peak is {peak_precision()}: {peak:.0f} GFLOP per CPU second; in "
        f"float32, which Trainer computes in, it is {peak_float32:.0f}.",
        f"Validation MAE on Lee news after 2 epochs, mean of {given.seeds} seeds: ours {mine:.4f}, "
        f"Trainer {theirs:.4f}; difference {worse.value:+.4f} (95 % {worse.low:+.4f} to "
        f"{worse.high:+.4f}). Trainer's own moves by {learned.noise:.4f} (standard deviation) from "
        f"seed to seed. Same first head and batches: no prediction of ours, computed in "
        f"{peak_precision()}, is further than {learned.furthest:.4f} from Trainer's.",
        f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, load {os.getloadavg()[0]:.1f}, torch "
        f"{version('torch')}, transformers {version('transformers')}.",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
