"""Writes the generated parts of the documentation: `python tests/docs/generate.py`.

docs/cli.md       the verbs' own help
docs/verdicts.md  its tables, from agents/*/criteria.yaml; what simulated students got, from
                  docs/data/bench_verdicts.json; the cases of tests/cases/verdicts/real_runs_*
README.md         its excerpt of a report, from docs/examples/

`--check` writes nothing, names what is out of date and exits with 1. `--examples DIR` first copies
the reports of a finished `distillery demo DIR` into docs/examples/, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = Path("docs/examples/crisis_v1")
EXCERPT = EXAMPLES / "model_evaluation.md"
COPIED = (
    "calibration_report.md",
    "validation_report.md",
    "approvals.yaml",
    "model_evaluation.md",
    "model_evaluation_plots/*.png",
    "calibration_report.json",
    "validation_report.json",
    "model_evaluation.json",
    "training_history.json",
    "training_metadata.json",
)
SHOWN_LINES = 4
REAL_RUNS = Path("tests/cases/verdicts/real_runs_expected.yaml")
SIMULATED = Path("docs/data/bench_verdicts.json")
WORDS = ("DEPLOY", "REVIEW", "FAIL")
_SIMULATED = re.compile(r"(?<=<!-- simulated -->\n).*?(?=<!-- end -->)", re.DOTALL)
_REAL_RUNS = re.compile(r"(?<=<!-- real runs -->\n).*?(?=<!-- end -->)", re.DOTALL)
_BLOCK = re.compile(r"(?<=<!-- excerpt -->\n).*?(?=<!-- end -->)", re.DOTALL)


def pages(root: Path) -> dict[Path, str]:
    """Every generated file of a checkout with the text it should have now."""
    from distillery_core.cli.reference import reference
    from distillery_core.verdicts import read_criteria
    from distillery_core.verdicts.tables import with_tables

    tables = [read_criteria(path) for path in sorted((root / "agents").glob("*/criteria.yaml"))]
    return {
        root / "docs/cli.md": reference(),
        root / "docs/verdicts.md": with_real_runs(
            with_simulated(with_tables(_read(root / "docs/verdicts.md"), tables), root / SIMULATED),
            root / REAL_RUNS,
        ),
        root / "README.md": with_excerpt(_read(root / "README.md"), root / EXCERPT),
    }


def with_excerpt(document: str, report: Path) -> str:
    """The document with the beginning of a report between its `excerpt` marks, as a quotation.

    Without the report the document is returned as it is.
    """
    if not report.is_file():
        return document
    quoted = "".join(f"> {line}".rstrip() + "\n" for line in excerpt(_read(report)))
    return _BLOCK.sub(lambda _: quoted, document)


def excerpt(report: str) -> list[str]:
    """Title and summary of a report, then the first lines of its verdict table."""
    _, _, body = report.split("---\n", 2)
    summary, _, rest = body.partition("\n## What to do\n")
    table = rest.partition("\n## Every line\n")[2].strip().splitlines()
    title, *lines = summary.strip().splitlines()
    return [f"**{title.lstrip('# ')}**", *lines, "", *table[: 2 + SHOWN_LINES]]


def with_simulated(document: str, results: Path) -> str:
    """The document with the verdicts of simulated students between its `simulated` marks."""
    if not results.is_file():
        return document
    table = "\n".join(simulated(json.loads(_read(results)))) + "\n"
    return _SIMULATED.sub(lambda _: table, document)


def simulated(results: dict[str, Any]) -> list[str]:
    """One row a student, one column a size of the test set: DEPLOY / REVIEW / FAIL in percent."""
    cells = {(one["student"], one["n_test"]): one for one in results["cells"]}
    sizes = sorted({n for _, n in cells})
    lines = [f"{results['runs']:,} runs a cell, {results['date']}, seed {results['seed']}.", ""]
    lines.append("| student | truth | " + " | ".join(f"n = {n:,}" for n in sizes) + " |")
    lines.append("|---|---|" + "---|" * len(sizes))
    for student in dict.fromkeys(name for name, _ in cells):
        row = [cells[student, n] for n in sizes]
        shares = (" / ".join(_percent(one, word, results["runs"]) for word in WORDS) for one in row)
        lines.append(f"| {student} | {row[0]['truth']} | " + " | ".join(shares) + " |")
    return lines


def with_real_runs(document: str, expected: Path) -> str:
    """The document with each real case, line by line, between its `real runs` marks."""
    import yaml

    if not expected.is_file():
        return document
    pinned = yaml.safe_load(_read(expected))
    rows = [
        f"| {name} | {case['written']} | {case['verdict']} | {_not_ok(case)} "
        f"| {case.get('difference', '-')} |"
        for kind in ("evaluation", "calibration")
        for name, case in pinned[kind].items()
    ]
    head = ["| case | theirs | ours | measured lines that are not in order | why they differ |"]
    table = "\n".join([*head, "|---|---|---|---|---|", *rows]) + "\n"
    return _REAL_RUNS.sub(lambda _: table, document)


def _not_ok(case: dict[str, Any]) -> str:
    lines = (f"`{line}` {level}" for line, level in case["not_ok"].items())
    return ", ".join(lines) or "none"


def _percent(cell: dict[str, Any], word: str, runs: int) -> str:
    share = 100 * cell["counts"][word] / runs
    digits = 2 if share < 1 else 1
    return f"{share:.{digits}f}".rstrip("0").rstrip(".")


def copy_examples(home: Path, target: Path) -> list[Path]:
    """Copy what a demo wrote beside its filter, as the bytes it wrote."""
    sources = [path for pattern in COPIED for path in sorted(home.glob(pattern))]
    if not (home / EXCERPT.name).is_file():
        raise SystemExit(f"{home}: no finished demo")
    for source in sources:
        copy = target / source.relative_to(home)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    return sources


def stale(root: Path) -> Iterator[tuple[Path, str]]:
    """The generated files that are out of date, with the text they should have."""
    for path, text in pages(root).items():
        if not path.is_file() or _read(path) != text:
            yield path, text


def main(argv: Sequence[str] | None = None) -> int:
    """Write what is out of date; with `--check` only name it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--examples", type=Path, metavar="DIR")
    options = parser.parse_args(argv)
    if options.examples:
        copy_examples(options.examples / "filters/crisis/v1", ROOT / EXAMPLES)
    outdated = list(stale(ROOT))
    for path, text in outdated:
        print(f"{path.relative_to(ROOT)}: {'out of date' if options.check else 'written'}")
        if not options.check:
            path.write_text(text, encoding="utf-8")
    return 1 if options.check and outdated else 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
