"""Rows that cannot be used are set aside with line and reason, the rest goes on.

The file that all verbs are given: 60 good rows, and between them broken JSON, a missing and a
duplicate id, empty content, bad UTF-8, and a line of many megabytes.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

GOOD = 60
HUGE = 50_000_000
BOM = b"\xef\xbb\xbf"
EXPECTED = {
    11: ("bad_json", "not JSON"),
    22: ("bad_id", "id is missing"),
    23: ("duplicate_id", "this id stood on an earlier line"),
    44: ("empty_content", "content is missing or empty"),
    45: ("bad_utf8", "not UTF-8 at byte"),
    56: ("too_long", "longer than 10 MB"),
}
LABEL = ("label", "--filter", "storm", "--max-bad", "0.1", "--input")
SCORE = ("score", "--filter", "tiny:v1", "--unpromoted", "--max-bad", "0.1", "--input")


def dirty_lines(rows: list[dict[str, Any]], size: int = 11_000_000) -> list[bytes]:
    """60 good rows with the six bad ones at the lines of `EXPECTED`."""
    good = [json.dumps(row, ensure_ascii=False).encode() for row in rows[:GOOD]]
    other = rows[GOOD]
    without_id = {key: value for key, value in other.items() if key != "id"}
    return [
        *good[:10],
        good[0][:40],
        *good[10:20],
        json.dumps(without_id).encode(),
        good[3],
        *good[20:40],
        json.dumps(other | {"content": " \n "}).encode(),
        json.dumps(other).encode().replace(b'"content": "', b'"content": "\xff\xfe'),
        *good[40:50],
        b'{"id": "huge", "title": "t", "content": "' + b"x" * size + b'"}',
        *good[50:],
    ]


def assert_set_aside(kit: Any, path: Path, ids: tuple[str, ...]) -> None:
    rejected = {row["line"]: row for row in kit.rows(path)}
    assert {line: row["kind"] for line, row in rejected.items()} == {
        line: kind for line, (kind, _) in EXPECTED.items()
    }
    for line, (_, reason) in EXPECTED.items():
        assert reason in rejected[line]["reason"]
        assert len(rejected[line].get("raw", "")) <= 500
    assert {row["id"] for row in rejected.values() if "id" in row} == set(ids)


@pytest.fixture
def dirty(kit: Any) -> list[bytes]:
    return dirty_lines([kit.article(n) for n in range(GOOD + 1)])


def test_label(kit: Any, dirty: list[bytes]) -> None:
    server = kit.serve()
    (kit.project / "dirty.jsonl").write_bytes(b"\n".join(dirty) + b"\n")
    outcome = kit.run(*LABEL, "dirty.jsonl", "--output", "out.jsonl")
    assert outcome.code == 0, outcome.err
    assert "set aside: out.jsonl.rejected.jsonl" in outcome.err
    assert [row["id"] for row in kit.rows(kit.project / "out.jsonl")] == [
        kit.article(n)["id"] for n in range(GOOD)
    ]
    assert_set_aside(kit, kit.project / "out.jsonl.rejected.jsonl", ("a003", "a060"))

    # Above --max-bad (1 %) the exit code is 1, and everything is written all the same.
    strict = kit.run(*LABEL[:3], "--input", "dirty.jsonl", "--output", "strict.jsonl")
    assert strict.code == 1
    assert "refused: 6 of 66 rows were rejected (9.1%, at most 1.0% may be)" in strict.err
    assert "the others are written" in strict.err
    assert "1 x duplicate_id" in strict.err
    assert kit.rows(kit.project / "strict.jsonl") == kit.rows(kit.project / "out.jsonl")
    assert_set_aside(kit, kit.project / "strict.jsonl.rejected.jsonl", ("a003", "a060"))
    assert server.requests.total() == GOOD, "the second run took its answers from the ledger"


def test_bom_crlf_and_gzip_just_work(kit: Any, dirty: list[bytes]) -> None:
    server = kit.serve()
    plain, windows, packed = (kit.project / name for name in ("p.jsonl", "w.jsonl", "z.jsonl.gz"))
    plain.write_bytes(b"\n".join(dirty) + b"\n")
    windows.write_bytes(BOM + b"\r\n".join(dirty))  # and no line end at the end
    packed.write_bytes(gzip.compress(b"\n".join(dirty), compresslevel=1))
    for source in (plain, windows, packed):
        output = kit.project / f"{source.name}.out"
        outcome = kit.run(*LABEL, source.name, "--output", output.name)
        assert outcome.code == 0, outcome.err
        assert kit.rows(output) == kit.rows(kit.project / "p.jsonl.out")
        rejected = output.with_name(f"{output.name}.rejected.jsonl")
        assert_set_aside(kit, rejected, ("a003", "a060"))
        scores = kit.run(*SCORE, source.name, "--output", f"{output.name}.scores")
        assert scores.code == 0, scores.err
        assert f"score: 66{'' if packed is source else ' of 66'}" in scores.err
        assert kit.rows(kit.project / f"{output.name}.scores") == kit.rows(
            kit.project / "p.jsonl.out.scores"
        )
    assert server.requests.total() == GOOD


def test_score_has_a_line_for_every_line(kit: Any, dirty: list[bytes]) -> None:
    (kit.project / "dirty.jsonl").write_bytes(b"\n".join(dirty) + b"\n")
    outcome = kit.run(*SCORE[:4], "--input", "dirty.jsonl", "--output", "s.jsonl")
    assert outcome.code == 1
    assert "refused: 6 of 66 rows were rejected" in outcome.err
    scores = kit.rows(kit.project / "s.jsonl")
    assert [row["line"] for row in scores] == list(range(1, GOOD + len(EXPECTED) + 1))
    wrong = {row["line"]: row["reason"] for row in scores if row["status"] == "error"}
    assert set(wrong) == set(EXPECTED)
    assert all(EXPECTED[line][1] in reason for line, reason in wrong.items())
    assert sum(row["status"] == "scored" for row in scores) == GOOD
    assert_set_aside(kit, kit.project / "s.jsonl.rejected.jsonl", ("a003", "a060"))


def test_score_with_a_model_that_gives_no_number(kit: Any) -> None:
    from safetensors.torch import load_file, save_file

    weights = kit.project / "filters" / "tiny" / "v1" / "model" / "model.safetensors"
    tensors = load_file(weights)
    tensors["classifier.bias"][1] = float("nan")
    save_file(tensors, weights, metadata={"format": "pt"})
    outcome = kit.run(*SCORE, "labelled.jsonl", "--output", "s.jsonl")
    assert outcome.code == 1
    assert "120 x not_finite_prediction" in outcome.err
    for name in ("s.jsonl", "s.jsonl.rejected.jsonl"):
        rows = kit.rows(kit.project / name)
        assert len(rows) == 120
        assert {row["reason"] for row in rows} == {"the model's prediction is not a number"}


def test_sample_and_calibrate_set_aside_too(kit: Any, dirty: list[bytes]) -> None:
    """The sample that is too small says what it passed over; a round goes on without bad rows."""
    server = kit.serve()
    (kit.project / "dirty.jsonl").write_bytes(b"\n".join(dirty) + b"\n")
    sample = ("sample", "--filter", "storm", "--input", "dirty.jsonl", "--output", "sample.jsonl")
    small = kit.run(*sample)
    assert small.code == 1
    assert "the corpus has too few articles" in small.err
    assert "passed over: 60 junk: " in small.err
    drawn = kit.run(*sample, "--allow-short")
    assert drawn.code == 0, drawn.err
    assert "6 rows could not be used, see sample.jsonl.rejected.jsonl" in drawn.err
    assert_set_aside(kit, kit.project / "sample.jsonl.rejected.jsonl", ("a003", "a060"))

    round = kit.run("calibrate", "--filter", "storm", "--sample", "dirty.jsonl", "--no-read")
    assert round.code in {0, 1}, round.err
    assert "Traceback" not in round.err
    assert "calibration_report.md" in round.out
    assert_set_aside(kit, kit.project / "dirty.jsonl.rejected.jsonl", ("a003", "a060"))
    assert server.answered.total() >= GOOD


def test_prepare(kit: Any) -> None:
    """Rows and labels: each bad one has its reason, and a few of them are no obstacle."""
    rows = kit.rows(kit.project / "labelled.jsonl")
    good = [json.dumps(row) for row in rows]

    def bad(number: int, change: dict[str, Any], drop: tuple[str, ...] = ()) -> str:
        row = json.loads(good[number]) | {"id": f"bad{number}"}
        scores = row["tiny_analysis"]["dimensions"] | change
        row["tiny_analysis"]["dimensions"] = {k: v for k, v in scores.items() if k not in drop}
        return json.dumps(row)

    wrong = {
        '{"id": "t1", "tit': "not JSON",
        json.dumps({**json.loads(good[0]), "id": None}): "id is missing",
        good[5]: "this id stood on an earlier line",
        bad(1, {"heat": float("nan")}): "NaN is not a JSON number",
        bad(2, {"heat": "7"}): "heat is not a number: '7'",
        bad(3, {"heat": 70}): "heat is outside 0-10: 70",
        bad(4, {"heat": -0.1}): "heat is outside 0-10: -0.1",
        bad(5, {"heat": True}): "heat is not a number: True",
        bad(6, {}, ("heat",)): "heat is missing",
        bad(7, {"heats": 3}, ("heat",)): "unknown key 'heats' (for heat?)",
        json.dumps({"id": "p", "title": "t", "content": "c", "tiny_analysis": "a seven"}):
            "tiny_analysis is not an object",
        json.dumps({"id": "q", "title": "t", "content": "no label"}): "tiny_analysis is missing",
    }  # fmt: skip
    lines = [*good[:50], *wrong, *good[50:]]
    (kit.project / "dirty.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    prepare = ("prepare", "--filter", "tiny", "--output-dir", "data", "--input")
    outcome = kit.run(*prepare, "dirty.jsonl")
    assert outcome.code == 1
    assert "the dataset failed its QA" in outcome.err
    assert "set aside: data.rejected.jsonl" in outcome.err
    rejected = {row["line"]: row["reason"] for row in kit.rows(kit.project / "data.rejected.jsonl")}
    assert list(rejected) == list(range(51, 51 + len(wrong)))
    for reason, expected in zip(rejected.values(), wrong.values(), strict=True):
        assert expected in reason
    splits = [kit.rows(kit.project / "data" / f"{s}.jsonl") for s in ("train", "val", "test")]
    assert sorted(row["id"] for split in splits for row in split) == sorted(r["id"] for r in rows)

    (kit.project / "one.jsonl").write_text("\n".join([*good, "{"]) + "\n", encoding="utf-8")
    one = kit.run(*prepare, "one.jsonl")
    assert one.code == 0, one.err
    assert "set aside: data.rejected.jsonl" in one.err
    none = kit.run(*prepare, "one.jsonl", "--max-bad", "0.001")
    assert none.code == 1
    assert "0.8% of the rows were rejected (at most 0.1% may be)" in none.err


PEAK = """
import sys
from pathlib import Path
from distillery_core.cli.main import main

def peak_mb():
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024

before = None
for files in (["small"], ["huge", "huge-labels"]):
    for name in files:
        if "labels" in name:
            verb = ["prepare", "--filter", "tiny", "--output-dir", "data"]
        else:
            verb = ["label", "--filter", "storm", "--max-bad", "0.1", "--output", name + ".out"]
        code = main([*verb, "--input", name + ".jsonl"])
        assert code == 0, code
    print(peak_mb(), file=sys.stderr)
"""


def test_memory_stays_flat_over_a_line_of_50_mb(kit: Any) -> None:
    kit.serve()
    rows = [kit.article(n) for n in range(GOOD + 1)]
    kit.write_rows(kit.project / "small.jsonl", rows[:GOOD])
    (kit.project / "huge.jsonl").write_bytes(b"\n".join(dirty_lines(rows, HUGE)))
    labels = (kit.project / "labelled.jsonl").read_bytes()
    (kit.project / "huge-labels.jsonl").write_bytes(labels + b'{"id": "' + b"x" * HUGE + b'"}\n')
    outcome = kit.spawn(script=PEAK)
    assert outcome.code == 0, outcome.err
    small, huge = (int(line) for line in outcome.err.splitlines() if line.isdigit())
    assert huge - small < 40, "a line of 50 MB was held in memory"
