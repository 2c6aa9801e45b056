"""An architecture of Acme's own: attention and feed-forward side by side, behind one norm."""

from __future__ import annotations

from typing import ClassVar

import attrs
from attrs.validators import gt

from suanli import Attention, Block, Dim, Embedding, Linear, Loss, ModelFamily, Pointwise, Tensor
from suanli.tensors import FFN, HEAD_DIM, HEADS, HIDDEN, KV_HEADS, VOCABULARY, tokens


def _size() -> int:
    return attrs.field(validator=gt(0))  # type: ignore[no-any-return]


@attrs.frozen(kw_only=True)
class Parallel(ModelFamily):
    """x + attention(norm(x)) + feed-forward(norm(x)), with one key and value head."""

    family: ClassVar[str] = "acme-parallel"
    model_types: ClassVar[tuple[str, ...]] = ("acme_parallel",)
    source: ClassVar[str] = "Acme technical report 7"

    vocab_size: int = _size()
    hidden_size: int = _size()
    num_layers: int = _size()
    num_heads: int = _size()

    def depth(self) -> int:
        """Layers."""
        return self.num_layers

    def _stream(self, name: str) -> Tensor:
        return Tensor(name=name, dims=tokens(Dim(HIDDEN, self.hidden_size)))

    def embedding(self) -> Block:
        """Token embedding."""
        table = Embedding(
            name="embedding",
            group="embedding",
            writes=(self._stream("stream"),),
            vocabulary=self.vocab_size,
            hidden=self.hidden_size,
        )
        return Block(name="embedding", operators=(table,))

    def decoder(self, layer: int) -> Block:
        """One layer."""
        h, heads = self.hidden_size, self.num_heads
        head = Dim(HEAD_DIM, h // heads)
        x, normed, z = self._stream("stream"), self._stream("normed"), self._stream("next")
        q = Tensor(name="q", dims=tokens(Dim(HEADS, heads), head))
        k = Tensor(name="k", dims=tokens(Dim(KV_HEADS, 1), head))
        v, seen = attrs.evolve(k, name="v"), attrs.evolve(q, name="seen")
        up = Tensor(name="up", dims=tokens(Dim(FFN, 4 * h)))
        active = attrs.evolve(up, name="active")
        a, m = self._stream("attention.out"), self._stream("mlp.out")
        width = (Dim(HIDDEN, h),)
        return Block(
            name="parallel",
            checkpoint=x,
            operators=(
                Pointwise(name="norm", group="norm", reads=(x,), writes=(normed,), width=width),
                Linear(name="qkv", group="attention", reads=(normed,), writes=(q, k, v), inputs=width),
                Attention(
                    name="core",
                    group="attention_core",
                    reads=(q, k, v),
                    writes=(seen,),
                    heads=heads,
                    kv_heads=1,
                    head_dim=h // heads,
                ),
                Linear(name="out", group="attention", reads=(seen,), writes=(a,), inputs=(Dim(HEADS, heads), head)),
                Linear(name="up", group="mlp", reads=(normed,), writes=(up,), inputs=width),
                Pointwise(name="gelu", group="mlp", reads=(up,), writes=(active,)),
                Linear(name="down", group="mlp", reads=(active,), writes=(m,), inputs=(Dim(FFN, 4 * h),)),
                Pointwise(name="sum", group="residual", reads=(x, a, m), writes=(z,), keeps_input=False),
            ),
        )

    def head(self) -> Block:
        """Norm, logits, loss."""
        width = (Dim(HIDDEN, self.hidden_size),)
        final = self._stream("final")
        logits = Tensor(name="logits", dims=tokens(Dim(VOCABULARY, self.vocab_size)))
        return Block(
            name="head",
            operators=(
                Pointwise(name="norm", group="norm", reads=(self._stream("stream"),), writes=(final,), width=width),
                Linear(name="lm_head", group="head", reads=(final,), writes=(logits,), inputs=width),
                Loss(
                    name="loss",
                    group="loss",
                    reads=(logits,),
                    writes=(Tensor(name="loss", dims=tokens(), format="fp32"),),
                ),
            ),
        )
