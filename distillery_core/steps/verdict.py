"""What travels between the steps: references to inputs, verdicts, and the permit of a gate."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from distillery_core.errors import UserError
from distillery_core.files import sha256_file
from distillery_core.types import Level
from distillery_core.verdicts import Decision


class Plain(BaseModel):
    """Frozen; ZenML stores it as JSON and hashes its content for the cache."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRef(Plain):
    """A file that a run reads, with the content it had when the run was started."""

    path: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileRef:
        """Hash a file.

        Raises:
            UserError: there is no such file, or it is a folder.
        """
        if path.is_dir():
            raise UserError("is a folder, a file is needed", where=path)
        try:
            return cls(path=str(path.resolve()), sha256=sha256_file(path))
        except FileNotFoundError:
            raise UserError("no such file", where=path) from None
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}", where=path) from None

    def checked(self) -> Path:
        """The path, if the file still holds what it did when the run was started.

        Raises:
            UserError: it changed, so the run's record of what it was made from would be wrong.
        """
        if FileRef.of(Path(self.path)).sha256 != self.sha256:
            raise UserError("changed while the run was going on", where=self.path, hint="run again")
        return Path(self.path)


class Verdict(Plain):
    """The outcome of a round, small enough to read in the dashboard."""

    round: str
    level: Level
    word: str
    deciding: str
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, round: str, decision: Decision) -> Verdict:
        """From the decision of an agent."""
        reasons = tuple(f"{line.title}: {line.reason}" for line in decision.because)
        deciding = f"{decision.deciding.title}: {decision.deciding.reason}"
        return cls(
            round=round,
            level=decision.level,
            word=decision.word,
            deciding=deciding,
            reasons=reasons,
        )


class Permit(Plain):
    """What an open gate hands to the step behind it.

    It says nothing about when or by whom the gate was opened: a cached step behind an approved
    REVIEW stays cached.
    """

    gate: str
    filter: str
