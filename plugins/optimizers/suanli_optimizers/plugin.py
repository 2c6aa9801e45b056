"""What this plugin gives: SGD, momentum, Adam, AdamW."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import ElementwiseOptimizer, OptimizerRule, hookimpl

ADAM = ("exp_avg", "exp_avg_sq")


@hookimpl
def suanli_optimizers() -> Iterable[OptimizerRule]:
    """Rules whose states have the shape of the parameter; FLOPs counted from the update as published."""
    yield ElementwiseOptimizer(name="sgd", flops_per_parameter=2.0, source="Robbins & Monro 1951")
    yield ElementwiseOptimizer(
        name="momentum", aliases=("sgd-momentum",), tensors=("momentum",), flops_per_parameter=4.0, source="Polyak 1964"
    )
    yield ElementwiseOptimizer(
        name="adam", tensors=ADAM, flops_per_parameter=12.0, source="Kingma & Ba 2015, algorithm 1"
    )
    yield ElementwiseOptimizer(
        name="adamw", tensors=ADAM, flops_per_parameter=14.0, source="Loshchilov & Hutter 2019, algorithm 2"
    )
