"""`filters/<name>/promoted.yaml`: which version of a filter is in use, by whose word, since when.

The newest entry is in use; those below it are the history. An entry names the hashes of the model
and of the report that let it through, so that other bytes in the same folder are noticed.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from distillery_core.errors import CheckFailed, UserError
from distillery_core.files import write_text
from distillery_core.yaml_source import load_model

FILE_NAME = "promoted.yaml"
_HEAD = "# Written by `distillery promote`; the first entry is in use, the rest is its history.\n"


class Promotion(BaseModel):
    """One decision to use a version.

    Attributes:
        version: N of `filters/<name>/v<N>`.
        model_sha256, report_sha256, scoring_sha256: what was judged, by which report, and with
            which score rules.
        approved_by: who approved a REVIEW; empty for DEPLOY.
        why: "promoted", or "rolled back from v3".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    version: int
    model_sha256: str
    report_sha256: str
    scoring_sha256: str
    verdict: str
    approved_by: str = ""
    who: str = Field(min_length=1)
    when: str
    why: str = "promoted"


class _Promotions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    promoted: tuple[Promotion, ...] = ()


def read_promotions(folder: Path) -> tuple[Promotion, ...]:
    """All promotions of `filters/<name>`, the newest first; none where there is no file.

    Raises:
        UserErrors: the file is not what `promote` writes.
    """
    path = folder / FILE_NAME
    return load_model(path, _Promotions).promoted if path.exists() else ()


def promoted(folder: Path) -> Promotion | None:
    """The promotion in use, if there is one."""
    return next(iter(read_promotions(folder)), None)


def record(folder: Path, promotion: Promotion) -> Promotion:
    """Put a promotion on top. The same model again changes nothing."""
    earlier = read_promotions(folder)
    if earlier and _same_model(earlier[0], promotion):
        return earlier[0]
    _write(folder, (promotion, *earlier))
    return promotion


def rollback(folder: Path, *, who: str, when: str) -> Promotion:
    """Go back to the version that was in use before the present one.

    Raises:
        UserError: nothing is promoted.
        CheckFailed: there is nothing to go back to.
    """
    history = read_promotions(folder)
    if not history:
        raise UserError("nothing is promoted", where=folder / FILE_NAME)
    before = next((entry for entry in history if not _same_model(entry, history[0])), None)
    if before is None:
        raise CheckFailed("there is no earlier version to go back to")
    why = f"rolled back from v{history[0].version}"
    again = before.model_copy(update={"who": who, "when": when, "why": why})
    _write(folder, (again, *history))
    return again


def _same_model(one: Promotion, other: Promotion) -> bool:
    return (one.version, one.model_sha256) == (other.version, other.model_sha256)


def _write(folder: Path, entries: tuple[Promotion, ...]) -> None:
    document = {"promoted": [entry.model_dump(mode="json") for entry in entries]}
    write_text(folder / FILE_NAME, _HEAD + yaml.safe_dump(document, sort_keys=False))
