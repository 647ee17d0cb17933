"""The model hub (huggingface_hub): look at a repository, upload into it, download from it again.

The token comes from HF_TOKEN or from where `hf auth login` keeps it, and is never printed. The hub
is the one that HF_ENDPOINT names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery_core.errors import CheckFailed, DistilleryError, UserError
from distillery_core.reports.markdown import cut, one_line

_SAID_CHARS = 300
_WITHOUT_XET = "with HF_HUB_DISABLE_XET=1 in the environment files go up and down without Xet"
_LOGIN = "hf auth login, or set HF_TOKEN to a token that may write"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on the hub as it is.

    Attributes:
        revision: the commit that its main branch points to.
        files: paths in it.
    """

    private: bool
    revision: str
    files: tuple[str, ...]


class Hub:
    """A hub, as the user of the token at hand.

    Raises:
        UserError: there is no token.
    """

    def __init__(self) -> None:
        from huggingface_hub import HfApi, constants, get_token

        self.endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
        self._token = get_token()
        if not self._token:
            raise UserError("there is no token for the hub", where=self.endpoint, hint=_LOGIN)
        self._api = HfApi(endpoint=self.endpoint, token=self._token, library_name="distillery")

    def check_token(self) -> None:
        """See that the hub knows the token.

        Raises:
            UserError: it does not, or cannot be reached.
        """
        with self._told(""):
            self._api.whoami()

    def address(self, name: str) -> str:
        """Where a repository is looked at."""
        return f"{self.endpoint}/{name}".rstrip("/")

    def look(self, name: str) -> Repository | None:
        """A repository; None where there is none."""
        from huggingface_hub.errors import RepositoryNotFoundError

        with self._told(name):
            try:
                found = self._api.model_info(name)
            except RepositoryNotFoundError as error:
                if error.response.status_code == 401:
                    raise
                return None
        files = tuple(one.rfilename for one in found.siblings or ())
        return Repository(bool(found.private), found.sha or "", files)

    def create(self, name: str) -> None:
        """Make a repository that nobody but its owner sees.

        Raises:
            UserError: the name is taken, or may not be used by this user.
        """
        with self._told(name):
            self._api.create_repo(name, private=True, exist_ok=False)

    def make_public(self, name: str) -> None:
        """Let everybody see a repository."""
        with self._told(name):
            self._api.update_repo_settings(name, private=False)

    def upload(
        self,
        name: str,
        files: Mapping[str, Path | bytes],
        message: str,
        *,
        remove: tuple[str, ...] = (),
        parent: str | None = None,
    ) -> str:
        """Upload files as one commit.

        Args:
            files: path in the repository -> file or content.
            remove: paths that the commit takes away.
            parent: the commit that the repository must still be at.

        Returns:
            The commit's id.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        added = [
            CommitOperationAdd(path, str(one) if isinstance(one, Path) else one)
            for path, one in files.items()
        ]
        gone = [CommitOperationDelete(path) for path in remove]
        with self._told(name), _quiet():
            done = self._api.create_commit(
                name, [*added, *gone], commit_message=message, parent_commit=parent or None
            )
        return str(done.oid)

    def download(self, name: str, path: str, revision: str, folder: Path) -> Path:
        """Download a file of a commit into a folder.

        Raises:
            CheckFailed: it is not there, or not as long as the hub says.
        """
        with self._told(name), _quiet():
            try:
                return Path(
                    self._api.hf_hub_download(
                        name, path, revision=revision, local_dir=folder, force_download=True
                    )
                )
            except OSError as error:
                if getattr(error, "response", None) is not None:
                    raise
                what = f"{path} cannot be downloaded again"
                raise CheckFailed(what, [self._plain(error)]) from error

    def read_json(self, name: str, path: str, revision: str, folder: Path) -> Any:
        """A small JSON file of a repository; None where it is no JSON."""
        try:
            found = self.download(name, path, revision, folder)
            return json.loads(found.read_text(encoding="utf-8"))
        except ValueError:
            return None

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """What goes wrong at the hub, as something that the user can mend."""
        from huggingface_hub import errors

        unreachable: type[Exception] = vars(errors)["HTTPError"]  # of the HTTP package it uses

        try:
            yield
        except DistilleryError:
            raise
        except errors.OfflineModeIsEnabled:
            raise UserError("HF_HUB_OFFLINE is set", hint="unset it to publish") from None
        except errors.HFValidationError as error:
            raise UserError(self._plain(error), where="--repo-name", hint="owner/name") from None
        except errors.HfHubHTTPError as error:
            raise self._refused(name, error) from error
        except (unreachable, OSError, RuntimeError, ValueError) as error:
            cause = error.__cause__
            if isinstance(cause, errors.HfHubHTTPError):
                raise self._refused(name, cause) from error
            told = f"the upload or download did not work: {self._plain(error)}"
            # Named in the address that Xet asks, or in that of its storage.
            hint = _WITHOUT_XET if "xet" in told.lower() else None
            raise UserError(told, where=self.address(name), hint=hint) from error

    def _refused(self, name: str, error: Any) -> UserError:
        """The hub's answer in words: 401, 403 and 409 are what users meet."""
        status = error.response.status_code
        said = self._plain(error.server_message or "")
        answer = f" ({said})" if said else ""
        told = {
            401: (f"the hub does not accept the token{answer}", _LOGIN),
            403: (f"this token may not write here{answer}", "name your own, or use another token"),
            404: (f"there is no such repository, or not for this token{answer}", _LOGIN),
            409: (f"the name is taken{answer}", "choose another --repo-name"),
            412: (f"somebody else changed the repository meanwhile{answer}", "publish again"),
        }
        what, hint = told.get(status, (f"the hub answered {status}{answer}", None))
        return UserError(what, where=self.address(name), hint=hint)

    def _plain(self, error: object) -> str:
        """One line of an answer, without the token should it be in there."""
        return cut(one_line(str(error).replace(self._token or "\0", "***")), _SAID_CHARS)


@contextmanager
def _quiet() -> Iterator[None]:
    """The hub's own progress bars are off while ours are on."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
