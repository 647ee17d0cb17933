"""Reads the JSON body of a chat completion: what was answered, why it ended, what was counted.

Plain look-ups rather than models: a reply is read a hundred thousand times in a run, and whatever
is not as it should be ends as a failure of this one call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distillery_core.oracle.client import OracleFailure, OracleReply, Usage


def read_reply(
    body: Any, *, model: str, latency_s: float | None, without_key: Callable[[str], str]
) -> OracleReply:
    """The reply in a body.

    Args:
        model: taken where the body names none.
        without_key: what every text from outside goes through.

    Raises:
        OracleFailure: the model refused, or the body holds no answer of this protocol.
    """
    try:
        return _reply(body, model, latency_s, without_key)
    except (AttributeError, LookupError, TypeError, ValueError) as error:  # nothing is checked
        what = f"the reply is not of this protocol ({type(error).__name__})"
        raise OracleFailure("transient", what, maybe_charged=True) from None


def _reply(
    body: Any, model: str, latency_s: float | None, without_key: Callable[[str], str]
) -> OracleReply:
    choices = body.get("choices")
    message = choices[0].get("message") if choices else None
    if message is None:
        raise OracleFailure("transient", "the reply holds no answer", maybe_charged=True)
    content, refusal = message.get("content"), message.get("refusal")
    if not content and refusal:
        text = one_line(without_key(str(refusal)))
        raise OracleFailure("refused", f"the model refused: {text}", maybe_charged=True)
    return OracleReply(
        text=without_key(content or ""),
        finish_reason=one_line(without_key(str(choices[0].get("finish_reason") or ""))),
        usage=read_usage(body.get("usage")),
        model=one_line(without_key(str(body.get("model") or model))),
        fingerprint=one_line(without_key(str(body.get("system_fingerprint") or ""))),
        latency_s=latency_s,
    )


def read_usage(usage: Mapping[str, Any] | None) -> Usage | None:
    """Tokens; some servers count reasoning only in the total, some name cached tokens otherwise."""
    if usage is None:
        return None
    given = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if given[0] is None or given[1] is None:
        return None
    prompt, completion = int(given[0]), int(given[1])
    if prompt < 0 or completion < 0:  # would pay money back into the budget
        return None
    output = max(completion, int(usage.get("total_tokens") or 0) - prompt)
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
    cached = cached or int(usage.get("prompt_cache_hit_tokens") or 0)
    return Usage(prompt, output, max(min(cached, prompt), 0), max(reasoning, output - completion))


def one_line(text: str, length: int = 500) -> str:
    """On one line, not too long."""
    return " ".join(text.split())[:length]


def _detail(usage: Mapping[str, Any], group: str, name: str) -> int:
    return int((usage.get(group) or {}).get(name) or 0)
