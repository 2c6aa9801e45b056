"""What a phase or an attention does with each byte it moves."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import Asked, Attention, Block, Local, Model, Number, SuanliError, formula
from suanli.operators import How
from suanli_handbook.asking import model_of, whole
from suanli_handbook.citations import FLASH, FLAT, INFERENCE, KIPPLY, ROOFLINE
from suanli_handbook.making import _rule


@formula(unit="flops", source=f"definition: a multiply-add is two; {INFERENCE}")
def matmul_flops(*, m: float, n: float, p: float = 1.0) -> float:
    """FLOPs of an m x n matrix times an n x p one, or a vector."""
    return 2.0 * m * n * p


@formula(unit="flops", source=f"{KIPPLY}; {INFERENCE}")
def kv_projection_flops(*, layers: float, hidden: float, tokens: float = 1.0) -> float:
    """FLOPs to make keys and values of a token in every layer, each as wide as the model."""
    return tokens * 4.0 * layers * hidden * hidden


@formula(unit="s", source=f"{KIPPLY}; {INFERENCE}")
def kv_projection_read_time(*, layers: float, hidden: float, bandwidth_bytes_per_s: float, bytes: float = 2.0) -> float:
    """Seconds to read the weights that make keys and values."""
    return 2.0 * bytes * layers * hidden * hidden / bandwidth_bytes_per_s


@formula(unit="s", source=f"{KIPPLY}; {INFERENCE}, which divides by the sparse peak")
def kv_projection_time(*, layers: float, hidden: float, peak_flops_per_s: float, tokens: float = 1.0) -> float:
    """Seconds of the arithmetic that makes keys and values."""
    return kv_projection_flops(layers=layers, hidden=hidden, tokens=tokens) / peak_flops_per_s


@formula(unit="flops/byte", source=f"{FLASH}, algorithm 0; {INFERENCE}")
def attention_intensity(*, sequence: float, head_dim: float, bytes: float = 2.0) -> float:
    """FLOPs a byte of an attention that writes its scores out: Q, K in, S out; S in, P out; P, V in, O out."""
    flops = 4.0 * sequence * sequence * head_dim + 3.0 * sequence * sequence
    return flops / (bytes * (4.0 * sequence * sequence + 4.0 * sequence * head_dim))


@formula(unit="flops/byte", source=f"{FLASH}, theorem 2 for a large cache; {FLAT}; {INFERENCE}")
def fused_attention_intensity(*, sequence: float, head_dim: float, bytes: float = 2.0) -> float:
    """FLOPs a byte of an attention whose scores stay on the chip: Q, K, V in, O out."""
    flops = 4.0 * sequence * sequence * head_dim + 3.0 * sequence * sequence
    return flops / (bytes * 4.0 * sequence * head_dim)


@formula(unit="flops/byte", source=f"{ROOFLINE}; {INFERENCE}, whose table follows no one convention")
def phase_intensity(
    *, asked: Asked, prompt: float, output: float, batches: tuple[float, ...] = (1.0, 4.0, 8.0, 16.0)
) -> list[list[float]]:
    """FLOPs a byte of reading the prompts, and of writing all outputs, for each batch: the model's own operators."""
    model, context, steps = model_of(asked), whole("prompt", prompt), whole("output", output)
    prefill = [_intensity(model, batch, context, float(context), "prefill") for batch in batches]
    decode = [_intensity(model, batch, 1, context + steps / 2.0, "decode") for batch in batches]
    return [prefill, decode]


def _intensity(model: Model, batch: float, tokens: int, kv_tokens: float, phase: str) -> float:
    """FLOPs over bytes of a pass; only the last position is turned into logits, and no loss is taken."""
    flops = moved = 0.0
    for block, times in model.parts:
        length = 1.0 if block is model.head else float(tokens)
        at = Local(batch=float(batch), sequence=length, whole_sequence=length, kv_tokens=kv_tokens, phase=phase)
        of_block = _work(block, at)
        flops, moved = flops + times * of_block[0], moved + times * of_block[1]
    return flops / moved


def _work(block: Block, at: Local, how: How | None = None) -> tuple[float, float]:
    """FLOPs and bytes of the kernels of a block."""
    found = [k for op in block.operators if op.group != "loss" for k in op.forward(at, how or How())]
    return _sum(k.flops * k.launches for k in found), _sum(k.bytes * k.launches for k in found)


def _sum(terms: Iterable[Number]) -> float:
    total = 0.0
    for term in terms:
        total += float(term)
    return total


def _core(asked: Asked, attention: str) -> float:
    """FLOPs over bytes of the first attention of the model, every key for every query.

    Raises:
        SuanliError: Where it has none.
    """
    model, length = model_of(asked), float(whole("sequence", float(asked.inputs["sequence"])))
    at = Local(batch=1.0, sequence=length, whole_sequence=length, kv_tokens=length, causal=False)
    for block, _ in model.kinds:
        for op in block.operators:
            if isinstance(op, Attention):
                found = op.forward(at, How(attention=attention))
                return _sum(k.flops * k.launches for k in found) / _sum(k.bytes * k.launches for k in found)
    raise SuanliError(f"{model.name} has no attention")


def _projections(asked: Asked) -> float:
    """Weights of the model that make keys and values.

    Raises:
        SuanliError: Where it has none of that name.
    """
    found = 0.0
    for block, times in model_of(asked).kinds:
        made = [p.elements for p in block.parameters if p.name.endswith((".key", ".value"))]
        found += times * float(sum(made))
    if not found:
        raise SuanliError(f"{model_of(asked).name} makes keys and values by no matrices of their own")
    return found


OWN = "weights of the model that make keys and values"


def _multiplied(asked: Asked) -> float:
    return 2.0 * _projections(asked) * float(asked.inputs["tokens"])


def _read_s(asked: Asked) -> float:
    return _projections(asked) * float(asked.inputs["bytes"]) / float(asked.inputs["bandwidth_bytes_per_s"])


def _multiplied_s(asked: Asked) -> float:
    return _multiplied(asked) / float(asked.inputs["peak_flops_per_s"])


def _eager(asked: Asked) -> float:
    return _core(asked, "eager")


def _flash(asked: Asked) -> float:
    return _core(asked, "flash")


RULES = (
    _rule(
        "matmul-flops",
        matmul_flops,
        "2 m n p",
        "dense matrices",
        aliases=("2mnp",),
    ),
    _rule(
        "kv-projection-flops",
        kv_projection_flops,
        "4 l h^2 a token",
        "as many key-value heads as query heads",
        cases=("flops-52b-kv",),
        exact=_multiplied,
        exact_by=f"2 FLOPs for each of the {OWN}",
    ),
    _rule(
        "kv-projection-read-time",
        kv_projection_read_time,
        "2 l h^2 bytes / bandwidth",
        "as many key-value heads as query heads; at full bandwidth",
        aliases=("kv-projection-memory-time",),
        cases=("kv52b-memory",),
        exact=_read_s,
        exact_by=f"{OWN}, at the same bandwidth",
        over={"bandwidth_bytes_per_s": (2e12,)},
    ),
    _rule(
        "kv-projection-time",
        kv_projection_time,
        "4 l h^2 / F a token",
        "as many key-value heads as query heads; the dense peak of the format, at full rate",
        aliases=("kv-projection-compute-time",),
        cases=("kv52b-compute",),
        exact=_multiplied_s,
        exact_by=f"2 FLOPs for each of the {OWN}, at the same rate",
        over={"peak_flops_per_s": (312e12,)},
    ),
    _rule(
        "attention-intensity",
        attention_intensity,
        "(4 s^2 d + 3 s^2) / (bytes (4 s^2 + 4 s d))",
        "one head, scores written to memory, every key for every query",
        aliases=("attention-hbm-traffic",),
        cases=("attention-hbm-traffic",),
        exact=_eager,
        exact_by="FLOPs over bytes of the model's attention, scores written out, products alone counted",
        over={"sequence": (1024.0, 4096.0)},
    ),
    _rule(
        "fused-attention-intensity",
        fused_attention_intensity,
        "(4 s^2 d + 3 s^2) / (4 s d bytes)",
        "one head of its own keys, scores on the chip, every key for every query",
        aliases=("flash-attention-intensity",),
        exact=_flash,
        exact_by="FLOPs over bytes of the model's attention, scores on the chip, products alone counted",
        over={"sequence": (1024.0, 4096.0)},
    ),
    _rule(
        "phase-intensity",
        phase_intensity,
        "FLOPs / bytes of every kernel, prompt and output",
        "the whole model on one accelerator, 16 bits, fused attention; the cache as half way through the output",
        aliases=("phase-table", "prefill-decode-intensity"),
        cases=("gpt3-phase-table",),
    ),
)
