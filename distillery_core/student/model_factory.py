"""Builds a student: base model, regression head, tokenizer, pad token; the only place that does."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as transformers_logging

from distillery_core.errors import UserError
from distillery_core.files import sha256_json
from distillery_core.student.base_folder import local_folder
from distillery_core.student.mean_pooling import last_layer, pools_mean, start_as_mean
from distillery_core.student.settings import TrainSettings

PACKAGE_PREFIX = "package:"
FUSED = "sdpa"
FLASH = "flash_attention_2"
FLEX = "flex_attention"
"""transformers' names of attention implementations."""
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
_DROPOUT_KEYS = (
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"),
    *("hidden_dropout", "attention_dropout", "embedding_dropout", "mlp_dropout"),
    *("resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout", "pooler_dropout", "cls_dropout"),
)


@dataclass(frozen=True)
class Built:
    """A fresh student.

    Attributes:
        head_names: names of the parameters after the base model's last layer: the new head and,
            where there is one, the pooler before it, which pretraining hardly uses.
        base_config_sha256: hash of the base model's configuration as it was found.
        by_mean: the head reads the mean of the tokens (mean_pooling.py).
        attention: the implementation that the base was built with.
    """

    model: Any
    tokenizer: Any
    head_names: frozenset[str]
    base_config_sha256: str
    by_mean: bool
    attention: str


def build(
    settings: TrainSettings,
    dimensions: Sequence[str],
    *,
    held_in: torch.dtype = torch.float32,
    quantised_on: torch.device | None = None,
) -> Built:
    """A base model under a new linear head with one output a dimension.

    What training decided before (auto.py) stands in `settings`; a pooling still on `auto` is looked
    up here, and an attention on `auto` is the fused one.

    Args:
        held_in: type of the base's weights; the head is float32 in any case.
        quantised_on: hold the matrices in 4 bits (nf4) on this device; None leaves all on the CPU.

    Raises:
        UserError: the base is not there, has no weights, or has no sequence classification head.
    """
    source = locate(settings.model_name)
    with quiet_transformers():
        config = load_base(AutoConfig, source, settings.model_name)
        base_config_sha256 = sha256_json(_described(config))
        _set_head(config, dimensions)
        if settings.dropout is not None:
            _set_dropout(config, settings.dropout)
        tokenizer = load_base(AutoTokenizer, source, settings.model_name)
        refuse_too_long(config, settings)
        by_mean = pools_mean(config, source, settings.pooling)
        if by_mean:
            config.num_hidden_layers += 1
        attention = _attention(config, settings.attention)
        model = load_base(
            AutoModelForSequenceClassification,
            source,
            settings.model_name,
            config=config,
            dtype=held_in,
            attn_implementation=attention,
            use_safetensors=True,
            **_in_four_bits(quantised_on, *([last_layer(config)] if by_mean else [])),
        )
    if by_mean:
        start_as_mean(model)
    set_padding(model, tokenizer)
    head = frozenset(name for name, _ in model.named_parameters() if is_head(model, name))
    for name in head_modules(model):
        model.get_submodule(name).float()
    return Built(model, tokenizer, head, base_config_sha256, by_mean, attention)


def inside_adapters(model: Any) -> Any:
    """The model that adapters are around; a model without any is that itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def is_head(model: Any, parameter: str) -> bool:
    """Whether a parameter stands above the last layer: the regression head, and a pooler."""
    base = f"{model.base_model_prefix}."
    return not parameter.startswith(base) or parameter.startswith(f"{base}pooler.")


def compute_head_in_float32(model: Any) -> None:
    """Compute the head in float32 without autocast, whatever comes out of the base below it.

    Called when the model is complete: an adapter library copies modules, and would copy a changed
    `forward` with the old module inside.
    """
    copied = [m for name, m in model.named_modules() if name.endswith(".modules_to_save.default")]
    for module in copied or [model.get_submodule(name) for name in head_modules(model)]:
        module.float()
        module.forward = _without_autocast(module.forward)


def checkpoint_gradients(model: Any) -> None:
    """Have activations computed again instead of kept."""
    # transformers 5.20 had only the second name, which later ones deprecate.
    named = getattr(model, "activation_checkpointing_enable", None)
    (named or model.gradient_checkpointing_enable)({"use_reentrant": False})


def head_modules(model: Any) -> list[str]:
    """The modules above the last layer that hold parameters: regression head, pooler."""
    return sorted({n.rsplit(".", 1)[0] for n, _ in model.named_parameters() if is_head(model, n)})


def output_layer(model: Any) -> Any:
    """The last linear layer of the head, which gives the scores; inside adapters the one of its
    two copies that is trained."""
    outputs = model.config.num_labels
    linear = [
        module
        for name in head_modules(model)
        for module in [model.get_submodule(name)]
        if isinstance(module, torch.nn.Linear) and module.out_features == outputs
    ]
    return max(enumerate(linear), key=lambda one: (one[1].weight.requires_grad, one[0]))[1]


def _without_autocast(forward: Any) -> Any:
    def in_float32(hidden: torch.Tensor) -> torch.Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            result: torch.Tensor = forward(hidden.float())
        return result

    return in_float32


def _in_four_bits(device: torch.device | None, *left: str) -> dict[str, Any]:
    """QLoRA's nf4 with double quantisation (arXiv 2305.14314); the head is left as it is, and what
    is `left` besides. Nothing without a device."""
    if device is None:
        return {}
    from transformers import BitsAndBytesConfig

    describe: Any = BitsAndBytesConfig
    config = describe(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=["score", "classifier", ".*pooler", "head", *left],
    )
    return {"quantization_config": config, "device_map": {"": device}}


def locate(model_name: str) -> str:
    """A local folder, the folder behind `package:NAME/FOLDER`, or else the hub id itself.

    The package is found without being imported.

    Raises:
        UserError: unknown package, or a folder without config or safetensors weights.
    """
    if model_name.startswith(PACKAGE_PREFIX):
        return str(_checked_folder(_package_folder(model_name), model_name))
    folder = local_folder(model_name)
    if folder is not None:
        return str(_checked_folder(folder, model_name))
    if model_name.startswith((".", "/", "~")) or model_name.count("/") > 1:
        raise UserError(f"no model folder {model_name!r}", where="model_name")
    return model_name


def _package_folder(model_name: str) -> Path:
    package, _, inside = model_name.removeprefix(PACKAGE_PREFIX).partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"the package {package!r} is not installed",
            where=model_name,
            hint=f"pip install {package.replace('_', '-')}",
        )
    root = Path(next(iter(spec.submodule_search_locations))).resolve()
    folder = (root / inside).resolve()
    if not folder.is_relative_to(root) or not folder.is_dir():
        raise UserError(f"the package {package!r} has no folder {inside!r}", where=model_name)
    return folder


def _checked_folder(folder: Path, model_name: str) -> Path:
    if not (folder / "config.json").is_file():
        raise UserError("the model folder has no config.json", where=model_name)
    if not any(next(folder.glob(pattern), None) for pattern in _WEIGHTS):
        raise UserError(
            "the model folder has no weights in safetensors",
            where=model_name,
            hint="save them with `model.save_pretrained(folder)`; pickled weights are not loaded",
        )
    return folder


def load_base(factory: Any, source: str, model_name: str, **options: Any) -> Any:
    """`from_pretrained`, with what goes wrong told in one line and no code of the model's run."""
    try:
        return factory.from_pretrained(source, trust_remote_code=False, **options)
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"cannot load the base model: {first_line}",
            where=model_name,
            hint="name a hub id, a local folder, or package:NAME/FOLDER",
        ) from error


def _described(config: Any) -> dict[str, Any]:
    """The configuration without where it was found and which library read it."""
    description: dict[str, Any] = config.to_dict()
    for key in ("_name_or_path", "transformers_version"):
        description.pop(key, None)
    return description


def _set_head(config: Any, dimensions: Sequence[str]) -> None:
    config.id2label = dict(enumerate(dimensions))
    config.label2id = {name: index for index, name in enumerate(dimensions)}
    config.problem_type = "regression"
    config.use_cache = False


def _attention(config: Any, asked: str) -> str:
    """As asked, fused where that is open; a base without it (DeBERTa) takes its own."""
    asked = FUSED if asked == "auto" else asked
    known = AutoModelForSequenceClassification._model_mapping
    built = known.get(type(config), None)
    has_fused = getattr(built, "_supports_sdpa", True)
    return asked if asked != FUSED or has_fused else "eager"


def _set_dropout(config: Any, dropout: float) -> None:
    for key in _DROPOUT_KEYS:
        if isinstance(getattr(config, key, None), (int, float)) or key == "classifier_dropout":
            setattr(config, key, dropout)


def refuse_too_long(config: Any, settings: TrainSettings) -> None:
    """Raise a UserError where more tokens are to be read than a base of this configuration can."""
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    if longest and settings.max_length > longest:
        raise UserError(
            f"max_length is {settings.max_length}, the base model reads at most {longest} tokens",
            where=settings.model_name,
            hint=f"--max-length {longest}",
        )


def refuse_no_dropout(model: Any, settings: TrainSettings) -> None:
    """Raise a UserError where R-Drop is asked for and nothing in the model drops out."""
    config = inside_adapters(model).config
    by_layer = (m.p for m in model.modules() if isinstance(m, torch.nn.Dropout))
    by_config = (getattr(config, key, None) or 0.0 for key in _DROPOUT_KEYS)
    if settings.r_drop and not any((*by_layer, *by_config)):
        raise UserError(
            f"r_drop is {settings.r_drop}, and the base drops nothing out of itself: both draws "
            "would be the same",
            where="training",
            hint="dropout: 0.1",
        )


def set_padding(model: Any, tokenizer: Any) -> None:
    """Give both the same pad token, so that a batch pools each article's last real token.

    A base without one takes its end-of-text token. Padding goes to the right.

    Raises:
        UserError: the tokenizer has neither.
    """
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token is None:
            raise UserError("the tokenizer has neither a pad nor an end token", where="model_name")
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    model.config.pad_token_id = tokenizer.pad_token_id
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No load report, no progress bar and none of the hub's retries while the block runs: the
    libraries do not print."""
    own: Any = transformers_logging
    hub = logging.getLogger("huggingface_hub")
    verbosity, of_hub = own.get_verbosity(), hub.level
    bars = own.is_progress_bar_enabled()
    own.set_verbosity_error()
    hub.setLevel(logging.ERROR)
    own.disable_progress_bar()
    try:
        yield
    finally:
        own.set_verbosity(verbosity)
        hub.setLevel(of_hub)
        if bars:
            own.enable_progress_bar()
