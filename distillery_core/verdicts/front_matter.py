"""Reports: markdown whose YAML front matter holds every number, sealed against edits by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from distillery_core.errors import UserError
from distillery_core.files import sha256_json, sha256_text, write_text
from distillery_core.verdicts.criteria import Kind
from distillery_core.verdicts.decision import Lowered
from distillery_core.verdicts.measurement import Measurement
from distillery_core.verdicts.sealed_yaml import dump_yaml, parse_untrusted

FENCE = "---\n"
AGAIN = "a report is written by its agent, not by hand: run the agent again"


def _measurement(value: Any) -> Measurement:
    if isinstance(value, Measurement):
        value = value.to_dict()
    if not isinstance(value, Mapping):
        raise ValueError("a measurement is a mapping")
    return Measurement.from_dict(value)


def _lowered(value: Any) -> Lowered | None:
    if value is None or isinstance(value, Lowered):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("lowered is a mapping")
    return Lowered.from_dict(value)


def plain(value: Any) -> Any:
    """A value as JSON knows it: NumPy scalars and tuples become numbers and lists.

    Raises:
        ValueError: NaN, infinities, keys that are no text, anything JSON does not know.
    """
    if hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _finite(float(value))
    if isinstance(value, Mapping):
        return {_key(key): plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [plain(child) for child in value]
    raise ValueError(f"{type(value).__name__} cannot stand in a report's front matter")


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(f"numbers of a report must be finite, not {number}")
    return number


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError(f"keys of a report are text, not {key!r}")
    return _encodable(key)


def _encodable(text: str) -> str:
    """Lone surrogates, which UTF-8 cannot write, as "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


_Measured = Annotated[
    Measurement, BeforeValidator(_measurement), PlainSerializer(Measurement.to_dict)
]
_Lowering = Annotated[
    Lowered | None,
    BeforeValidator(_lowered),
    PlainSerializer(lambda lowered: lowered.to_dict() if lowered else None),
]


class ReportFront(BaseModel):
    """Everything a gate needs to decide again.

    Attributes:
        agent, round: whose report it is.
        filter, version: the filter judged.
        verdict, deciding_line: as decided; the gate compares with its own decision.
        kind: general or needle.
        evidence: what it was made from: hashes and names by key.
        counts: e.g. articles asked, drawn and scored per class.
        measurements: what the lines were judged by.
        lowered: what the agent that read the evidence asked for.
        numbers: all else that is printed.
        body_sha256, front_sha256: the seal; set by `write_report`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    agent: str
    round: str
    filter: str
    version: int | str
    verdict: str
    deciding_line: str
    kind: Kind = "general"
    evidence: dict[str, str]
    counts: dict[str, int] = {}
    measurements: dict[str, _Measured]
    lowered: _Lowering = None
    numbers: Annotated[dict[str, Any], BeforeValidator(plain)] = {}
    body_sha256: str = ""
    front_sha256: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As it is written, plain values only."""
        return dict(plain(self.model_dump(mode="python", by_alias=True)))

    def sealed(self, body: str) -> ReportFront:
        """With the hashes of this body and of all the other fields."""
        with_body = self.model_copy(update={"body_sha256": sha256_text(body)})
        return with_body.model_copy(update={"front_sha256": with_body.own_sha256()})

    def own_sha256(self) -> str:
        """Hash of all fields but `front_sha256`."""
        fields = self.to_dict()
        fields.pop("front_sha256")
        return sha256_json(fields)


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was read and whose seal is whole.

    Attributes:
        sha256: hash of the file with LF line ends, which an approval names.
    """

    front: ReportFront
    body: str
    sha256: str


def render_report(front: ReportFront, body: str) -> str:
    """The file's text: sealed front matter, then the body."""
    body = _normal(body)
    values = front.sealed(body).to_dict()
    return f"{FENCE}{dump_yaml(values)}{FENCE}{body}"


def write_report(path: Path, front: ReportFront, body: str) -> Report:
    """Seal and write a report; the same evidence gives the same bytes."""
    text = render_report(front, body)
    write_text(path, text)
    return parse_report(text, path)


def read_report(path: Path) -> Report:
    """A report, if it is whole.

    Raises:
        UserError: it is missing, no report, or was changed after it was written.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError("there is no such report", where=path) from None
    except UnicodeDecodeError:
        raise UserError("not UTF-8", where=path, hint=AGAIN) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=path) from None
    return parse_report(text, path)


def parse_report(text: str, path: Path) -> Report:
    """As `read_report`, from text that came from `path`."""
    text = _lines(text)
    head, body = _split(text, path)
    front = parse_untrusted(head, ReportFront, path)
    if front.body_sha256 != sha256_text(body):
        raise UserError("the text was changed after it was written", where=path, hint=AGAIN)
    if front.front_sha256 != front.own_sha256():
        raise UserError("the front matter was changed after it was written", where=path, hint=AGAIN)
    return Report(front, body, sha256_text(text))


def _split(text: str, path: Path) -> tuple[str, str]:
    if text.startswith(FENCE):
        end = text.find(f"\n{FENCE}", len(FENCE) - 1)
        if end >= 0:
            return text[len(FENCE) : end + 1], text[end + 1 + len(FENCE) :]
    raise UserError("no report: the front matter between two --- is missing", where=path)


def _normal(body: str) -> str:
    body = _encodable(_lines(body))
    return body if body.endswith("\n") else body + "\n"


def _lines(text: str) -> str:
    """The text with LF line ends, as a checkout under Windows may not have them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
