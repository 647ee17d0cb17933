"""Distillery: distil a large language model's judgement of texts into a small local model."""

from __future__ import annotations

__version__ = "0.1.0"
