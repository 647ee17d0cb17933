"""From articles to token ids: the text view, tokenised once, head and tail of long articles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distillery_core.dataset.rows import Example
from distillery_core.files import sha256_json
from distillery_core.filters.config import TextConfig
from distillery_core.filters.text_view import VIEW_RULE, student_text, text_view
from distillery_core.student.cache import cached, keep
from distillery_core.student.measures.metrics import Array

_TOKENISED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Encoded:
    """An article as token ids, special tokens included; `cut` if its middle was left out."""

    id: str
    tokens: tuple[int, ...]
    cut: bool

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class EncodedSplit:
    """A split ready for training: articles, and labels as float32 [articles, dimensions]."""

    articles: tuple[Encoded, ...]
    labels: Array

    def __len__(self) -> int:
        return len(self.articles)

    @property
    def tokens(self) -> int:
        """Tokens of all articles, padding not counted."""
        return sum(len(article) for article in self.articles)

    @property
    def cut_share(self) -> float:
        """Share of articles longer than the student reads, 0-1."""
        return sum(article.cut for article in self.articles) / max(len(self), 1)

    def take(self, indices: Sequence[int]) -> EncodedSplit:
        """The articles at these positions, in this order."""
        return EncodedSplit(tuple(self.articles[i] for i in indices), self.labels[list(indices)])


class TextEncoder:
    """Turns title and content into token ids exactly the same way in training and scoring.

    Args:
        tokenizer: a transformers tokenizer.
        text: the filter's text view in characters.
        max_length: most tokens of one article, special tokens included. A longer article keeps
            its first `text.head_share` and its end.
    """

    def __init__(self, tokenizer: Any, text: TextConfig, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.text = text
        self.max_length = max_length
        self._prefix, self._suffix = _special_tokens(tokenizer)

    @property
    def pad_token_id(self) -> int:
        """What batches are filled up with."""
        return int(self.tokenizer.pad_token_id)

    def encode(self, articles: Iterable[tuple[str, str, str]]) -> list[Encoded]:
        """Encode (id, title, content) triples, in order."""
        rows = list(articles)
        encoded: list[Encoded] = []
        for start in range(0, len(rows), _TOKENISED_AT_ONCE):
            chunk = rows[start : start + _TOKENISED_AT_ONCE]
            texts = [student_text(text_view(title, body, self.text)) for _, title, body in chunk]
            tokens = self._tokenise(texts)
            encoded += [self._framed(row[0], ids) for row, ids in zip(chunk, tokens, strict=True)]
        return encoded

    def encode_examples(
        self, examples: Sequence[Example], cache_dir: str | None = None
    ) -> EncodedSplit:
        """Encode the rows of a split with their labels.

        The tokenizer works in as many threads as there are cores. Token ids are kept in
        `cache_dir` under the hash of texts, tokenizer, text view and length.
        """
        labels = np.asarray([example.labels for example in examples], dtype=np.float32)
        ids = [example.id for example in examples]
        key = self._key(examples) if cache_dir else ""
        stored = cached(cache_dir, "tokens", key)
        if stored is not None:
            return EncodedSplit(tuple(_unflattened(ids, stored)), labels)
        articles = self.encode((e.id, e.title, e.content) for e in examples)
        keep(cache_dir, "tokens", key, _flattened(articles))
        return EncodedSplit(tuple(articles), labels)

    def _key(self, examples: Sequence[Example]) -> str:
        return sha256_json(
            {
                "format": 1,
                "texts": sha256_json([[e.title, e.content] for e in examples]),
                "tokenizer": tokenizer_sha256(self.tokenizer),
                "view": [VIEW_RULE, self.text.max_chars, self.text.head_share],
                "max_length": self.max_length,
            }
        )

    def _tokenise(self, texts: list[str]) -> list[list[int]]:
        """Bare ids. `split_special_tokens`: an article that spells "[SEP]" gets no such token."""
        found: list[list[int]] = self.tokenizer(
            texts,
            add_special_tokens=False,
            split_special_tokens=True,
            truncation=False,
            return_attention_mask=False,
            verbose=False,
        )["input_ids"]
        return found

    def _framed(self, id: str, tokens: list[int]) -> Encoded:
        room = self.max_length - len(self._prefix) - len(self._suffix)
        cut = len(tokens) > room
        if cut:
            head = max(1, round(room * self.text.head_share))
            tokens = tokens[:head] + tokens[len(tokens) - (room - head) :]
        framed = (*self._prefix, *tokens, *self._suffix)
        # A decoder's tokenizer frames nothing, and a model cannot read nothing.
        return Encoded(id, framed or (self.pad_token_id,), cut)


def tokenizer_sha256(tokenizer: Any) -> str:
    """Hash of all that decides which ids a text gets."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = backend.to_str() if backend is not None else sorted(tokenizer.get_vocab().items())
    return sha256_json([type(tokenizer).__name__, rules, tokenizer.pad_token_id])


def _flattened(articles: Sequence[Encoded]) -> dict[str, Tensor]:
    """All token ids in one tensor, with the lengths and which articles were cut."""
    return {
        "tokens": torch.tensor([t for a in articles for t in a.tokens], dtype=torch.int32),
        "lengths": torch.tensor([len(a) for a in articles], dtype=torch.int32),
        "cut": torch.tensor([a.cut for a in articles], dtype=torch.uint8),
    }


def _unflattened(ids: Sequence[str], stored: dict[str, Tensor]) -> Iterator[Encoded]:
    tokens, start = stored["tokens"].tolist(), 0
    lengths, cuts = stored["lengths"].tolist(), stored["cut"].tolist()
    for id, length, cut in zip(ids, lengths, cuts, strict=True):
        yield Encoded(id, tuple(tokens[start : start + length]), bool(cut))
        start += length


def _special_tokens(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer puts before and after a text, e.g. [CLS] and [SEP]."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    framed = tokenizer("a", add_special_tokens=True)["input_ids"]
    for start in range(len(framed) - len(bare) + 1):
        if framed[start : start + len(bare)] == bare:
            return tuple(framed[:start]), tuple(framed[start + len(bare) :])
    return (), ()
