"""LoRA and QLoRA adapters (peft), and the plain model that they are merged into.

A merged model is the base's matrices plus what the adapters learned, under the base's own names:
it loads with plain transformers and needs neither peft nor the base. The adapter is kept beside it
in `adapter/`, small enough to pass on.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distillery_core.errors import UserError
from distillery_core.files import write_json
from distillery_core.student.model_factory import head_modules, is_head
from distillery_core.student.planning.plan import missing_packages
from distillery_core.student.settings import Method, TrainSettings

ADAPTER_FOLDER = "adapter"
_ADAPTER = "default"
_OWN = ("weight", "bias")


def refuse_missing(method: Method) -> None:
    """Raise a UserError when a package that the method needs is not installed."""
    missing = missing_packages(method)
    if missing:
        raise UserError(
            f"{method} needs {' and '.join(missing)}, not installed here",
            where="--method",
            hint="; ".join(missing.values()),
        )


def add_adapters(model: Any, settings: TrainSettings) -> Any:
    """Freeze the base, put an adapter on each matrix of its layers, and train the head whole.

    The adapters and the head are float32, whatever the base is held in.
    """
    from peft import LoraConfig, get_peft_model

    heads = head_modules(model)
    matrices = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and not is_head(model, f"{name}.weight")
    }
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,  # type: ignore[arg-type]  # any number is taken
        lora_dropout=settings.lora_dropout,
        target_modules=sorted(matrices),
        exclude_modules=heads,
        modules_to_save=heads,
    )
    with warnings.catch_warnings():  # peft asks the model in a way that transformers has renamed
        warnings.simplefilter("ignore", FutureWarning)
        wrapped = get_peft_model(model, config)
    wrapped.peft_config[_ADAPTER].base_model_name_or_path = settings.model_name
    return wrapped


def has_adapters(model: Any) -> bool:
    """Whether `add_adapters` made the model."""
    return hasattr(model, "peft_config")


def merged_state(model: Any, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Weights of the plain model, on the CPU, in the type that the base is held in.

    A matrix held in 4 bits is unpacked, so that what is saved is what was trained.

    Args:
        state: the adapted model's weights, where they had to be gathered from several devices.
    """
    base = model.get_base_model()
    found = base.state_dict() if state is None else _of_base(state)
    scale = model.peft_config[_ADAPTER].lora_alpha / model.peft_config[_ADAPTER].r
    merged: dict[str, Tensor] = {}
    for name, tensor in found.items():
        inside, _, rest = name.partition(".base_layer.")
        if ".lora_" in name or ".original_module." in name or (rest and rest not in _OWN):
            continue
        if rest == "weight":
            down, up = (found[f"{inside}.lora_{part}.{_ADAPTER}.weight"] for part in "AB")
            matrix = _unpacked(base.get_submodule(f"{inside}.base_layer"), tensor)
            moved = matrix.float() + scale * (up.float() @ down.float()).to(matrix.device)
            merged[f"{inside}.weight"] = moved.to("cpu", matrix.dtype)
            continue
        plain = f"{inside}.{rest}" if rest else name.replace(f".modules_to_save.{_ADAPTER}.", ".")
        merged[plain] = tensor.to("cpu", base.dtype if tensor.is_floating_point() else None)
    return merged


def _of_base(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("base_model.model."): tensor for name, tensor in state.items()}


def _unpacked(layer: Any, weight: Tensor) -> Tensor:
    """A matrix as numbers, whether it is held plainly or in 4 bits."""
    packed = getattr(layer.weight, "quant_state", None)
    if packed is None:
        return weight.detach()
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(layer.weight.data, packed)  # type: ignore[no-any-return]


def plain_shell(model: Any) -> Any:
    """A model without weights whose `save_pretrained` writes a merged state with its config."""
    base = model.get_base_model()
    config = type(base.config).from_dict(base.config.to_dict())
    if getattr(config, "quantization_config", None) is not None:
        del config.quantization_config
    config.dtype = base.dtype
    with torch.device("meta"):
        return type(base)(config)


def save_adapter(model: Any, folder: Path, state: Mapping[str, Tensor] | None = None) -> None:
    """Write the adapter and the head (safetensors) into `folder/adapter`.

    Args:
        state: as in `merged_state`.
    """
    given = {} if state is None else {"state_dict": dict(state)}
    model.save_pretrained(folder / ADAPTER_FOLDER, safe_serialization=True, **given)
    _sort_names(folder / ADAPTER_FOLDER / "adapter_config.json")
    for note in (folder / ADAPTER_FOLDER).glob("*.md"):  # a form to fill in, which nobody does
        note.unlink()


def _sort_names(path: Path) -> None:
    """peft writes sets of names in the order of the day, which would change the model's hash."""
    config = json.loads(path.read_text(encoding="utf-8"))
    for key in ("target_modules", "exclude_modules", "modules_to_save"):
        if isinstance(config.get(key), list):
            config[key] = sorted(config[key])
    write_json(path, config)
