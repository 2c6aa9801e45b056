"""Which weights of a model low-rank adapters are put on, and how many parameters they have."""

from __future__ import annotations

import math
from collections.abc import Iterator

from suanli import Asked, Block, Experts, Linear, Model, Parameter, SuanliError, UnknownNameError, formula

EVERY = "all-linear"
"""The target that means every matrix of the layers."""

NAMES: dict[str, tuple[str, ...]] = {
    "q_proj": ("query",),
    "k_proj": ("key",),
    "v_proj": ("value",),
    "o_proj": ("attention.out",),
    "up_proj": ("up",),
    "gate_proj": ("gate",),
    "down_proj": ("mlp.out", "shared.out", "down"),
    "qkv_proj": ("query", "key", "value"),
    "gate_up_proj": ("gate", "up"),
    "query_key_value": ("query", "key", "value"),
    "c_attn": ("query", "key", "value"),
    "c_proj": ("attention.out", "mlp.out"),
    "c_fc": ("up",),
    "dense": ("attention.out",),
    "dense_h_to_4h": ("gate", "up"),
    "dense_4h_to_h": ("mlp.out",),
    "lm_head": ("logits",),
}
"""Names people give as targets, those of huggingface/transformers modules, and how the tensors they make end."""


@formula(unit="parameters", source="Hu et al. 2022, LoRA, sec. 4.1; Dettmers et al. 2023, QLoRA")
def lora_parameters(*, asked: Asked, rank: float, targets: tuple[str, ...] = ("q_proj", "v_proj")) -> float:
    """Trainable parameters: two matrices of the rank for each one adapted, in the shapes of the model's own."""
    if asked.model is None:
        raise SuanliError("model: required: the shapes are the model's")
    count = 0.0
    for target in targets:
        shapes = list(_adapted(asked.model, target))
        if not shapes:
            known = [EVERY, *(name for name in NAMES if any(_adapted(asked.model, name)))]
            raise UnknownNameError(f"matrix of {asked.model.name}", target, known)
        for times, inputs, outputs in shapes:
            count = count + times * rank * (inputs + outputs)
    return count


def _adapted(model: Model, target: str) -> Iterator[tuple[int, int, int]]:
    """How often, and between which widths, a target is adapted; matrices one module makes share an adapter."""
    for block, times in (*model.kinds, *([] if target == EVERY else [(model.head, 1)])):
        for group in _groups(block, target):
            yield times * math.prod(group[0].matrix[:-2]), group[0].matrix[-1], sum(p.matrix[-2] for p in group)


def _groups(block: Block, target: str) -> Iterator[list[Parameter]]:
    """The matrices of a block a target means, those of one product together."""
    for op in block.operators:
        if not isinstance(op, (Linear, Experts)):
            continue
        matrices = {p.name.removeprefix(f"{op.name}."): p for p in op.parameters if not p.name.endswith(".bias")}
        if target == EVERY:
            yield from ([p] for p in matrices.values())
            continue
        ends = NAMES.get(target, (target,))
        meant = [p for name, p in matrices.items() if any(name == e or name.endswith(f".{e}") for e in ends)]
        if meant:
            yield meant
