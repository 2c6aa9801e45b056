"""What a block is made of.

An operator states its tensors, its parameters and the roles it reduces over,
and derives from them its FLOPs, the kernels it launches and the tensors it keeps for the backward pass.
Formulas live here once; an architecture only arranges operators.
"""

from __future__ import annotations

from suanli.operators.attention import Attention
from suanli.operators.base import How, Operator
from suanli.operators.experts import Experts
from suanli.operators.latent import CompressedAttention, Compressor, Indexer, LatentAttention
from suanli.operators.linear import Embedding, Linear, Loss, Product
from suanli.operators.pointwise import Pointwise
from suanli.operators.scan import CausalConv, DeltaScan, Scan, SelectiveScan

__all__ = [
    "Attention",
    "CausalConv",
    "CompressedAttention",
    "Compressor",
    "DeltaScan",
    "Embedding",
    "Experts",
    "How",
    "Indexer",
    "LatentAttention",
    "Linear",
    "Loss",
    "Operator",
    "Pointwise",
    "Product",
    "Scan",
    "SelectiveScan",
]
