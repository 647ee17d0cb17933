"""oracles.yaml: which models may be asked, where they are, what they cost."""

from __future__ import annotations

import difflib
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from distillery_core.content import find_file
from distillery_core.errors import UserError
from distillery_core.yaml_source import load_model

ORACLES_FILE = "oracles.yaml"
_CREDENTIALS = re.compile(r"//[^/@\s]+@|[?&](api_?)?key=", re.IGNORECASE)


FingerprintRule = Literal["lasting", "any", "ignore"]
"""Which change of the provider's `system_fingerprint` stops a run (docs/decisions/0008)."""


class Price(BaseModel):
    """USD per million tokens. Without `cached`, cached input is charged as fresh input.

    `batch_discount` is what the provider's batches are cheaper by, 0-1 (0.5: half price).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)
    batch_discount: float | None = Field(default=None, ge=0, lt=1)
    as_of: date
    source: str = ""
    note: str = ""


class Limits(BaseModel):
    """What the account may use a minute; `tokens_per_minute` is input and output together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: int | None = Field(default=None, ge=1)
    input_tokens_per_minute: int | None = Field(default=None, ge=1)
    output_tokens_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)


class OracleSpec(BaseModel):
    """One entry of oracles.yaml.

    A key is only ever named, by the environment variable that holds it. `free` declares that calls
    cost nothing (a local server); `paid: false` that the price is only what a recording would have
    cost. `extra_body` is sent with every request as it is (e.g. `reasoning_effort`). `batch` says
    that the address has OpenAI's endpoints for files and batches.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    provider: str = "openai"
    base_url: str | None = None
    model: str = Field(min_length=1)
    api_key_env: str | None = None
    concurrency: int = Field(default=16, ge=1, le=1024)
    limits: Limits | None = None
    fingerprint: FingerprintRule = "lasting"
    timeout_s: float = Field(default=120, gt=0)
    price: Price | None = None
    price_of: str | None = None
    free: bool = False
    paid: bool = True
    batch: bool = False
    recording: str | None = None
    send_temperature: bool = True
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra_body: dict[str, Any] = {}
    note: str = ""

    @field_validator("api_key_env")
    @classmethod
    def _names_a_variable(cls, name: str | None) -> str | None:
        # The value is not repeated: what stands here by mistake is usually the key itself.
        if name is not None and not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            raise ValueError("names an environment variable (A-Z, 0-9, _), never the key itself")
        return name

    @field_validator("base_url")
    @classmethod
    def _address(cls, address: str | None) -> str | None:
        if address is None:
            return None
        if _CREDENTIALS.search(address):
            raise ValueError("holds a key or password; name the key's variable in api_key_env")
        if not re.match(r"https?://", address):
            raise ValueError("starts with http:// or https://")
        return address

    @model_validator(mode="after")
    def _one_price(self) -> OracleSpec:
        if self.free and (self.price or self.price_of):
            raise ValueError("is declared free and has a price; drop one of them")
        return self


OracleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Names stand in lists (`--oracles a,b`) and before the model (`a/model`) in reports."""


class OraclesFile(BaseModel):
    """The whole of oracles.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    oracles: dict[OracleName, OracleSpec] = Field(min_length=1)


def load_oracles(project: Path) -> dict[str, OracleSpec]:
    """The oracles of a project, by name.

    Raises:
        UserErrors: every mistake with file and line.
    """
    file = load_model(find_file(ORACLES_FILE, project), OraclesFile)
    return {name: spec.model_copy(update={"name": name}) for name, spec in file.oracles.items()}


def resolve_oracle(name: str, project: Path) -> OracleSpec:
    """The oracle of that name.

    Raises:
        UserError: there is none, with near matches.
    """
    oracles = load_oracles(project)
    if name in oracles:
        return oracles[name]
    close = difflib.get_close_matches(name, oracles, n=3)
    hint = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(sorted(oracles))}"
    raise UserError(f"no oracle {name!r}", where=find_file(ORACLES_FILE, project), hint=hint)
