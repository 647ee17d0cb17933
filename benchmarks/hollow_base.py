"""A base model as a folder that takes no room: config, tokenizer, and weights that are a hole.

`distillery train` reads a base's weights from safetensors; for 7B that would be 15 GB on disk. Here
the file has its header only, and beyond it nothing was ever written (a sparse file), which reads as
zeros. Zeros are no weights to measure with, as a GPU multiplies them faster: `fill` draws others
once the model is on the device. How fast a model is does not depend on which.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from distillery_core.student.model_folder import WEIGHTS
from distillery_core.student.testing import qwen2_tokenizer

_VOCABULARY = 2000
_BYTES = 2
"""Of a weight: bf16."""


def hollow_base(folder: Path, config: Any, texts: Sequence[str]) -> str:
    """Write such a folder for an architecture of Qwen's; returns its name.

    Args:
        texts: what the tokenizer learns its pairs from.
    """
    config.save_pretrained(folder)
    qwen2_tokenizer(texts, _VOCABULARY).save_pretrained(folder)
    build: Any = AutoModel.from_config
    with torch.device("meta"):
        weights = build(config).state_dict()
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in weights.items():
        start, end = end, end + _BYTES * tensor.numel()
        header[name] = {"dtype": "BF16", "shape": [*tensor.shape], "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with (folder / WEIGHTS).open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(file.tell() + end)
    return str(folder)


@torch.no_grad()
def fill(model: Any) -> None:
    """Draw weights for what is frozen, as a fresh model has them: matrices normal, norms 1, biases
    0. Adapters and head have theirs."""
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            continue
        if parameter.ndim > 1:
            parameter.normal_(std=0.02)
        elif name.endswith("norm.weight"):
            parameter.fill_(1.0)
