"""What a configuration says of a model: exact where it is read, a rule of thumb where it is not."""

from __future__ import annotations

from suanli import Asked, SuanliError, formula
from suanli_handbook.asking import SEQUENCE, model_of, whole
from suanli_handbook.citations import INFERENCE, KAPLAN, KIPPLY
from suanli_handbook.making import DENSE, _rule


@formula(unit="parameters", source=f"the model's configuration, every tensor counted; {INFERENCE}")
def exact_parameters(*, params: float) -> float:
    """Parameters of a model, embedding, head, norms and biases included."""
    return params


@formula(unit="sizes, bytes, parameters", source=f"the model's configuration; {INFERENCE}, which leaves them blank")
def anatomy(
    *,
    asked: Asked,
    layers: float | None = None,
    hidden: float | None = None,
    heads: float | None = None,
    kv_heads: float | None = None,
    head_dim: float | None = None,
    per_token: float | None = None,
    params: float | None = None,
) -> dict[str, float | None]:
    """Sizes of a model, its cache for a token in 2 bytes, and its parameters; None for what it does not have."""
    if asked.model is None:
        raise SuanliError("model: required")
    sizes = {"head_dim": head_dim, "heads": heads, "layers": layers, "hidden": hidden, "kv_heads": kv_heads}
    return sizes | {"kv_bytes_per_token": per_token, "parameters": params}


@formula(unit="flops", source=f"{KAPLAN} and table 1; {INFERENCE}")
def flops_table(
    *, layers: float, hidden: float, ffn: float, sequence: float = SEQUENCE, vocab: float
) -> dict[str, float]:
    """FLOPs of a token's forward pass by operation; embed_params and N are parameters, C is the sum without the head.

    A causal mask leaves each token half of the sequence on average, of which both products are counted.
    """
    width = hidden
    count = 2.0 * hidden * layers * (2.0 * width + ffn)
    mask = 2.0 * layers * sequence * width
    return {
        "embed_params": (vocab + sequence) * hidden,
        "embed_flops": 4.0 * hidden,
        "qkv": 2.0 * layers * hidden * 3.0 * width,
        "mask": mask,
        "project": 2.0 * layers * width * hidden,
        "feed_forward": 2.0 * layers * 2.0 * hidden * ffn,
        "de_embed": 2.0 * hidden * vocab,
        "N": count,
        "C": 2.0 * count + mask,
    }


@formula(unit="flops", source=f"{KAPLAN}; {KIPPLY}; {INFERENCE}, which says C = 2 P = 12 l h^2: that is P")
def layer_flops(*, layers: float, hidden: float, sequence: float = SEQUENCE) -> float:
    """FLOPs of a token's forward pass through the layers: 2 for each of 12 l h^2 parameters.

    `sequence` is the length the estimator's figure is for; the rule has no attention in it.
    """
    return 24.0 * layers * hidden * hidden


def _through_layers(asked: Asked) -> float:
    """FLOPs of a token through the layers, the mean over a causal sequence."""
    tokens = whole("sequence", float(asked.inputs["sequence"]))
    count = model_of(asked).forward_flops(sequence=tokens)
    return (count.total - count.by_group.get("head", 0.0)) / tokens


RULES = (
    _rule(
        "exact-parameters",
        exact_parameters,
        "every tensor counted",
        "any model that can be read",
        aliases=("parameter-count", "model-size"),
        cases=(
            "llama-table-llama-7b",
            "llama-table-llama-13b",
            "llama-table-llama-33b",
            "llama-table-llama-65b",
        ),
    ),
    _rule(
        "anatomy",
        anatomy,
        "as configured",
        "any model that can be read; where layers differ, the largest of each size",
        aliases=("architecture", "model-anatomy"),
        cases=("chatglm3-anatomy",),
        reads={"per_token": "kv_bytes_per_token"},
    ),
    _rule(
        "flops-table",
        flops_table,
        "qkv 6 l h^2, mask 2 l s h, project 2 l h^2, feed-forward 4 l h f, head 2 h V; C = 2 N + 2 l s h",
        "GPT layers: two matrices in the feed-forward, as many key-value heads as query heads",
        aliases=("kaplan-table", "forward-flops-table"),
        cases=("flops-table-gpt3",),
    ),
    _rule(
        "layer-flops",
        layer_flops,
        "24 l h^2",
        f"{DENSE}; feed-forward of 4 h (or gated of 8/3 h), as many key-value heads as query heads, head left out",
        aliases=("24lh2", "c-equals-2p"),
        cases=("c-equals-2p",),
        exact=_through_layers,
        exact_by="FLOPs of a token through the layers, the mean over a causal sequence",
        over={"sequence": (2048.0, 8192.0)},
    ),
)
