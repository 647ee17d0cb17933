"""Small real students for tests: a tiny random base, a tiny filter, a dataset that can be learned.

For the tests of this package and of plugins that bring a student backend; nothing is downloaded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from distillery_core.files import write_text
from distillery_core.filters.filter import Filter, load_filter
from distillery_core.student.model_factory import quiet_transformers

Family = Literal["qwen2", "qwen3", "gemma2", "gemma3", "bert", "modernbert", "deberta"]
DECODERS = ("qwen2", "qwen3", "gemma2", "gemma3")
_CONFIGS = {
    "qwen2": "Qwen2Config",
    "qwen3": "Qwen3Config",
    "gemma2": "Gemma2Config",
    "gemma3": "Gemma3TextConfig",
    "bert": "BertConfig",
    "modernbert": "ModernBertConfig",
    "deberta": "DebertaV2Config",
}
DIMENSIONS = ("heat", "noise", "speed")
_SIGNALS = (("hot", "warm", "fire"), ("loud", "bang", "shout"), ("fast", "rush", "race"))
_FILLERS = tuple(f"{a}{b}{c}" for a in "bdgklm" for b in "aeiou" for c in "npst")
_WORDS = (*_FILLERS, *(word for signals in _SIGNALS for word in signals))
_BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

_CONFIG = """\
filter: {name: tiny, version: "1.0"}
scoring:
  dimensions:
    heat: {weight: 0.5, description: how hot}
    noise: {weight: 0.3, description: how loud}
    speed: {weight: 0.2, description: how fast}
  tiers: [{name: high, at: 5.0}, {name: low, at: 0.0}]
  caps: [{name: advert, patterns: ["(?i)advert"], overall_at_most: 1.0}]
text: {max_chars: 2000, head_share: 0.75}
"""
_PROMPT = "Score {{ dimensions | join(', ') }} from 0 to 10.\n{{ article }}\n"


def tiny_filter(root: Path) -> Filter:
    """A filter of three dimensions in `root/tiny/v1`, with a cap on adverts."""
    folder = root / "tiny" / "v1"
    write_text(folder / "config.yaml", _CONFIG)
    write_text(folder / "prompt.md.j2", _PROMPT)
    write_text(folder / "prefilter.yaml", "min_chars: 10\n")
    return load_filter(folder)


def labelled_rows(filter: Filter, n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Labelled articles of 15-70 words whose scores are the counts of their signal words."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        scores = rng.integers(0, 11, size=len(DIMENSIONS))
        words = list(rng.choice(_FILLERS, size=rng.integers(15, 40)))
        for signals, score in zip(_SIGNALS, scores, strict=True):
            words += list(rng.choice(signals, size=score))
        rng.shuffle(words)
        analysis = {"dimensions": dict(zip(DIMENSIONS, map(float, scores), strict=True))}
        row = {"id": f"t{number}", "title": str(rng.choice(_FILLERS)), "content": " ".join(words)}
        rows.append({**row, filter.analysis_key: analysis})
    return rows


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write rows as JSONL."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return path


def tiny_base(folder: Path, family: Family = "qwen2", seed: int = 0) -> Path:
    """A base model of two layers with random weights and a tokenizer of its family's kind.

    The decoders' tokenizer pads to the left, as those made for chat do.
    """
    import torch
    from transformers import AutoModel

    build: Any = AutoModel.from_config
    tokenizer = _word_pairs() if family in DECODERS else _bert_tokenizer()
    with torch.random.fork_rng(), quiet_transformers():
        torch.manual_seed(seed)
        build(_config(family, len(tokenizer))).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _config(family: str, vocab_size: int) -> Any:
    import transformers

    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 256,
        "initializer_range": 0.1,
        "vocab_size": vocab_size,
    }
    if family in DECODERS:
        decoder = {"num_key_value_heads": 2, "pad_token_id": vocab_size - 1}
        if family != "qwen2":
            decoder["head_dim"] = 8
        return getattr(transformers, _CONFIGS[family])(**shape, **decoder)
    if family == "modernbert":
        shape |= {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
        shape |= {"cls_token_id": 2, "sep_token_id": 3, "local_attention": 8}
    return getattr(transformers, _CONFIGS[family])(**shape)


def _bert_tokenizer() -> Any:
    from transformers import BertTokenizer

    return BertTokenizer(vocab={word: i for i, word in enumerate((*_BERT_SPECIAL, *_WORDS))})


def _word_pairs() -> Any:
    """So that each word is about one token."""
    return qwen2_tokenizer([" ".join(_WORDS)] * 2, 901)


def qwen2_tokenizer(texts: Sequence[str], most: int) -> Any:
    """Byte-level pairs learned from texts, at most so many entries."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=most - 1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learned = json.loads(learner.to_str())["model"]
    vocab = {**learned["vocab"], "<|endoftext|>": len(learned["vocab"])}
    merges: Any = [tuple(pair) for pair in learned["merges"]]
    return Qwen2Tokenizer(vocab=vocab, merges=merges, padding_side="left")
