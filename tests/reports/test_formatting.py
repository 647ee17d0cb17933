from __future__ import annotations

import math

import pytest

from distillery_core.reports import formatting as f


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (f.fixed(None), "-"),
        (f.fixed(math.nan), "-"),
        (f.fixed(-0.001), "0.00"),
        (f.fixed(1.005, 1), "1.0"),
        (f.signed(0.1234, 3), "+0.123"),
        (f.signed(-0.5), "-0.50"),
        (f.signed(0.0), "0.00"),
        (f.percent(0.075, 1), "7.5 %"),
        (f.percent(None), "-"),
        (f.integer(12345.4), "12,345"),
        (f.counted(1, "score"), "1 score"),
        (f.counted(1200, "epoch"), "1,200 epochs"),
        (f.counted(None, "score"), "- scores"),
        (f.money(0.0123), "$0.0123"),
        (f.money(12.3), "$12.30"),
        (f.money(0.0), "$0.00"),
        (f.money(None), "-"),
        (f.compact(494_039_936), "494M"),
        (f.compact(7_615_616_512), "7.6B"),
        (f.compact(950), "950"),
        (f.duration(0.0034), "3.4 ms"),
        (f.duration(0.25), "250 ms"),
        (f.duration(3.44), "3.4 s"),
        (f.duration(320), "5 min 20 s"),
        (f.megabytes(86_300_000), "86 MB"),
    ],
)
def test_each_kind_of_number_has_one_form(shown: str, expected: str) -> None:
    assert shown == expected
