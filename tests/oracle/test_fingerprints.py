"""Another model behind a name is noticed, also over runs; a flip between back ends is not."""

from __future__ import annotations

from distillery_core.oracle.client import OracleReply
from distillery_core.oracle.fingerprints import LASTING, FingerprintWatch
from distillery_core.oracle.flow import Stop
from distillery_core.oracle.ledger import Ledger
from distillery_core.oracle.spec import FingerprintRule


def watch(
    ledger: Ledger, rule: FingerprintRule = "lasting", prompt: str = "p", accept: bool = False
) -> FingerprintWatch:
    return FingerprintWatch(ledger, prompt, "m", "q", rule, accept=accept)


def saw(watched: FingerprintWatch, model: str, fingerprint: str = "") -> Stop | None:
    return watched.saw(OracleReply("{}", "stop", None, model, fingerprint, 0.1))


def test_another_model_name_stops_at_once_in_this_run_and_in_later_ones(ledger: Ledger) -> None:
    first = watch(ledger)
    assert saw(first, "m-2025") is None
    assert saw(first, "m-2025") is None
    for one in (first, watch(ledger), watch(ledger, "ignore")):
        stop = saw(one, "m-2026")
        assert stop is not None
        assert stop.kind == "fingerprint"
        assert "'m-2026' now" in stop.message
        assert "'m-2025'" in stop.message
        assert "--accept-fingerprint" in stop.hint
    assert saw(watch(ledger, prompt="another"), "m-2026") is None


def test_an_accepted_model_is_known_from_then_on_and_a_third_one_is_not(ledger: Ledger) -> None:
    saw(watch(ledger), "m-2025")
    accepting = watch(ledger, accept=True)
    assert saw(accepting, "m-2026") is None
    assert saw(accepting, "m-2027") is not None
    later = watch(ledger)
    assert saw(later, "m-2025") is None
    assert saw(later, "m-2026") is None


def test_servers_without_fingerprints_are_never_stopped(ledger: Ledger) -> None:
    one = watch(ledger, "any")
    assert all(saw(one, "m") is None for _ in range(100))


def test_fingerprints_of_several_back_ends_are_learnt(ledger: Ledger) -> None:
    one = watch(ledger)
    for number in range(300):
        assert saw(one, "m", f"fp_{'abc'[number % 3]}") is None
    assert all(saw(watch(ledger), "m", "fp_c") is None for _ in range(2 * LASTING))


def test_a_lasting_change_of_fingerprint_stops(ledger: Ledger) -> None:
    saw(watch(ledger), "m", "old")
    one = watch(ledger)
    stops = [saw(one, "m", "new") for _ in range(LASTING)]
    assert stops[:-1] == [None] * (LASTING - 1)
    assert stops[-1] is not None
    assert "fingerprint is 'new' now" in stops[-1].message


def test_any_change_stops_where_that_is_wished_and_none_where_not(ledger: Ledger) -> None:
    saw(watch(ledger), "m", "old")
    assert saw(watch(ledger, "any"), "m", "new") is not None
    ignoring = watch(ledger, "ignore")
    assert all(saw(ignoring, "m", f"fp{n}") is None for n in range(50))
