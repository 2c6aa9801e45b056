"""From a scenario to a case: names looked up, defaults filled in, each marked, every fault told at once."""

from __future__ import annotations

from typing import Any

from suanli.case import Case, Origin, Problem, product_formats
from suanli.catalogs import Catalog
from suanli.errors import ScenarioError
from suanli.lookups import Resolver
from suanli.models import Model
from suanli.operators import How
from suanli.specs import Scenario

LONGEST_DEFAULT = 8192
"""Tokens a training sequence has by default, unless the model's context is shorter."""
BATCH_TOKENS = 2**22
"""Tokens a training step has by default, about what the LLaMA models were trained with (Touvron et al. 2023)."""
RESERVE_SHARE = 0.06
"""Of memory, kept free in training by default: runtime, communication buffers, fragmentation."""
PROMPT, OUTPUT = 1024, 256
"""Tokens of a request by default."""


def resolve(catalog: Catalog, scenario: Scenario, models: dict[str, Model]) -> Case:
    """The case of a scenario, but for its layout.

    Raises:
        ScenarioError: Naming every field that cannot be looked up or does not go with the others.
    """
    r = Resolver(catalog, scenario, models)
    workload = scenario.workload
    training = workload.training
    model, system = r.model(), r.system()
    device = system.device if system is not None else None
    recipe = r.recipe(training, device, model) if device is not None else None
    kind = "training" if training else "serving"

    implementation = scenario.implementation
    name = r.value("implementation.profile", implementation.profile, "megatron" if training else "vllm")
    profile = r.attempt("implementation.profile", lambda: catalog.get("profile", name))
    if profile is not None and profile.kind != kind:
        known = [e.name for e in catalog.entries("profile") if e.value.kind == kind]
        r.faults.append(
            f"implementation.profile: {profile.name!r} is for {profile.kind}; for {kind}: {', '.join(known)}"
        )
    if profile is not None and training and not profile.activations:
        r.faults.append(
            f"implementation.profile: training with {profile.name!r} is not there yet; use megatron or fused"
        )
    unused = ("gradients", "main_gradients", "master_weights", "optimizer_states")
    for field in () if training else unused:
        if getattr(scenario.precision, field) is not None:
            r.faults.append(f"precision.{field}: has no meaning for serving")
    if training and implementation.memory_fraction is not None:
        r.faults.append("implementation.memory_fraction: has no meaning for training; see assumptions.reserve")
    if training and implementation.graphs is not None:
        r.faults.append("implementation.graphs: has no meaning for training")
    if training and implementation.block_size is not None:
        r.faults.append("implementation.block_size: has no meaning for training")
    optimizer = None
    if training:
        chosen = r.value("optimizer.name", scenario.optimizer.name, "adamw")
        optimizer = r.attempt("optimizer.name", lambda: catalog.get("optimizer", chosen))
    elif scenario.optimizer.name is not None:
        r.faults.append("optimizer.name: serving has no optimizer")
    products = None
    if device is not None and recipe is not None:
        products = r.attempt("precision", lambda: product_formats(device, recipe, catalog.formats))
    if r.faults or model is None or system is None or profile is None or products is None:
        raise ScenarioError(list(dict.fromkeys(r.faults)))
    assert device is not None
    assert recipe is not None
    stored = dict(catalog.element_bytes)
    stored |= {"activations": stored[recipe.activations], "cache": stored[recipe.kv_cache], "mask": 1.0}
    stored |= {"logits": stored[recipe.logits]}
    how = How(
        attention=r.value("implementation.attention", implementation.attention, profile.attention),
        dropout=r.value("implementation.dropout", implementation.dropout, 0.0),
        fused=profile.fused,
        unfused=profile.unfused,
        passes=profile.passes,
    )
    assumptions = scenario.assumptions
    reserve, why_reserve = 0, "the engine's memory fraction"
    if training:
        reserve, why_reserve = int(RESERVE_SHARE * device.capacity_bytes), "6 %: runtime, buffers, fragmentation"
    case = Case(
        scenario=scenario,
        kind=workload.kind,
        model=model,
        system=system,
        device=device,
        recipe=recipe,
        formats=products[0],
        core_formats=products[1],
        stored=stored,
        optimizer=optimizer,
        profile=profile,
        how=how,
        overlap=r.value("implementation.overlap", implementation.overlap, profile.overlap),
        axes=catalog.axes,
        schedules=catalog.schedules,
        memory_fraction=1.0
        if training
        else r.value("implementation.memory_fraction", implementation.memory_fraction, profile.memory_fraction),
        graphs=profile.graphs
        if training
        else r.value("implementation.graphs", implementation.graphs, profile.graphs, "the profile's"),
        block_size=r.value("implementation.block_size", implementation.block_size, None, "what the model needs"),
        reserve_bytes=r.value("assumptions.reserve", assumptions.reserve, reserve, why_reserve),
        **r.prices(device),
        pue=r.value("assumptions.pue", assumptions.pue, 1.0, "the machines alone"),
        origins=r.origins,
        problems=r.problems,
    )
    _workload(r, case)
    if r.faults:
        raise ScenarioError(list(dict.fromkeys(r.faults)))
    _notes(case)
    return case


def _workload(r: Resolver, case: Case) -> None:
    given: Any = case.scenario.workload
    if case.training:
        limit = case.model.context or 2048
        case.sequence = r.value(
            "workload.sequence", given.sequence, min(limit, LONGEST_DEFAULT), "the model's context, 8192 at most"
        )
        tokens = max(1, BATCH_TOKENS // case.sequence)
        case.global_batch = r.value("workload.global_batch", given.global_batch, tokens, "about 4M tokens a step")
        case.tokens = given.tokens
        if given.tokens is not None:
            r.origins["workload.tokens"] = Origin(origin="given")
        if given.kind == "finetune":
            r.value("workload.method", given.method, "full")
    else:
        case.prompt = r.value("workload.prompt", given.prompt, PROMPT)
        case.output = r.value("workload.output", given.output, OUTPUT)
        case.prefix_hit_ratio = given.prefix_hit_ratio
        r.origins["workload.prefix_hit_ratio"] = Origin(origin="given" if given.prefix_hit_ratio else "default")
        case.concurrency = given.concurrency
        case.batch = given.batch
        if given.concurrency is not None:
            r.origins["workload.concurrency"] = Origin(origin="given")
        else:
            case.batch = r.value("workload.batch", given.batch, 1)
        length = case.prompt + case.output
        _context(r, case, length, "prompt and output")
    if case.training:
        _context(r, case, case.sequence, "the sequence")


def _context(r: Resolver, case: Case, length: int, what: str) -> None:
    limit = case.model.context
    if limit is not None and length > limit:
        case.problems.append(
            Problem(
                code="past-context",
                severity="warning",
                message=f"{what} of {length} tokens is past the {limit} that {case.model.name} was made for",
                hint="shorten it, or take a model with a longer context",
            )
        )


def _notes(case: Case) -> None:
    for note in case.model.notes:
        if case.model.nearest and note.startswith("model_type"):
            hint = "name the model_type it resembles, or add a family for it"
            case.problems.append(Problem(code="unknown-model-type", severity="warning", message=note, hint=hint))
        elif note.startswith("MISMATCH"):
            hint = "the configuration may be another model's, or the files of a part of it"
            case.problems.append(Problem(code="checkpoint-mismatch", severity="warning", message=note, hint=hint))
        else:
            case.problems.append(Problem(code="model", severity="note", message=note))
    wanted = case.recipe.compute
    got = case.formats.compute
    if case.formats.precision != got and case.recipe.weights != wanted:
        return
    known = {f.name: f.compute for f in case.device.formats}
    if known.get(wanted, wanted) != got:
        case.problems.append(
            Problem(
                code="widened-precision",
                severity="warning",
                message=f"{case.device.id} has no {wanted} path; products run in {got}",
                hint="choose a precision the accelerator computes in",
            )
        )
