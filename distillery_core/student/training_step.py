"""One optimizer step: the batch's loss and gradients piece by piece, then the update."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distillery_core.errors import CheckFailed, UserError
from distillery_core.student.computing.batches import pad
from distillery_core.student.computing.device import autocast
from distillery_core.student.computing.memory import Part, memory_named, out_of_memory
from distillery_core.student.computing.packing import packed_logits
from distillery_core.student.computing.sharding import whole
from distillery_core.student.data import Encoded
from distillery_core.student.run import Run


def train_step(run: Run, batch: Sequence[int], pieces: Sequence[Sequence[int]]) -> float:
    """Forward and backward piece by piece, then one step; returns the batch's loss.

    Each piece's squared errors are divided by the whole batch's size, so the gradient does not
    depend on how the batch is cut, nor among how many processes.
    """
    loss = torch.zeros((), device=run.device)
    for number, piece in enumerate(pieces):
        exchanged = _gradients_exchanged(run, last=number == len(pieces) - 1)
        with exchanged, _memory_named(run, piece, batch):
            share = loss_share(run, piece, batch)
            # Processes take the mean of their gradients; the batch's is the sum.
            run.accelerator.backward(share * run.processes if run.processes > 1 else share)
        loss += share.detach()
    if run.processes > 1:
        loss = run.accelerator.reduce(loss, "sum")
    with _memory_named(run, pieces[0], batch, "update"):
        norm = run.accelerator.clip_grad_norm_(run.model.parameters(), run.settings.max_grad_norm)
        _refuse_not_finite(run, float(loss), float(whole(norm)), batch)
        run.optimizer.step()
    run.scheduler.step()
    run.optimizer.zero_grad()
    return float(loss)


def _memory_named(
    run: Run, piece: Sequence[int], batch: Sequence[int], part: Part = "piece"
) -> AbstractContextManager[None]:
    """Names this piece where memory runs out."""

    def named() -> UserError:
        positions = _computed(piece, batch)
        articles = [run.train.split.articles[p] for p in positions]
        tokens = run.settings.draws * computed_tokens(run, positions)
        return out_of_memory(run.position.step + 1, articles, len(batch), tokens, part)

    return memory_named(named)


def _gradients_exchanged(run: Run, last: bool) -> AbstractContextManager[Any]:
    """Processes exchange gradients once a step, with the last piece."""
    if run.processes == 1:
        return nullcontext()
    if run.settings.fsdp:
        run.model.set_requires_gradient_sync(last)
        return nullcontext()
    return nullcontext() if last else run.accelerator.no_sync(run.model)


def loss_share(run: Run, piece: Sequence[int], batch: Sequence[int]) -> Tensor:
    """A piece's part of its batch's loss; an empty piece's is 0.

    It is the MSE, weighed by article. Under R-Drop each article is computed twice, and the squared
    distance of the two is added.
    """
    positions, draws = _computed(piece, batch), run.settings.draws
    articles = [run.train.split.articles[p] for p in positions]
    labels = torch.from_numpy(run.train.split.labels[positions]).to(run.device)
    weights = torch.from_numpy(run.loss_weights[positions]).to(run.device)
    found = _logits(run, articles * draws).float().reshape(draws, *labels.shape)
    squared = torch.square(found - labels).mean(dim=0)
    if draws > 1:
        squared = squared + run.settings.r_drop * torch.square(found[0] - found[1])
    share = (squared * weights[:, None]).sum() / (len(batch) * labels.shape[1])
    return share if piece else share * 0.0


def _computed(piece: Sequence[int], batch: Sequence[int]) -> list[int]:
    """The positions that are computed for a piece. For an empty one it is an article that counts
    nothing, since the other processes wait for this one."""
    return list(piece) or [batch[0]]


def _logits(run: Run, articles: Sequence[Encoded]) -> Tensor:
    with autocast(run.device, run.precision):
        if run.packed:
            return packed_logits(run.plain, articles, run.device)
        ids = pad(articles, run.encoder.pad_token_id, run.device)
        logits: Tensor = run.model(input_ids=ids.input_ids, attention_mask=ids.mask).logits
        return logits


def computed_tokens(run: Run, piece: Sequence[int]) -> int:
    """Tokens that a piece costs at one draw, its padding counted."""
    if run.packed:
        return sum(run.lengths[p] for p in piece)
    return len(piece) * max((run.lengths[p] for p in piece), default=0)


def _refuse_not_finite(run: Run, loss: float, norm: float, batch: Sequence[int]) -> None:
    if np.isfinite(loss) and np.isfinite(norm):
        return
    rates = ", ".join(f"{rate:.2g}" for rate in run.scheduler.get_last_lr())
    ids = ", ".join(run.train.split.articles[p].id for p in batch)
    raise CheckFailed(
        f"training stopped at step {run.position.step + 1}: loss {loss}, gradient norm {norm}",
        reasons=[f"learning rates {rates}", f"articles {ids}"],
        hint="look at these articles' labels, or lower --learning-rate",
    )
