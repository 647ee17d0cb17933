"""Heads on frozen features: ridge in closed form, and a small MLP."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from distillery_core.student.measures.metrics import Array

ALPHAS = tuple(10.0**power for power in range(-3, 5))
"""Ridge strengths that are tried, relative to the mean square of the features."""

FOLDS = 5
HIDDEN = 256
MLP_BATCH = 32
MLP_RATE = 1e-3
_MLP_DECAY = 1e-2
_MLP_DROPOUT = 0.1


@dataclass(frozen=True)
class LinearHead:
    """`features @ weight.T + bias`, float64 [outputs, width] and [outputs].

    `alpha` is the strength that cross-validation on the training articles chose.
    """

    weight: Array
    bias: Array
    alpha: float

    def __call__(self, features: Array) -> Array:
        """Predictions, unclipped."""
        predictions: Array = features.astype(np.float64) @ self.weight.T + self.bias
        return predictions

    @property
    def slope(self) -> float:
        """By how much a score changes at most for a change of the features of length 1."""
        return float(np.linalg.norm(self.weight, axis=1).max())


def fit_ridge(
    features: Array,
    labels: Array,
    *,
    intercept: bool,
    seed: int,
    steepest: float = math.inf,
) -> LinearHead:
    """Ridge regression, its strength by 5-fold cross-validation on the training articles.

    Args:
        features: [articles, width]; labels: [articles, outputs].
        intercept: whether the head has a bias; without one the labels are not centred either.
        steepest: strengths whose head has a larger `slope` are left out, unless all have.
    """
    folds = np.random.default_rng(seed).permutation(len(features)) % min(FOLDS, len(features))
    errors = dict.fromkeys(ALPHAS, 0.0)
    for fold in range(int(folds.max()) + 1):
        inside, outside = folds != fold, folds == fold
        for alpha, head in _path(features[inside], labels[inside], intercept):
            errors[alpha] += float(np.abs(head(features[outside]) - labels[outside]).sum())
    heads = [head for _, head in _path(features, labels, intercept)]
    flat = [head for head in heads if head.slope <= steepest]
    return min(flat or heads[-1:], key=lambda head: errors[head.alpha])


def _path(features: Array, labels: Array, intercept: bool) -> Iterator[tuple[float, LinearHead]]:
    """The heads of all strengths from one singular value decomposition."""
    width = features.shape[1]
    middle = features.mean(axis=0, dtype=np.float64) if intercept else np.zeros(width)
    level = labels.mean(axis=0, dtype=np.float64) if intercept else np.zeros(labels.shape[1])
    left, sizes, right = np.linalg.svd(features - middle, full_matrices=False)
    projected = left.T @ (labels - level)
    scale = float(np.square(sizes).mean())
    for alpha in ALPHAS:
        shrunk = sizes / (np.square(sizes) + alpha * scale)
        weight = (right.T @ (shrunk[:, None] * projected)).T
        yield alpha, LinearHead(weight, level - weight @ middle, alpha)


class MlpHead(nn.Module):
    """Standardised features, one hidden layer; outputs are scores."""

    middle: Tensor
    spread: Tensor

    def __init__(self, width: int, outputs: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Scores [articles, outputs], unclipped."""
        standard = (features - self.middle) / self.spread
        hidden = nn.functional.gelu(self.inner(standard))
        scores: Tensor = self.outer(nn.functional.dropout(hidden, _MLP_DROPOUT, self.training))
        return scores

    @classmethod
    def start(cls, features: Tensor, labels: Tensor) -> MlpHead:
        """A head that knows the features' scale and predicts the mean label."""
        head = cls(features.shape[1], labels.shape[1])
        head.middle.copy_(features.mean(dim=0))
        head.spread.copy_(features.std(dim=0).clamp_min(1e-6))
        with torch.no_grad():
            head.outer.weight.mul_(0.1)
            head.outer.bias.copy_(labels.mean(dim=0))
        return head


def mlp_parameters(width: int, outputs: int) -> int:
    """How many parameters an MLP head trains."""
    with torch.device("meta"):
        return sum(p.numel() for p in MlpHead(width, outputs).parameters())


def fit_mlp(
    head: MlpHead,
    features: Tensor,
    labels: Tensor,
    epochs: int,
    seed: int,
    after_epoch: Callable[[float, float], bool],
) -> None:
    """AdamW on the squared error, the rate falling as a cosine.

    Args:
        after_epoch: called with mean loss and rate; training ends when it returns False.
    """
    optimizer = torch.optim.AdamW(head.parameters(), lr=MLP_RATE, weight_decay=_MLP_DECAY)
    for epoch in range(1, epochs + 1):
        rate = MLP_RATE * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / epochs))
        optimizer.param_groups[0]["lr"] = rate
        order = np.random.default_rng((seed, epoch)).permutation(len(features))
        head.train()
        total = 0.0
        for start in range(0, len(order), MLP_BATCH):
            rows = torch.from_numpy(order[start : start + MLP_BATCH])
            loss = torch.square(head(features[rows]) - labels[rows]).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += float(loss.detach()) * len(rows)
        if not after_epoch(total / len(order), rate):
            return
