"""The edits of a prompt that a reader proposes, tried out, and written as a diff for `git apply`.

A proposed edit is old text and new text. Whether the old text stands in the prompt, and whether the
edited prompt still loads and still sends the article, is seen here; the diff is built from the
edits that can be used, never taken from the model.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distillery_core.agents.reading import PromptEdit
from distillery_core.errors import UserError
from distillery_core.fence import neutralise
from distillery_core.files import write_text
from distillery_core.filters.filter import PROMPT, Filter
from distillery_core.filters.prompt_template import check_template

DIFF_FILE = "prompt_edits.diff"
_NO_NEWLINE = "\\ No newline at end of file\n"


@dataclass(frozen=True, slots=True)
class TriedEdit:
    """A proposed edit; `problem` says why it cannot be used, and is empty if it can."""

    why: str
    find: str
    replace: str
    problem: str = ""


@dataclass(frozen=True)
class Proposal:
    """All proposed edits, and the diff of those that can be used together (empty: none can)."""

    edits: tuple[TriedEdit, ...] = ()
    diff: str = ""

    @property
    def unusable(self) -> list[TriedEdit]:
        """Those that cannot be used."""
        return [edit for edit in self.edits if edit.problem]

    @property
    def usable(self) -> list[TriedEdit]:
        """Those that the diff holds."""
        return [edit for edit in self.edits if not edit.problem]


@dataclass
class _Draft:
    """The prompt while edits are tried on it one after the other; `text` has LF line ends."""

    filter: Filter
    text: str
    tried: list[TriedEdit] = field(default_factory=list)

    def take(self, edit: PromptEdit) -> None:
        """Keep the edit if it can be used."""
        after, problem = self._edited(edit)
        self.text = after
        self.tried.append(TriedEdit(edit.why, edit.find, edit.replace, problem))

    def _edited(self, edit: PromptEdit) -> tuple[str, str]:
        at, problem = _place(self.text, _lf(edit.find))
        if problem:
            return self.text, problem
        end = at + len(_lf(edit.find))
        after = self.text[:at] + _lf(edit.replace) + self.text[end:]
        if after == self.text:
            return self.text, "it changes nothing"
        problem = self._broken(after)
        return (self.text, problem) if problem else (after, "")

    def _broken(self, text: str) -> str:
        try:
            check_template(text, self.filter.config, Path(PROMPT))
        except UserError as error:
            return f"the edited prompt cannot be used: {error.what}"
        return ""


def propose(filter: Filter, edits: Sequence[PromptEdit]) -> Proposal:
    """Try the edits on the filter's prompt, in order, and write what can be used as one diff.

    The diff's paths are relative to the project, where the filter lies in
    `filters/<name>/v<N>/`.
    """
    if not edits:
        return Proposal()
    raw = (filter.folder / PROMPT).read_bytes().decode("utf-8")
    mark, before = ("\ufeff", raw[1:]) if raw.startswith("\ufeff") else ("", raw)
    windows = "\r\n" in before
    draft = _Draft(filter, _lf(before))
    for edit in edits:
        draft.take(edit)
    after = draft.text.replace("\n", "\r\n") if windows else draft.text
    path = f"filters/{filter.name}/v{filter.version}/{PROMPT}"
    changed = any(not edit.problem for edit in draft.tried)
    diff = unified_diff(mark + before, mark + after, path) if changed else ""
    return Proposal(tuple(draft.tried), diff)


def write_proposal(folder: Path, proposal: Proposal) -> None:
    """Write the diff beside the report; without one, an earlier prompt's diff is taken away."""
    path = folder / DIFF_FILE
    if proposal.diff:
        write_text(path, proposal.diff)
    else:
        path.unlink(missing_ok=True)


def unified_diff(before: str, after: str, path: str) -> str:
    """A diff that `git apply` takes, with a last line that may lack its newline."""
    lines = difflib.unified_diff(_lines(before), _lines(after), f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}" for line in lines)


def _place(text: str, wanted: str) -> tuple[int, str]:
    """Where the old text stands, or why that cannot be said.

    A reader is shown the prompt with its markers defused, which exchanges single characters, so a
    place found there is the same place in the prompt itself.
    """
    if not wanted.strip():
        return -1, "it names no text to replace"
    shown = neutralise(text)
    for seen in (text, shown) if len(shown) == len(text) else (text,):
        count = seen.count(wanted)
        if count == 1:
            return seen.index(wanted), ""
        if count:
            return -1, f"the text to replace stands in the prompt {count} times"
    return -1, "the text to replace does not stand in the prompt"


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n")


def _lines(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one, as for git."""
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
