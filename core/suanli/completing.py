"""The scenario of a case with everything filled in."""

from __future__ import annotations

from typing import Any

from suanli.case import Case
from suanli.layout import Layout
from suanli.secrecy import hides_reserve
from suanli.updates import own_state_formats

_OPTIONAL = ("gradients", "main_gradients", "master_weights")


def complete(case: Case, layout: Layout) -> dict[str, Any]:
    """The scenario with everything filled in, as plain data that makes the same case again."""
    data = case.scenario.to_dict()
    data["system"] = {"name": case.system.id, "accelerators": case.system.accelerators}
    if case.training:
        data["workload"] |= {"sequence": case.sequence, "global_batch": case.global_batch}
        if case.kind == "finetune":
            data["workload"]["method"] = "full"
        data["optimizer"] = {"name": case.optimizer.name if case.optimizer else None}
    else:
        data["workload"] |= {"prompt": case.prompt, "output": case.output, "prefix_hit_ratio": case.prefix_hit_ratio}
        if case.batch is not None:
            data["workload"]["batch"] = case.batch
    used = layout.to_dict()
    serving_only = ("attention_data", "replicas")
    training_only = ("micro_batch", "virtual_stages", "schedule", "zero", "recompute", "data")
    skip = serving_only if case.training else training_only
    data["layout"] = {k: v for k, v in used.items() if k not in skip}
    recipe = case.recipe
    names: tuple[str, ...] = (
        "weights",
        "gradients",
        "main_gradients",
        "master_weights",
        "optimizer_states",
        "activations",
        "kv_cache",
        "compute",
    )
    if not case.training:
        names = ("weights", "activations", "kv_cache", "compute")
    elif own_state_formats(case):  # told again, the recipe's would be the scenario's, and hold for these too
        names = tuple(n for n in names if n != "optimizer_states")
    data["precision"] = {"recipe": recipe.name.removeprefix("serve-")}
    data["precision"] |= {n: getattr(recipe, n) or "none" for n in names if getattr(recipe, n) or n in _OPTIONAL}
    data["implementation"] = {
        "profile": case.profile.name,
        "attention": case.how.attention,
        "dropout": case.how.dropout,
        "overlap": case.overlap,
    }
    if not case.training:
        data["implementation"]["memory_fraction"] = case.memory_fraction
        data["implementation"]["graphs"] = case.graphs
        if case.block_size is not None:
            data["implementation"]["block_size"] = case.block_size
    data["assumptions"] = {
        "reserve": None if hides_reserve(case) else case.reserve_bytes,
        "price_per_hour": case.price_per_hour,
        "electricity_price": case.electricity_price,
        "currency": case.currency,
        "pue": case.pue,
    }
    return data
