"""What a model that read the evidence says, checked strictly; it may lower a verdict, never raise.

The model's words are untrusted text: they reach a report only through its escaping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distillery_core.agents.definition import PROMPT, Agent
from distillery_core.agents.reader import Inquiry, Question, Reader, Unanswered
from distillery_core.errors import UserError
from distillery_core.reports.templates import sandbox
from distillery_core.types import Level
from distillery_core.verdicts.decision import UNREAD, Lowered

_LEVELS = {
    "REVIEW": Level.REVIEW,
    "FAIL": Level.FAIL,
    # No reading can raise: these words are kept, so that the report says what was tried.
    "PASS": Level.OK,
    "DEPLOY": Level.OK,
    "OK": Level.OK,
}
_LINES = 12
_CHARS = 1500


class PromptEdit(BaseModel):
    """One concrete change of the filter's prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    find: str = Field(max_length=4000)
    replace: str = Field(max_length=4000)
    why: str = Field(default="", max_length=_CHARS)


class Diagnosis(BaseModel):
    """Why the oracle was wrong about one article."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    diagnosis: str = Field(max_length=_CHARS)


class ReadingAnswer(BaseModel):
    """The JSON a reader has to answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: str = Field(min_length=1, max_length=_CHARS)
    root_causes: tuple[str, ...] = Field(default=(), max_length=_LINES)
    recommendations: tuple[str, ...] = Field(default=(), max_length=_LINES)
    prompt_edits: tuple[PromptEdit, ...] = Field(default=(), max_length=_LINES)
    diagnoses: tuple[Diagnosis, ...] = Field(default=(), max_length=50)
    lower_to: str | None = None
    lower_reason: str = Field(default="", max_length=_CHARS)


@dataclass(frozen=True)
class Reading:
    """A checked reading, and who read."""

    by: str
    answer: ReadingAnswer

    @property
    def lowered(self) -> Lowered | None:
        """What it asks the verdict to be lowered to, None if nothing."""
        if self.answer.lower_to is None:
            return None
        return Lowered(_LEVELS[self.answer.lower_to], self.answer.lower_reason, self.by)

    @property
    def diagnoses(self) -> Mapping[str, str]:
        """Article id -> diagnosis."""
        return {one.id: one.diagnosis for one in self.answer.diagnoses}

    def to_dict(self) -> dict[str, Any]:
        """For the front matter."""
        return {"by": self.by, **self.answer.model_dump(mode="json")}


@dataclass(frozen=True, slots=True)
class Read:
    """The outcome of asking for a reading.

    `reading` is None where nobody read; `said` then tells why in a few words.
    """

    reading: Reading | None
    said: str


NOT_READ = Read(None, UNREAD)


def reading_schema(with_edits: bool) -> dict[str, Any]:
    """The JSON schema sent to the reader (only REVIEW and FAIL can be asked for)."""
    text = {"type": "string"}
    texts = {"type": "array", "items": text}
    properties: dict[str, Any] = {"summary": text, "root_causes": texts, "recommendations": texts}
    if with_edits:
        properties["prompt_edits"] = _list_of(find=text, replace=text, why=text)
        properties["diagnoses"] = _list_of(id=text, diagnosis=text)
    properties["lower_to"] = {"type": ["string", "null"], "enum": [None, "REVIEW", "FAIL"]}
    properties["lower_reason"] = text
    return _object(properties)


def _list_of(**properties: Any) -> dict[str, Any]:
    return {"type": "array", "items": _object(properties)}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def check_reading(value: Any) -> ReadingAnswer:
    """Check a parsed answer.

    Raises:
        ValueError: it does not have the form, or lowers a verdict without a reason.
    """
    try:
        answer = ReadingAnswer.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}") from None
    if answer.lower_to is not None and answer.lower_to not in _LEVELS:
        raise ValueError(f"lower_to is {answer.lower_to!r:.40}, not null, REVIEW or FAIL")
    if answer.lower_to is not None and not answer.lower_reason.strip():
        raise ValueError("lower_to without lower_reason")
    return answer


def read_evidence(
    agent: Agent, reader: Reader | None, subject: str, context: Mapping[str, Any], *, edits: bool
) -> Read:
    """Ask for a reading of the evidence; without a reader nothing is asked and nothing invented.

    Args:
        context: what the agent's prompt template shows (already fenced where it is article text).
    """
    if reader is None:
        return NOT_READ
    settings = agent.declared.reading
    question = Question(
        subject=subject,
        system=prompt_block(agent.folder / PROMPT, "system", context),
        user=prompt_block(agent.folder / PROMPT, "user", context),
    )
    inquiry = Inquiry(
        questions=[question],
        schema=reading_schema(edits),
        schema_name="reading",
        max_output_tokens=settings.max_output_tokens,
        temperature=settings.temperature,
        check=check_reading,
    )
    [answer] = reader.ask(inquiry)
    if isinstance(answer, Unanswered):
        return Read(None, f"{reader.name} was asked to read, without a usable answer")
    return Read(Reading(reader.name, check_reading(answer)), f"read by {reader.name}")


PromptBlock = Literal["system", "user", "scope_system", "scope_user"]


def prompt_block(path: Path, block: PromptBlock, context: Mapping[str, Any]) -> str:
    """One block of an agent's prompt template, as plain text for a model.

    Raises:
        UserError: the template is missing, broken, has no such block, or an unknown variable.
    """
    import jinja2

    try:
        template = sandbox(autoescape=False).from_string(path.read_text(encoding="utf-8-sig"))
        parts = template.blocks[block](template.new_context(dict(context)))
        return "".join(parts).strip()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=path) from None
    except KeyError:
        raise UserError(f"the template has no block {block!r}", where=path) from None
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"template: {error.message}", where=f"{path}:{error.lineno}") from None
    except jinja2.TemplateError as error:
        raise UserError(f"template: {error}", where=path) from None


@dataclass(frozen=True, slots=True)
class Lowering:
    """Everything that wants the verdict lowered, as the one lowering a verdict knows."""

    cautions: tuple[str, ...] = ()
    reading: Reading | None = None
    by: str = field(default="distillery")

    @property
    def lowered(self) -> Lowered | None:
        """The lowest of them, all reasons of that level together."""
        asked = [Lowered(Level.REVIEW, reason, self.by) for reason in self.cautions]
        if self.reading is not None and self.reading.lowered is not None:
            asked.append(self.reading.lowered)
        if not asked:
            return None
        level = max(one.to for one in asked)
        chosen = [one for one in asked if one.to is level]
        names = " and ".join(dict.fromkeys(one.by for one in chosen))
        return Lowered(level, "; ".join(one.reason for one in chosen), names)
