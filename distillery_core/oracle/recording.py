"""Recorded answers: a folder with `recording.yaml` and `answers.jsonl`, replayed by a server.

recording.yaml   filter, version, prompt_sha256 (the prompt the answers belong to), model,
                 recorded_at, note, corpus (where the articles come from, if not from a file)
answers.jsonl    one a line: id, title, text_key (`fence.normalised_key` of the content as it stands
                 in the fence), answer {dimension: score ..., reasoning}, optionally usage
                 {input_tokens, output_tokens} as the provider counted them
repeat_answers.jsonl   optional: a second pass over some of them, for repeatability
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distillery_core.errors import UserError
from distillery_core.files import atomic_write, sha256_tree, write_text
from distillery_core.yaml_source import load_model

HEAD = "recording.yaml"
ANSWERS = "answers.jsonl"
REPEATS = "repeat_answers.jsonl"


class RecordingHead(BaseModel):
    """What a recording says about itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    filter: str
    version: int
    prompt_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    model: str
    recorded_at: str
    note: str = ""
    corpus: str | None = None


class RecordedUsage(BaseModel):
    """Tokens as counted when the answer was given."""

    model_config = ConfigDict(frozen=True)

    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)


class RecordedAnswer(BaseModel):
    """One recorded answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str = ""
    text_key: str = Field(pattern="^[0-9a-f]{64}$")
    answer: dict[str, Any]
    usage: RecordedUsage | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """A loaded recording; of identical texts the first id answers."""

    head: RecordingHead
    answers: Mapping[str, RecordedAnswer]
    digest: str


def load_recordings(folder: Path) -> list[Recording]:
    """The recording in a folder, or those in its sub-folders.

    Raises:
        UserError: there is none, or a line is not a recorded answer.
    """
    heads = sorted([*folder.glob(HEAD), *folder.glob(f"*/{HEAD}")])
    if not heads:
        raise UserError(f"holds no {HEAD}", where=folder)
    return [_load(head.parent) for head in heads]


def load_repeats(folder: Path) -> dict[str, dict[str, Any]]:
    """Second, independent answers by article id; empty where the recording has none."""
    path = folder / REPEATS
    return {answer.id: answer.answer for answer in _answers(path)} if path.is_file() else {}


def write_recording(folder: Path, head: RecordingHead, answers: Iterable[RecordedAnswer]) -> None:
    """Write a recording folder."""
    import yaml

    write_text(folder / HEAD, yaml.safe_dump(head.model_dump(), sort_keys=False))
    with atomic_write(folder / ANSWERS) as handle:
        for answer in answers:
            handle.write(answer.model_dump_json(exclude_none=True) + "\n")


def _load(folder: Path) -> Recording:
    answers: dict[str, RecordedAnswer] = {}
    for answer in _answers(folder / ANSWERS):
        answers.setdefault(answer.text_key, answer)
    digest = sha256_tree(folder, [HEAD, ANSWERS])
    return Recording(load_model(folder / HEAD, RecordingHead), answers, digest)


def _answers(path: Path) -> Iterable[RecordedAnswer]:
    try:
        # Not splitlines: a text may hold further line breaks, such as U+2028.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=path) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield RecordedAnswer.model_validate(json.loads(line))
        except (ValidationError, json.JSONDecodeError) as error:
            what = f"not a recorded answer: {error}"
            raise UserError(what, where=f"{path}:{number}") from None
