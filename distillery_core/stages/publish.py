"""Publish a judged model on the model hub, and believe it only when it is read back from there."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from distillery_core.errors import CheckFailed, UserError
from distillery_core.files import sha256_bytes, sha256_file
from distillery_core.filters import Filter
from distillery_core.publish.hub import Hub, Repository
from distillery_core.reports.hub_card import Card, Licence, Reading, is_hub_id, render_card
from distillery_core.reports.training_record import Training, base_name, read_training
from distillery_core.stages.gates import evaluation_gate
from distillery_core.stages.project import Project
from distillery_core.stages.promote import promoted, promoted_model, refuse_other_rules
from distillery_core.stages.report_training import HISTORY, METADATA, record_of_model
from distillery_core.student.measures.score_calibration import read_calibration
from distillery_core.student.model_card import CARD, HEAD, ModelCard, read_card
from distillery_core.student.model_folder import is_model_file, model_files, model_sha256

README = "README.md"
TOLERANCE = 1e-4
"""One article alone and in a batch of its own add up in another order; weights are equal."""

_EMPTY = {".gitattributes", README}
"""What a repository has that holds no model yet."""

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")
_DO_NOT_USE = "do not use what is there; publish again"
_NOT_PLAIN = "its own files would mislead whoever loads them: train it again in another way"
_OWN_HEAD = "--frozen-head ridge, or another --method, gives a head that transformers reads"


@dataclass(frozen=True, slots=True)
class PublishWish:
    """Where a model goes and under which licence.

    Attributes:
        repo_name: `owner/name`, or a name of the token's own user.
        private: None leaves a repository as it is; a new one is then private.
        license, license_name, license_link: None or empty for what the filter's config says.
    """

    repo_name: str
    private: bool | None = None
    license: str | None = None
    license_name: str = ""
    license_link: str = ""


@dataclass(frozen=True)
class Bundle:
    """What goes up: files of the model folder, the card, and the hash that the gate let through."""

    model: Path
    model_sha256: str
    files: Mapping[str, Path]
    card: str
    notes: tuple[str, ...]

    @property
    def sha256(self) -> dict[str, str]:
        """Path -> hash of what has to come back."""
        found = {name: sha256_file(path) for name, path in self.files.items()}
        return found | {README: sha256_bytes(self.card.encode())}

    @property
    def sizes(self) -> dict[str, int]:
        """Path -> bytes."""
        found = {name: path.stat().st_size for name, path in self.files.items()}
        return found | {README: len(self.card.encode())}


@dataclass(frozen=True, slots=True)
class Published:
    """A model on the hub that was read back and predicts what ours does."""

    repo: str
    url: str
    revision: str
    private: bool
    files: dict[str, str]
    largest_difference: float


def bundle(project: Project, filter: Filter, wish: PublishWish) -> Bundle:
    """What would be published; nothing is sent.

    Raises:
        GateClosed: neither does the gate let this model through nor is it promoted.
        UserError: no licence is named, or a name is none.
        CheckFailed: with plain transformers the model predicts something else.
    """
    if not is_hub_id(wish.repo_name):
        raise UserError(f"{wish.repo_name!r} is no repository", "--repo-name", "owner/name")
    licence = _licence(filter, wish)
    model, digest, approved = _approved_model(project, filter)
    record, why = record_of_model(project, filter, digest)
    card, training = read_card(model), _training(project, filter, digest)
    _same_with_plain_transformers(
        model, model, filter.label, _OWN_HEAD if (model / HEAD).is_file() else _NOT_PLAIN
    )
    text = render_card(
        Card(
            repo=wish.repo_name,
            filter=filter,
            licence=licence,
            reading=_reading(model, card),
            base=card.model_name,
            hashes=_hashes(card, digest, training),
            record=record,
            training=training,
            approved=approved,
            why_not_judged=why,
        )
    )
    files = {path.relative_to(model).as_posix(): path for path in model_files(model)}
    return Bundle(model, digest, files, text, tuple(_notes(card, training, why)))


def publish(
    project: Project,
    wish: PublishWish,
    bundle: Bundle,
    *,
    say: Callable[[str], None] = lambda line: None,
) -> Published:
    """Send a bundle, download it again, and see that it is the model that was judged.

    A new repository is private until that is seen, whatever was wished.

    Raises:
        UserError: no token, no right, a name that is taken, a hub that cannot be reached.
        CheckFailed: what came back is not what was sent, or does not predict the same.
    """
    hub = Hub()
    hub.check_token()
    name, there = wish.repo_name, hub.look(wish.repo_name)
    with _scratch(project) as scratch:
        if there is None:
            hub.create(name)
            say(f"{name}: created, private")
        else:
            _refuse_others(hub, wish, there, read_card(bundle.model), Path(scratch) / "there")
        say(f"{name}: uploading {len(bundle.sizes)} files, {sum(bundle.sizes.values()):,} bytes")
        with _told_what_is_left(is_new=there is None):
            revision = hub.upload(
                name,
                {**bundle.files, README: bundle.card.encode()},
                f"Model {bundle.model_sha256[:12]}",
                remove=_left_over(there, bundle),
                parent=there.revision if there else None,
            )
        say(f"{name}: reading it back")
        difference = _verify(hub, name, revision, bundle, Path(scratch) / "back")
    private = _visibility(hub, wish, there)
    return Published(name, hub.address(name), revision, private, bundle.sha256, difference)


@contextmanager
def _told_what_is_left(*, is_new: bool) -> Iterator[None]:
    """An upload that fails says that the repository made for it is there all the same."""
    try:
        yield
    except UserError as error:
        if not is_new:
            raise
        left = "the new repository is there, private and empty; publishing again fills it"
        hint = f"{error.hint}; {left}" if error.hint else left
        raise UserError(error.what, error.where, hint) from error


def _approved_model(project: Project, filter: Filter) -> tuple[Path, str, bool]:
    """The model folder that may go out, its hash, and whether a person let it through.

    That is the filter's model behind an open gate, else the promoted one of this version.
    """
    state = evaluation_gate(project, filter)
    if state.open:
        model = project.home(filter) / "model"
        return model, model_sha256(model), state.approval is not None
    entry = promoted(project, filter.name)
    if entry is None or entry.version != filter.version:
        state.require(f"publishing {filter.label}")
    entry, model = promoted_model(project, filter.name)
    refuse_other_rules(entry, filter)
    return model, entry.model_sha256, bool(entry.approved_by)


def _licence(filter: Filter, wish: PublishWish) -> Licence:
    own = filter.config.publish
    if wish.license is not None:
        found = Licence(wish.license, wish.license_name, wish.license_link)
    elif own.license is not None:
        found = Licence(own.license, own.license_name, own.license_link)
    else:
        what = "under which licence? Only who owns the labels, and the base model's terms, can say"
        raise UserError(what, "--license", "for example --license apache-2.0")
    if not _LICENCE.fullmatch(found.id):
        hint = "its name on the hub, in lower case: apache-2.0, cc-by-4.0, other"
        raise UserError(f"{found.id!r} is no licence", "--license", hint)
    if found.id == "other" and not (found.name and found.link):
        hint = "--license-name and --license-link"
        raise UserError("another licence has a name and a link", "--license other", hint)
    return found


def _training(project: Project, filter: Filter, digest: str) -> Training | None:
    """The run that this model came from; None where the files at hand are of another one."""
    home = project.home(filter)
    history, metadata = home / HISTORY, home / METADATA
    if not (history.is_file() and metadata.is_file()):
        return None
    found = read_training(history, metadata)
    return found if found.facts.hashes.get("model_sha256") == digest else None


def _reading(model: Path, card: ModelCard) -> Reading:
    # Imported here: a closed gate is told without waiting for transformers.
    from distillery_core.student.plain import special_tokens

    before, after = special_tokens(model)
    calibration = read_calibration(model, card.dimensions)
    return Reading(
        max_length=card.max_length,
        max_chars=card.max_chars,
        head_share=card.head_share,
        before=tuple(before),
        after=tuple(after),
        calibrated=calibration is not None and calibration.map is not None,
    )


def _hashes(card: ModelCard, digest: str, training: Training | None) -> dict[str, str]:
    found = {
        "model_sha256": digest,
        "dataset_sha256": card.dataset_sha256,
        "prompt_sha256": card.prompt_sha256,
    }
    if training is not None and (own := training.facts.hashes.get("filter_digest")):
        found["filter_digest"] = own
    return found


def _notes(card: ModelCard, training: Training | None, why_not_judged: str) -> list[str]:
    """What the publisher should know before it is seen by others."""
    notes = []
    if why_not_judged:
        notes.append(f"the card tells no test results: {why_not_judged}")
    is_folder = training.facts.base_is_folder if training else None
    if base_name(card.model_name, is_folder=is_folder) != card.model_name:
        notes.append(f"{CARD} names the base model by its folder: {card.model_name}")
    return notes


def _refuse_others(
    hub: Hub, wish: PublishWish, there: Repository, card: ModelCard, scratch: Path
) -> None:
    """Another model's repository is never written over, nor is a private wish put in public."""
    name, where = wish.repo_name, hub.address(wish.repo_name)
    if set(there.files) - _EMPTY:
        known = CARD in there.files
        held = hub.read_json(name, CARD, there.revision, scratch) if known else None
        if not isinstance(held, dict) or held.get("filter_name") != card.filter_name:
            hint = "choose another --repo-name"
            raise UserError(f"the name is taken: it is no model of {card.filter_name}", where, hint)
    if wish.private and not there.private:
        hint = "make it private in its settings, or choose another --repo-name"
        raise UserError("the repository is public and --private was wished", where, hint)


def _left_over(there: Repository | None, bundle: Bundle) -> tuple[str, ...]:
    """Files of an earlier model that the new one does not have (other shards, an adapter)."""
    if there is None:
        return ()
    gone = set(there.files) - set(bundle.files)
    return tuple(sorted(name for name in gone if is_model_file(PurePath(name))))


def _scratch(project: Project) -> tempfile.TemporaryDirectory[str]:
    """A folder on the project's own disk: /tmp may be too small for a model."""
    folder = project.root / ".distillery"
    folder.mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(dir=folder, prefix="publish-")


def _verify(hub: Hub, name: str, revision: str, bundle: Bundle, folder: Path) -> float:
    """Download every file again; hashes and predictions must be ours."""
    expected = bundle.sha256
    for path in expected:
        hub.download(name, path, revision, folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    wrong = [path for path, digest in expected.items() if sha256_file(folder / path) != digest]
    if wrong or model_sha256(folder) != bundle.model_sha256:
        reasons = [f"{path}: other bytes than were sent" for path in wrong]
        raise CheckFailed(f"{name}: the hub does not give back the model", reasons, _DO_NOT_USE)
    return _same_with_plain_transformers(bundle.model, folder, name, _DO_NOT_USE)


def _same_with_plain_transformers(ours: Path, theirs: Path, name: str, hint: str) -> float:
    """See that plain transformers predicts from `theirs` what we do from `ours`; returns by how
    much they differ."""
    from distillery_core.student.plain import largest_difference

    try:
        difference = largest_difference(ours, theirs)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        what = f"{name}: the model cannot be loaded with plain transformers"
        raise CheckFailed(what, [str(error).splitlines()[0]], hint) from error
    if not difference <= TOLERANCE:
        what = f"{name}: the model predicts differently with plain transformers"
        raise CheckFailed(what, [f"by {difference:.2g}"], hint)
    return difference


def _visibility(hub: Hub, wish: PublishWish, there: Repository | None) -> bool:
    """Make it public where that is wished; whether it is private now."""
    private = True if there is None else there.private
    if wish.private is False and private:
        hub.make_public(wish.repo_name)
        return False
    return private
