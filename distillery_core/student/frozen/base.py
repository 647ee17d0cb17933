"""A base that stays as it is, ready to read articles: its weights, its tokenizer, its cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distillery_core.filters.filter import Filter
from distillery_core.student.computing.device import pick_device
from distillery_core.student.data import Encoded, TextEncoder
from distillery_core.student.features import (
    Features,
    Kind,
    as_read,
    base_sha256,
    features,
    stored_features,
)
from distillery_core.student.model_factory import Built, build
from distillery_core.student.settings import TrainSettings


@dataclass(frozen=True)
class FrozenBase:
    """A base on its device, in evaluation mode.

    Attributes:
        built: the base under a fresh linear head, which only a ridge takes the place of.
        kind: what is read of an article.
        sha256: of everything that decides what it reads.
        cache_dir: where features are kept by hash; None keeps none.
    """

    built: Built
    encoder: TextEncoder
    kind: Kind
    sha256: str
    device: torch.device
    cache_dir: str | None

    @classmethod
    def load(cls, filter: Filter, settings: TrainSettings, kind: Kind) -> FrozenBase:
        """Build the base that the settings name.

        Raises:
            UserError: as `model_factory.build`, or a GPU is asked for and there is none.
        """
        device = pick_device(settings.device)
        built = build(as_read(settings, kind), filter.dimensions)
        built.model.to(device).eval()
        return cls(
            built=built,
            encoder=TextEncoder(built.tokenizer, filter.config.text, settings.max_length),
            kind=kind,
            sha256=base_sha256(built.model, built.base_config_sha256),
            device=device,
            cache_dir=settings.cache_dir,
        )

    @property
    def model(self) -> Any:
        """The base under its head."""
        return self.built.model

    def read(self, articles: Sequence[Encoded]) -> Features:
        """Features of articles, computed only where the cache does not have them."""
        pad = self.encoder.pad_token_id
        return features(self.model, articles, self.kind, pad, self.sha256, self.cache_dir)

    def stored(self, articles: Sequence[Encoded]) -> Tensor | None:
        """The same from the cache alone; None where these articles were not read before."""
        return stored_features(articles, self.kind, self.sha256, self.cache_dir)
