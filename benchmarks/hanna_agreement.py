"""HANNA through the agreement report: bias and noise of four oracles with four prompts.

    DISTILLERY_DATA=/path/to/data python benchmarks/hanna_agreement.py [--write docs/agreement.md]

HANNA (Chhun et al. 2024, Transactions of the ACL, doi 10.1162/tacl_a_00689; MIT, Copyright (c) 2022
dig-team): 1,056 stories, each scored 1-5 on six dimensions by three people and, with four prompts
each, by four language models (the mean of three answers). The authors count an answer that they
could not parse as -1, so a score below 1 is one with a parse failure in it; it is left out here. A
failure that two good answers hide (two 4s and a -1 give 2.33) cannot be seen.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from page import write_block

from distillery_core.agreement.coefficients import Coefficients, coefficients
from distillery_core.agreement.paired import Paired, compare
from distillery_core.agreement.ratings import Floats
from distillery_core.agreement.resampling import RESAMPLES, Estimate
from distillery_core.filters.answers import AnswerInvalid
from distillery_core.labelling.parsing import find_object
from distillery_core.reports.agreement import shown
from distillery_core.reports.formatting import fixed, integer, signed
from distillery_core.reports.markdown import table

DIMENSIONS = {
    "relevance": ("Relevance", "RE"),
    "coherence": ("Coherence", "CH"),
    "empathy": ("Empathy", "EM"),
    "surprise": ("Surprise", "SU"),
    "engagement": ("Engagement", "EG"),
    "complexity": ("Complexity", "CX"),
}
ORACLES = ("Beluga-13B", "Mistral-7B", "Llama-13B", "ChatGPT")
PROMPTS = (1, 2, 3, 4)
LOWEST = 1.0
BLOCK = "HANNA"
"""Of the page: what `--write` renews."""

_LEADING_SCORE = re.compile(r"\s*[1-5](?![\d.])")


@dataclass(frozen=True)
class Hanna:
    """The scores: people (articles, 3, 6), their mean (articles, 6), and each oracle and prompt
    (articles, 6) with NaN for a parse failure."""

    ids: tuple[str, ...]
    people: Floats
    mean: Floats
    oracles: dict[tuple[str, int], Floats]

    def failures(self, oracle: str, prompt: int) -> int:
        """Scores with a parse failure in them."""
        return int(np.isnan(self.oracles[oracle, prompt]).sum())


def load(data: Path) -> Hanna:
    """Read the score table."""
    path = data / "hanna" / "hanna_human_vs_llm_scores.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))

    def column(name: str) -> Floats:
        return np.array([float(row[name]) for row in rows])

    codes = [code for _, code in DIMENSIONS.values()]
    people = [np.column_stack([column(f"Human {n} {code}") for code in codes]) for n in (1, 2, 3)]
    found: dict[tuple[str, int], Floats] = {}
    for oracle in ORACLES:
        for prompt in PROMPTS:
            scores = np.column_stack([column(f"{oracle} {code} {prompt}") for code in codes])
            found[oracle, prompt] = np.where(scores < LOWEST, np.nan, scores)
    mean = np.column_stack([column(name) for name, _ in DIMENSIONS.values()])
    ids = tuple(row["story_id"] for row in rows)
    return Hanna(ids, np.stack(people, axis=1), mean, found)


def against_people(
    hanna: Hanna, resamples: int = RESAMPLES
) -> dict[tuple[str, int], dict[str, Paired]]:
    """Each oracle and prompt against the mean of the three people, by dimension."""
    return {
        key: {
            name: compare(scores[:, at], hanna.mean[:, at], resamples=resamples)
            for at, name in enumerate(DIMENSIONS)
        }
        for key, scores in hanna.oracles.items()
    }


def groups(hanna: Hanna) -> dict[str, Floats]:
    """Sets of raters that should agree, each of shape (articles, raters, 6)."""
    found = {"three people": hanna.people}
    for prompt in PROMPTS:
        each = [hanna.oracles[oracle, prompt] for oracle in ORACLES]
        found[f"four oracles, prompt {prompt}"] = np.stack(each, axis=1)
    for oracle in ORACLES:
        each = [hanna.oracles[oracle, prompt] for prompt in PROMPTS]
        found[f"four prompts, {oracle}"] = np.stack(each, axis=1)
    return found


def together(values: Floats, resamples: int = RESAMPLES) -> dict[str, Coefficients]:
    """Coefficients of a set of raters, by dimension."""
    return {
        name: coefficients(values[:, :, at], resamples=resamples)
        for at, name in enumerate(DIMENSIONS)
    }


def raw_ratings(data: Path) -> Counter[str]:
    """What becomes of the 300 raw ratings: how many our parser takes, and why not the others; and
    how many a reader that looks for a leading digit would take."""
    path = data / "hanna" / "hanna_llm_rating_texts.jsonl.gz"
    counts: Counter[str] = Counter()
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        texts = [json.loads(line)["response"] for line in handle]
    for text in texts:
        counts["leading digit"] += bool(_LEADING_SCORE.match(text))
        try:
            find_object(text)
            counts["parsed"] += 1
        except AnswerInvalid as error:
            counts[str(error).partition(":")[0]] += 1
    counts["texts"], counts["different texts"] = len(texts), len(set(texts))
    return counts


def mean_of(paired: dict[str, Paired], what: str) -> float:
    """The mean over the six dimensions of one number."""
    return float(np.mean([getattr(one, what).value for one in paired.values()]))


def report(data: Path, resamples: int = RESAMPLES) -> str:
    """The generated part of docs/agreement.md."""
    hanna = load(data)
    paired = against_people(hanna, resamples)
    measured = {name: together(values, resamples) for name, values in groups(hanna).items()}
    parts = [
        "### Four oracles, four prompts, against the mean of three people",
        "Means over the six dimensions, points of 1-5; failures are scores (of 6,336) with an "
        "answer in them that could not be parsed.",
        _summary_table(hanna, paired),
        "### Bias by dimension",
        _by_dimension(paired, "bias", sign=True),
        "### Noise by dimension",
        _by_dimension(paired, "noise"),
        "### Krippendorff's alpha",
        _alpha_table(measured),
        "### Intraclass correlations, means over the dimensions",
        _icc_table(measured),
        "### 300 raw ratings",
        _raw(raw_ratings(data)),
    ]
    return "\n\n".join(parts)


def _summary_table(hanna: Hanna, paired: dict[tuple[str, int], dict[str, Paired]]) -> str:
    header = ("oracle", "prompt", "failures", "bias", "noise", "MAE", "Spearman")
    rows = [
        (
            oracle,
            str(prompt),
            integer(hanna.failures(oracle, prompt)),
            signed(mean_of(found, "bias")),
            *(fixed(mean_of(found, what)) for what in ("noise", "mae", "spearman")),
        )
        for (oracle, prompt), found in paired.items()
    ]
    return table(header, rows, right=range(1, 7))


def _by_dimension(
    paired: dict[tuple[str, int], dict[str, Paired]], what: str, *, sign: bool = False
) -> str:
    rows = [
        (oracle, str(prompt), *(shown(getattr(one, what), sign=sign) for one in found.values()))
        for (oracle, prompt), found in paired.items()
    ]
    return table(("oracle", "prompt", *DIMENSIONS), rows, right=range(1, 8))


def _alpha_table(measured: dict[str, dict[str, Coefficients]]) -> str:
    rows = [
        (name, *(shown(one.alpha) for one in found.values())) for name, found in measured.items()
    ]
    return table(("raters", *DIMENSIONS), rows, right=range(1, 7))


def _icc_table(measured: dict[str, dict[str, Coefficients]]) -> str:
    names = ("icc_1", "icc_2", "icc_3", "icc_2k")
    rows = [
        (name, *(fixed(_mean([getattr(one, what) for one in found.values()])) for what in names))
        for name, found in measured.items()
    ]
    header = ("raters", "ICC(1,1)", "ICC(2,1)", "ICC(3,1)", "ICC(2,k)")
    return table(header, rows, right=range(1, 5))


def _mean(estimates: list[Estimate]) -> float:
    return float(np.mean([one.value for one in estimates]))


def _raw(counts: Counter[str]) -> str:
    texts, parsed, digit = (counts[key] for key in ("texts", "parsed", "leading digit"))
    return (
        f"Of {texts} raw ratings ({counts['different texts']} different texts) our parser takes "
        f'{parsed} and rejects {texts - parsed}, all as "no JSON object in the answer": the models '
        "were asked for a number and words, and a label is never guessed from prose. A reader that "
        f"takes a leading digit would take {digit} and lose {texts - digit}, which say "
        '"I would rate this story a 3".'
    )


def main() -> None:
    """Print the report, or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put it into its block of the page"
    )
    arguments = parser.parse_args()
    data = os.environ.get("DISTILLERY_DATA")
    if not data:
        sys.exit("DISTILLERY_DATA is not set: name the folder that holds hanna/")
    text = report(Path(data))
    if arguments.write:
        write_block(arguments.write, BLOCK, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
