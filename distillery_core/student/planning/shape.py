"""A base model as numbers: how many parameters, layers and FLOPs, from its configuration alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from distillery_core.errors import UserError
from distillery_core.student.base_folder import local_folder
from distillery_core.student.computing.last_layer import parts_by_token
from distillery_core.student.computing.packing import is_packable, packs_by_default
from distillery_core.student.mean_pooling import pools_mean
from distillery_core.student.model_factory import (
    FLASH,
    is_head,
    load_base,
    locate,
    output_layer,
    quiet_transformers,
)
from distillery_core.student.settings import Pooling

_SHIPPED = Path(__file__).with_name("bases.json")
_GATES = {"gate_proj", "Wi"}


@dataclass(frozen=True, slots=True)
class Shape:
    """What memory and speed of a student depend on.

    Attributes:
        parameters: all of them, the regression head included; there is no language-model head.
        linear: parameters of the matrices inside the layers, which every token passes.
        linear_sides: sum of inputs and outputs of those matrices: a LoRA adapter of rank r holds
            r times as many parameters.
        head: parameters of what stands above the last layer.
        outputs: scores that the head gives; `output_layer` are the parameters of its last layer
            alone, without a pooler.
        largest: parameters of the largest of the matrices.
        by_token: parameters of the last layer's matrices that can be computed for single tokens
            (last_layer.py), all but those of keys and values; else 0.
        heads: attention heads.
        key_value: width of keys and of values.
        inner: width of the feed-forward part; `gated` where it multiplies two branches.
        packable: articles can be computed in one row on a CPU (packing.py).
        packs_by_flash: the same on a GPU with flash attention.
        causal: a token sees only what stands before it.
    """

    parameters: int
    linear: int
    linear_sides: int
    head: int
    outputs: int
    output_layer: int
    largest: int
    by_token: int
    layers: int
    hidden: int
    heads: int
    key_value: int
    inner: int
    gated: bool
    packable: bool
    packs_by_flash: bool
    causal: bool


def shape_of(model_name: str, outputs: int, pooling: Pooling = "auto") -> Shape:
    """The shape of a base under a head of so many outputs; nothing but its config is read.

    Raises:
        UserError: no such base, or none for sequence classification or that pooling.
    """
    config = base_config(model_name)
    if pools_mean(config, locate(model_name), pooling):
        config.num_hidden_layers += 1
    config.num_labels = outputs
    factory: Any = AutoModelForSequenceClassification
    with quiet_transformers(), torch.device("meta"):
        try:
            model = factory.from_config(config)
        except (ValueError, AttributeError, TypeError) as error:
            what = f"no sequence classification for this base: {error}"
            raise UserError(what, where=model_name) from error
    return describe_model(model)


def base_config(model_name: str) -> Any:
    """The configuration of a base: of the folder that its name means, else from the shipped table
    where it stands there, else the hub's.

    Raises:
        UserError: it cannot be found or read.
    """
    shipped = json.loads(_SHIPPED.read_text(encoding="utf-8")).get(model_name)
    if shipped is not None and local_folder(model_name) is None:
        return AutoConfig.for_model(**shipped)
    source = locate(model_name)
    with quiet_transformers():
        return load_base(AutoConfig, source, model_name)


def describe_model(model: Any) -> Shape:
    """The shape of a built model; its tensors may be on the meta device."""
    text = model.config.get_text_config()
    linear = dict(_inner_matrices(model))
    inside = [m for name, m in linear.items() if ".pooler." not in f".{name}."]
    heads = int(getattr(text, "num_attention_heads", 1))
    width = int(getattr(text, "head_dim", None) or text.hidden_size // heads)
    return Shape(
        parameters=int(model.num_parameters()),
        linear=sum(map(_entries, inside)),
        linear_sides=sum(m.in_features + m.out_features for m in inside),
        head=sum(p.numel() for name, p in model.named_parameters() if is_head(model, name)),
        outputs=int(model.config.num_labels),
        output_layer=sum(p.numel() for p in output_layer(model).parameters()),
        largest=max(map(_entries, inside), default=0),
        by_token=_matrix_parameters(parts_by_token(getattr(model, model.base_model_prefix))),
        layers=int(text.num_hidden_layers),
        hidden=int(text.hidden_size),
        heads=heads,
        key_value=int(getattr(text, "num_key_value_heads", heads)) * width,
        inner=int(getattr(text, "intermediate_size", 4 * text.hidden_size)),
        gated=any(name.rsplit(".", 1)[-1] in _GATES for name in linear),
        packable=is_packable(model),
        packs_by_flash=packs_by_default(model, FLASH, torch.device("cuda")),
        causal=hasattr(model, "score"),
    )


def _matrix_parameters(parts: Sequence[torch.nn.Module]) -> int:
    inside = [module for part in parts for module in part.modules()]
    return sum(_entries(m) for m in inside if isinstance(m, torch.nn.Linear))


def _entries(matrix: torch.nn.Linear) -> int:
    """Not those of its tensor, which holds two in a byte where a matrix is in 4 bits."""
    return matrix.in_features * matrix.out_features


def _inner_matrices(model: Any) -> list[tuple[str, torch.nn.Linear]]:
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and not is_head(model, f"{name}.weight")
    ]
