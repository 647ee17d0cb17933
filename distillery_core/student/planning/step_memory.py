"""Memory of one training step, in bytes, from a base's shape.

Checked against measured steps by tests/student/test_plan.py:

    weights      4 per parameter when all are trained (float32), 2 or 4 for a frozen base, 0.516 for
                 a frozen matrix in 4 bits (nf4 with double quantisation)
    gradients    4 per trained parameter; twice where several processes exchange them, since DDP
                 gathers them in buckets of the same size
    optimizer    8 per trained parameter (AdamW keeps two float32 means)
    casts        2 per matrix parameter, where float32 weights are used in bf16
    activations  per token and layer, from what PyTorch keeps for the backward pass:
                 norms 4 * hidden in float32; attention and feed-forward in the compute type
                 4 * hidden + 3 * key_value + 4 * inner (gated), or 2 * hidden + 2 * key_value
                 + 2 * inner (plain). Where attention is computed as plain products (attention.py:
                 packed articles on a CPU, each of up to 1,024 tokens), its softmax is kept too,
                 heads * length of the article; then the head reads one token an article, and the
                 last layer keeps neither that nor, in most bases, its feed-forward (last_layer.py).
                 Under gradient checkpointing one layer, and `hidden` numbers in float32 for each
    workspace    gradients of one layer's activations, and the largest 4-bit matrix unpacked
    overhead     the runtime itself: CUDA's context and the allocator's slack
"""

from __future__ import annotations

from dataclasses import dataclass

from distillery_core.student.heads import mlp_parameters
from distillery_core.student.planning.shape import Shape
from distillery_core.student.settings import FrozenHead, Method

GIB = 2**30
_NF4_BYTES = 0.516


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one training step, by what they are for."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    overhead: float

    @property
    def total(self) -> float:
        """All together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.overhead


def gib(amount: float, digits: int = 1) -> str:
    """Bytes in words: `14.2 GiB`."""
    return f"{amount / GIB:.{digits}f} GiB"


def digits_apart(one: float, other: float) -> int:
    """How many digits `gib` needs for two amounts to read differently."""
    return next((n for n in range(1, 9) if gib(one, n) != gib(other, n)), 1)


def trained_parameters(
    shape: Shape, method: Method, rank: int, frozen_head: FrozenHead = "ridge"
) -> int:
    """How many parameters a method trains."""
    if method == "full":
        return shape.parameters
    if method == "frozen":
        by_mlp = frozen_head == "mlp"
        return mlp_parameters(shape.hidden, shape.outputs) if by_mlp else shape.output_layer
    return rank * shape.linear_sides + shape.head


def step_memory(
    shape: Shape,
    method: Method,
    tokens: int,
    *,
    rank: int = 16,
    frozen_head: FrozenHead = "ridge",
    bf16: bool = True,
    frozen_bytes: int = 2,
    checkpointing: bool = False,
    attended: int = 0,
    processes: int = 1,
    overhead: float = 0.0,
) -> Memory:
    """Memory of one training step with so many padded tokens at a time, in bytes.

    Args:
        rank: of the adapters.
        frozen_head: what is fitted on a frozen base.
        bf16: compute in bf16, else in float32.
        frozen_bytes: per parameter of LoRA's frozen base.
        attended: tokens of each article, where attention keeps its softmax; else 0.
        processes: that share the run; the memory is that of one of them.
    """
    trained = trained_parameters(shape, method, rank, frozen_head)
    kept = 0 if method == "frozen" else _kept_per_token(shape, bf16, checkpointing, attended)
    casts = 2 * shape.linear if bf16 and method == "full" else 0
    return Memory(
        weights=_weight_bytes(shape, method, trained, frozen_bytes) + casts,
        gradients=4.0 * trained * (2 if processes > 1 else 1),
        optimizer=8.0 * trained,
        activations=tokens * kept + _workspace(shape, method, tokens),
        overhead=overhead,
    )


def _weight_bytes(shape: Shape, method: Method, trained: int, frozen_bytes: int) -> float:
    if method in ("full", "frozen"):
        return 4.0 * shape.parameters
    frozen = shape.parameters - shape.head
    if method == "lora":
        return float(frozen_bytes * frozen + 4 * trained)
    return _NF4_BYTES * shape.linear + 2.0 * (frozen - shape.linear) + 4.0 * trained


def _kept_per_token(shape: Shape, bf16: bool, checkpointing: bool, attended: int) -> float:
    width = 2 if bf16 else 4
    wide, narrow, inner = (4, 3, 4) if shape.gated else (2, 2, 2)
    feed_forward = width * inner * shape.inner
    softmax = width * shape.heads * attended
    layer = 16 * shape.hidden + width * (wide * shape.hidden + narrow * shape.key_value)
    layer += feed_forward + softmax
    if checkpointing:
        return layer + 4 * shape.hidden * shape.layers
    reads_one = attended and shape.by_token
    return layer * shape.layers - softmax - (feed_forward if reads_one else 0)


def _workspace(shape: Shape, method: Method, tokens: int) -> float:
    unpacked = 2 * shape.largest if method == "qlora" else 0
    return tokens * 4 * ((2 if shape.gated else 1) * shape.inner + shape.hidden) + unpacked
