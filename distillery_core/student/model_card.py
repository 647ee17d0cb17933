"""`distillery.json` in a model folder: what the model was made from and how it reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from distillery_core.errors import UserError
from distillery_core.filters.filter import Filter
from distillery_core.student.dataset_check import CheckedDataset
from distillery_core.student.settings import TrainSettings

CARD = "distillery.json"
HEAD = "head.safetensors"
"""A head of ours, which lies beside its base (`headed.py`)."""


class ModelCard(BaseModel):
    """What a scorer must know beside the weights.

    `max_length` is in tokens, `max_chars` and `head_share` are the filter's text view. The hashes
    are those of filter and dataset at training time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    format: Literal[1] = 1
    filter_name: str
    filter_version: str
    dimensions: tuple[str, ...]
    model_name: str
    max_length: int
    max_chars: int
    head_share: float
    text_view_sha256: str
    dimensions_sha256: str
    prompt_sha256: str
    dataset_sha256: str


def card_for(filter: Filter, settings: TrainSettings, dataset: CheckedDataset) -> ModelCard:
    """The card of a model trained for `filter` on this dataset."""
    return ModelCard(
        filter_name=filter.name,
        filter_version=filter.config.filter.version,
        dimensions=filter.dimensions,
        model_name=settings.model_name,
        max_length=settings.max_length,
        max_chars=filter.config.text.max_chars,
        head_share=filter.config.text.head_share,
        text_view_sha256=filter.text_view_sha256,
        dimensions_sha256=filter.dimensions_sha256,
        prompt_sha256=dataset.prompt_sha256,
        dataset_sha256=dataset.dataset_sha256,
    )


def readme(card: ModelCard, *, own_head: bool) -> str:
    """How the model is used without this package, and where its scores would then differ.

    Args:
        own_head: whether its head lies beside the base in `HEAD`.
    """
    names = ", ".join(card.dimensions)
    loading = _ONLY_HERE if own_head else _PLAIN
    return f"""# {card.filter_name} v{card.filter_version}

A regression model: one output a dimension, 0-10, in this order: {names}.
Base model: `{card.model_name}`. {loading}

`distillery score` gives it the title, an empty line and the content, keeps head and tail of a text
longer than {card.max_length} tokens (the first {card.head_share:.0%} and the end) and clips outputs
to 0-10. Plain truncation gives other scores for longer texts. `{CARD}` names what it was made from.
"""


_PLAIN = """It loads with plain transformers:

    model = AutoModelForSequenceClassification.from_pretrained(FOLDER)"""

_ONLY_HERE = f"""Its head is a small network of Distillery's own
over the mean of the base's last hidden states, in `{HEAD}`. Plain transformers loads only the base
(AutoModel); AutoModelForSequenceClassification would put random numbers in the place of the head.
Score with `distillery score`."""


def read_card(folder: Path) -> ModelCard:
    """Read a model folder's card.

    Raises:
        UserError: no such folder, no card in it, or one that is not understood.
    """
    if not folder.is_dir():
        raise UserError("no such model folder", where=folder, hint="distillery train writes one")
    path = folder / CARD
    try:
        return ModelCard.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(
            f"the model folder has no {CARD}",
            where=folder,
            hint="name the `model` folder that `distillery train` wrote",
        ) from None
    except (ValidationError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"not a model card: {first}", where=path) from None


def check_card(card: ModelCard, filter: Filter, folder: Path) -> None:
    """See that a model was trained for this filter, its dimensions and its text view.

    Raises:
        UserError: another filter, other dimensions, or another part of the article was read.
    """
    hint = f"distillery train --filter {filter.label}"
    if card.filter_name != filter.name:
        what = f"the model was trained for {card.filter_name!r}, not for {filter.name!r}"
        raise UserError(what, where=folder, hint=hint)
    if card.dimensions != filter.dimensions:
        what = f"the model scores {', '.join(card.dimensions)}; the filter has other dimensions"
        raise UserError(what, where=folder, hint=hint)
    if card.text_view_sha256 != filter.text_view_sha256:
        what = "the filter's text view has changed since the model was trained"
        raise UserError(what, where=folder, hint=hint)
