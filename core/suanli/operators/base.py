"""What every operator states, and what of an implementation it needs to know."""

from __future__ import annotations

import functools

import attrs

from suanli.kernels import Kernel
from suanli.numeric import Number, minimum
from suanli.tensors import Local, Parameter, Tensor


@attrs.frozen(kw_only=True)
class How:
    """What of an implementation the operators need to know.

    Attributes:
        attention: ``"flash"`` (scores never leave the chip) or ``"eager"`` (scores are written out).
        dropout: Probability; 0 keeps no mask.
        fused: Whether residuals and rotations are folded into their neighbours' passes.
        passes: Passes over memory an elementwise step takes, next to one fused kernel.
        unfused: Whether every elementary step keeps what its own gradient needs, as in a framework's plain modules.
    """

    attention: str = "flash"
    dropout: float = 0.0
    fused: bool = False
    passes: float = 1.0
    unfused: bool = False


@attrs.frozen(kw_only=True)
class Operator:
    """One step of a block; architectures and plugins derive from this.

    Attributes:
        name: Unique in its block.
        group: What its parameters and FLOPs are counted under.
        reads: Tensors it takes.
        writes: Tensors it makes.
    """

    name: str
    group: str
    reads: tuple[Tensor, ...] = ()
    writes: tuple[Tensor, ...] = ()

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Its weights."""
        return ()

    @property
    def reduces(self) -> tuple[str, ...]:
        """Roles it sums over: where one of them is divided, what it writes is a partial sum."""
        return ()

    @property
    def expands(self) -> tuple[str, ...]:
        """Roles it introduces: where one of them is divided, the gradient of what it reads is a partial sum."""
        return ()

    @property
    def cached(self) -> tuple[Tensor, ...]:
        """Tensors kept for later tokens, of KV_SEQUENCE length or of none."""
        return ()

    @property
    def window(self) -> int:
        """Tokens its cache is limited to; 0 for no limit."""
        return 0

    def entries(self, tensor: Tensor, tokens: Number) -> Number:
        """Entries along KV_SEQUENCE a cached tensor holds after `tokens` of one sequence."""
        return minimum(tokens, float(self.window)) if self.window else tokens

    def flops(self, at: Local) -> Number:
        """Matrix FLOPs of the forward pass on this rank."""
        return 0.0

    def forward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        """Kernels of the forward pass."""
        return ()

    def backward(self, at: Local, how: How) -> tuple[Kernel, ...]:
        """Kernels of the backward pass."""
        return ()

    def kept(self, how: How) -> tuple[Tensor, ...]:
        """Tensors the backward pass needs."""
        return ()
