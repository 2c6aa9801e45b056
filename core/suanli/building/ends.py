"""What stands before and after the layers: embedding and head."""

from __future__ import annotations

import attrs

from suanli.building.parts import latent, linear, norm, stream
from suanli.models import Block
from suanli.operators import Embedding, Loss, Operator
from suanli.tensors import VOCABULARY, Dim, Tensor, tokens


def embedding(
    vocabulary: int, hidden: int, *, positions: int = 0, dropout: bool = False, normed: bool = False, narrow: int = 0
) -> Block:
    """Token embedding, with learned positions, a projection from `narrow` and a norm where there are some."""
    out = stream("stream", hidden)
    table = Embedding(
        name="embedding",
        group="embedding",
        writes=(latent("narrow", narrow) if narrow else stream("embedded", hidden) if normed else out,),
        vocabulary=vocabulary,
        hidden=narrow or hidden,
        positions=positions,
        position_width=hidden,
        dropout=dropout,
    )
    found: list[Operator] = [table]
    if narrow:
        found.append(linear("project_in", "embedding", table.writes[0], out))
    if normed:
        found.append(norm("embedding_norm", table.writes[0], out, kind="layer"))
    return Block(name="embedding", operators=tuple(found))


def head(
    vocabulary: int, hidden: int, *, tied: bool, kind: str | None = "rms", bias: bool = False, narrow: int = 0
) -> Block:
    """The last norm (None for none), logits and loss; the logits' weight may be the embedding's."""
    last, normed = stream("stream", hidden), stream("final", hidden)
    logits = Tensor(name="logits", dims=tokens(Dim(VOCABULARY, vocabulary)))
    losses = Tensor(name="loss", dims=tokens(), format="fp32")
    found: list[Operator] = [norm("final_norm", last, normed, kind=kind)] if kind else []
    source = normed if kind else last
    if narrow:
        found.append(linear("project_out", "head", source, latent("narrow", narrow)))
        source = latent("narrow", narrow)
    found += [
        attrs.evolve(linear("lm_head", "head", source, logits, bias=bias), tied=tied),
        Loss(name="loss", group="loss", reads=(logits,), writes=(losses,)),
    ]
    return Block(name="head", operators=tuple(found))
