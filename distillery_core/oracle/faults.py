"""What the replay server can be told to do wrong, so that each guard can be watched firing.

Which requests are hit depends on the text and how often it was asked, never on the order of
arrival, so that a run with faults is repeatable at any concurrency.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

FaultKind = Literal[
    # instead of a reply
    "status", "hang", "cut", "malformed",
    # in place of the recorded answer
    "prose", "fenced", "chatty", "trailing_comma", "nan", "string", "seventy", "missing",
    "misspelt", "empty", "length", "refusal", "echo_key", "no_usage",
    # beside the recorded answer
    "other_model", "other_fingerprint", "half_cached",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault and which requests it hits (all conditions together).

    Args:
        status: HTTP status for kind "status".
        share: of all requests, 0-1, drawn by `Faults.seed`, the text and its request count.
        first: only the first so many requests about a text.
        texts: only these text keys.
        positions: only these requests, counted from 0 over the whole server.
        answer_format: only requests that ask for this format (a server that knows no json_schema).
        message: the error's message.
    """

    kind: FaultKind
    status: int = 500
    share: float = 1.0
    first: int | None = None
    texts: frozenset[str] | None = None
    positions: frozenset[int] | None = None
    answer_format: str | None = None
    retry_after_s: float | None = None
    message: str = "injected fault"


@dataclass(frozen=True, slots=True)
class Request:
    """What a fault may look at."""

    text_key: str
    count: int
    position: int
    answer_format: str


@dataclass(frozen=True, slots=True)
class Faults:
    """The first rule that hits decides."""

    rules: Sequence[Fault] = ()
    seed: int = 0

    def hit(self, request: Request) -> Fault | None:
        """The fault for a request, if any."""
        for index, rule in enumerate(self.rules):
            if _applies(rule, request) and self._drawn(index, request) < rule.share:
                return rule
        return None

    def _drawn(self, index: int, request: Request) -> float:
        """A number in [0, 1) that only depends on seed, rule, text and count."""
        text = f"{self.seed}:{index}:{request.text_key}:{request.count}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def _applies(rule: Fault, request: Request) -> bool:
    return (
        (rule.first is None or request.count < rule.first)
        and (rule.texts is None or request.text_key in rule.texts)
        and (rule.positions is None or request.position in rule.positions)
        and rule.answer_format in (None, request.answer_format)
    )


def spoiled(kind: str, answer: dict[str, Any]) -> str:
    """The text of an answer with a fault in it; an unknown kind leaves it whole."""
    return _SPOILED.get(kind, _plain)(dict(answer))


def _plain(answer: dict[str, Any]) -> str:
    return json.dumps(answer, ensure_ascii=False)


def _with_first_score(value: Any) -> Callable[[dict[str, Any]], str]:
    def spoil(answer: dict[str, Any]) -> str:
        return _plain(answer | {_first_score(answer): value})

    return spoil


def _misspelt(answer: dict[str, Any]) -> str:
    name = _first_score(answer)
    return _plain({f"{key}s" if key == name else key: value for key, value in answer.items()})


def _missing(answer: dict[str, Any]) -> str:
    answer.pop(_first_score(answer))
    return _plain(answer)


def _first_score(answer: dict[str, Any]) -> str:
    return next(key for key, value in answer.items() if isinstance(value, int | float))


_SPOILED: dict[str, Callable[[dict[str, Any]], str]] = {
    "prose": lambda _: "This article is about a serious matter and I would rate it rather high.",
    "fenced": lambda answer: f"```json\n{_plain(answer)}\n```",
    "chatty": lambda answer: f"Sure! Here it is: {_plain(answer)} Hope {{this}} helps.",
    "trailing_comma": lambda answer: _plain(answer)[:-1] + ",}",
    "nan": _with_first_score(math.nan),
    "string": _with_first_score("7"),
    "seventy": _with_first_score(70),
    "missing": _missing,
    "misspelt": _misspelt,
    "empty": lambda _: "",
    "length": lambda answer: _plain(answer)[: len(_plain(answer)) // 2],
}
