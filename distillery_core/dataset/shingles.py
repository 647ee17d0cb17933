"""Texts to hashed word shingles and MinHash band keys, vectorised over batches of texts.

A token is a run of letters and digits; each character of a script written without spaces (Chinese,
Japanese, Thai ...) is a token of its own, so that the same 3-shingles are word shingles for one and
character shingles for the other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Keys = npt.NDArray[np.uint32]
Offsets = npt.NDArray[np.int64]

SHINGLE_TOKENS = 3
BANDS = 20
ROWS_PER_BAND = 4
"""Two texts of Jaccard similarity s share a band with probability 1 - (1 - s**4)**20: 99.6 % at
0.7, 94 % at 0.6, 15 % at 0.3 (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, 3.4)."""

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
"""Character ranges of scripts written without spaces, for use inside [...] of a pattern."""

_UNSPACED_CHAR = re.compile(f"([{UNSPACED}])")
_SEPARATORS = re.compile(r"[\W_]+")
_SEED = 20_260_701
_BASE = 0x9E3779B97F4A7C15
_BASE_INVERSE = pow(_BASE, -1, 1 << 64)


def band_keys(texts: Sequence[str]) -> Keys:
    """One row of `BANDS` keys a text; texts that share one are candidates for near-duplicates.

    A text without letters or digits gets a row of zeros.
    """
    hashes, ends = shingle_hashes(texts)
    keys = np.zeros((len(texts), BANDS), dtype=np.uint32)
    sizes = np.diff(ends, prepend=0)
    filled = sizes > 0
    if not filled.any():
        return keys
    starts = (ends - sizes)[filled]
    short = _high_bits(_mixed(hashes))
    for band in range(BANDS):
        keys[filled, band] = _band_key(short, starts, band)
    return keys


def shingle_set(text: str) -> Hashes:
    """The distinct shingle hashes of one text, sorted."""
    return np.unique(shingle_hashes([text])[0])


def jaccard(left: Hashes, right: Hashes) -> float:
    """Jaccard similarity of two `shingle_set`s, 0-1; 0 if one is empty."""
    if not len(left) or not len(right):
        return 0.0
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / (len(left) + len(right) - shared)


def shingle_hashes(texts: Sequence[str]) -> tuple[Hashes, Offsets]:
    """Shingle hashes of all texts in a row, and where each text's shingles end.

    A text of fewer than three tokens has one shingle of what there is.
    """
    words, ends = _word_hashes(texts)
    counts = np.diff(ends, prepend=0)
    padded, first = _with_padding(words, ends, counts)
    parts = [_mixed(padded[k : len(padded) - 2 + k] + np.uint64(k)) for k in range(SHINGLE_TOKENS)]
    rolled = parts[0] + parts[1] * np.uint64(3) + parts[2] * np.uint64(5)
    sizes = np.where(counts > 0, np.maximum(counts - (SHINGLE_TOKENS - 1), 1), 0)
    inside = _ranges(first, sizes)
    return _mixed(rolled[inside]), np.cumsum(sizes)


def _with_padding(words: Hashes, ends: Offsets, counts: Offsets) -> tuple[Hashes, Offsets]:
    """Two zeros after each text, so that a shingle begun in it reads nothing of the next one."""
    padding = SHINGLE_TOKENS - 1
    first = (ends - counts) + padding * np.arange(len(ends))
    padded = np.zeros(len(words) + padding * max(len(ends), 1), dtype=np.uint64)
    padded[_ranges(first, counts)] = words
    return padded, first


def _ranges(starts: Offsets, sizes: Offsets) -> Offsets:
    """start, start+1, ... start+size-1 for each pair, one after the other."""
    shifts = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    return shifts + np.arange(len(shifts))


def _word_hashes(texts: Sequence[str]) -> tuple[Hashes, Offsets]:
    """A 64-bit polynomial hash of each token, and where each text's tokens end."""
    parts = [_plain(text).encode("utf-8", "replace") for text in texts]
    data = np.frombuffer(b" ".join([*parts, b""]), dtype=np.uint8)
    byte_ends = np.cumsum([len(part) + 1 for part in parts], dtype=np.int64)
    inside = np.concatenate([[False], _is_token_byte()[data]])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return np.empty(0, dtype=np.uint64), np.zeros(len(texts), dtype=np.int64)
    up, down = _powers(len(data))
    sums = np.concatenate([[np.uint64(0)], np.cumsum(_byte_values()[data] * up, dtype=np.uint64)])
    words = (sums[stops] - sums[starts]) * down[starts]
    return _mixed(words), np.searchsorted(starts, byte_ends).astype(np.int64)


def _plain(text: str) -> str:
    """Case and compatibility forms folded; only letters and digits between single spaces."""
    if text.isascii():
        return text.lower()
    folded = _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    return _UNSPACED_CHAR.sub(r" \1 ", folded)


@lru_cache(maxsize=1)
def _is_token_byte() -> npt.NDArray[np.bool_]:
    table = np.zeros(256, dtype=np.bool_)
    table[list(b"abcdefghijklmnopqrstuvwxyz0123456789")] = True
    table[128:] = True  # letters of every other script; _plain has removed all else
    return table


@lru_cache(maxsize=1)
def _byte_values() -> Hashes:
    return np.random.default_rng(_SEED).integers(0, 1 << 64, 256, dtype=np.uint64)


@lru_cache(maxsize=1)
def _multipliers() -> npt.NDArray[np.uint32]:
    """Odd, so that each is a permutation of the 32-bit numbers."""
    numbers = np.random.default_rng(_SEED + 1).integers(
        0, 1 << 32, (2, BANDS * ROWS_PER_BAND), dtype=np.uint32
    )
    numbers[0] |= 1
    return numbers


_power_tables: list[tuple[Hashes, Hashes]] = []


def _powers(length: int) -> tuple[Hashes, Hashes]:
    """Powers of the hash's base and of its inverse modulo 2**64, at least `length` of each."""
    if not _power_tables or len(_power_tables[0][0]) < length:
        _power_tables[:] = [(_power_table(_BASE, length), _power_table(_BASE_INVERSE, length))]
    up, down = _power_tables[0]
    return up[:length], down[:length]


def _power_table(base: int, length: int) -> Hashes:
    table = np.full(length, base, dtype=np.uint64)
    table[0] = 1
    return np.cumprod(table, dtype=np.uint64)


def _mixed(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64: every input bit moves every output bit."""
    values = values ^ (values >> np.uint64(30))
    values = values * np.uint64(0xBF58476D1CE4E5B9)
    values = values ^ (values >> np.uint64(27))
    values = values * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _high_bits(values: Hashes) -> Keys:
    return (values >> np.uint64(32)).astype(np.uint32)


def _band_key(shingles: Keys, starts: Offsets, band: int) -> Keys:
    """Hash of the minima of one band's permutations, one a text; never 0."""
    factors, shifts = _multipliers()
    key = np.full(len(starts), band + 1, dtype=np.uint64)
    for row in range(band * ROWS_PER_BAND, (band + 1) * ROWS_PER_BAND):
        minima = np.minimum.reduceat(shingles * factors[row] + shifts[row], starts)
        key = _mixed(key * np.uint64(_BASE) + minima.astype(np.uint64))
    return np.maximum(_high_bits(key), np.uint32(1))
