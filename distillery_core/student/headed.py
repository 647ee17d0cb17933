"""A base with an MLP head of ours: what a frozen run with `--frozen-head mlp` leaves behind.

No sequence-classification class reads mean hidden states through two layers, so the folder holds
the base (`config.json`, `model.safetensors`, loads with AutoModel) and the head beside it
(`head.safetensors`); `distillery score` and `load_model` put them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel

from distillery_core.student.features import mean_state
from distillery_core.student.heads import MlpHead
from distillery_core.student.model_card import HEAD


@dataclass(frozen=True)
class Output:
    """As a transformers model's output, as far as it is read here."""

    logits: Tensor


class HeadedModel(nn.Module):
    """Base and head, called as a sequence-classification model is."""

    def __init__(self, base: Any, head: MlpHead, dimensions: Sequence[str]) -> None:
        super().__init__()
        self.base = base
        self.head = head
        self.config = base.config
        self.config.id2label = dict(enumerate(dimensions))
        self.config.label2id = {name: index for index, name in enumerate(dimensions)}
        self.config.problem_type = "regression"

    @property
    def dtype(self) -> torch.dtype:
        """What the base is held in."""
        found: torch.dtype = self.base.dtype
        return found

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Output:
        """Scores from the mean of the last hidden states."""
        return Output(self.head(mean_state(self.base, input_ids, attention_mask).float()))

    def save_pretrained(self, folder: Path) -> None:
        """Write the base as transformers does, and the head beside it."""
        self.base.save_pretrained(folder)
        save_file({n: t.contiguous() for n, t in self.head.state_dict().items()}, folder / HEAD)


def load_headed(folder: Path) -> HeadedModel:
    """Read a folder that holds a head of ours."""
    weights = load_file(folder / HEAD)
    hidden, width = weights["inner.weight"].shape
    head = MlpHead(width, len(weights["outer.bias"]), hidden)
    head.load_state_dict(weights)
    base = AutoModel.from_pretrained(folder, trust_remote_code=False, use_safetensors=True)
    names = [base.config.id2label[index] for index in range(base.config.num_labels)]
    return HeadedModel(base, head, names)
