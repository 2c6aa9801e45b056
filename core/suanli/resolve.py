"""From a scenario to a case: names looked up, defaults filled in, each marked, every fault told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from suanli.case import Case, Origin, Problem, product_formats
from suanli.catalogs import Catalog
from suanli.errors import InvalidInputError, ScenarioError, SuanliError, clip
from suanli.finding import find_model
from suanli.hardware import Accelerator, System
from suanli.layout import Layout
from suanli.models import Model
from suanli.operators import How
from suanli.precision import Recipe
from suanli.prices import USUAL_CURRENCY
from suanli.secrecy import hides_reserve
from suanli.specs import Scenario
from suanli.storage import RECIPES
from suanli.updates import own_state_formats

T = TypeVar("T")

LONGEST_DEFAULT = 8192
"""Tokens a training sequence has by default, unless the model's context is shorter."""
BATCH_TOKENS = 2**22
"""Tokens a training step has by default, about what the LLaMA models were trained with (Touvron et al. 2023)."""
RESERVE_SHARE = 0.06
"""Of memory, kept free in training by default: runtime, communication buffers, fragmentation."""
PROMPT, OUTPUT = 1024, 256
"""Tokens of a request by default."""


class _Resolver:
    """Collects faults and origins while a scenario is looked up section by section."""

    def __init__(self, catalog: Catalog, scenario: Scenario, models: dict[str, Model]) -> None:
        self.catalog = catalog
        self.scenario = scenario
        self.models = models
        self.faults: list[str] = []
        self.origins: dict[str, Origin] = {}
        self.problems: list[Problem] = []

    def attempt(self, path: str, call: Callable[[], T]) -> T | None:
        """What `call` gives; None, and a fault noted, where it raises."""
        try:
            return call()
        except InvalidInputError as exc:
            self.faults += [f"{path}: {e}" for e in exc.errors]
        except SuanliError as exc:
            self.faults.append(f"{path}: {exc}")
        return None

    def value(self, path: str, given: T | None, default: T, why: str = "") -> T:
        """The given value, or the default; its origin is noted."""
        if given is not None:
            self.origins[path] = Origin(origin="given")
            return given
        self.origins[path] = Origin(origin="default", why=why)
        return default

    def model(self) -> Model | None:
        spec = self.scenario.model
        for field in ("name", "config", "family"):
            if getattr(spec, field) is not None:
                self.origins[f"model.{field}"] = Origin(origin="given")
        if spec.family is not None:
            return self.attempt("model", lambda: self._family(spec.family or "", spec.fields))
        if spec.config is not None:
            config = Path(spec.config) if isinstance(spec.config, str) else spec.config
            return self.attempt("model.config", lambda: find_model(self.catalog, config))
        return self.attempt("model.name", lambda: find_model(self.catalog, spec.name, self.models))

    def _family(self, name: str, fields: Mapping[str, Any]) -> Model:
        family = self.catalog.get("model family", name)
        made: Model = family.from_config(fields, "", own_names=True).model(name, known=self.catalog.known)
        return made

    def system(self) -> System | None:
        spec = self.scenario.system
        for field in ("name", "accelerator", "accelerators"):
            if getattr(spec, field) is not None:
                self.origins[f"system.{field}"] = Origin(origin="given")
        name = spec.name
        if name is None:
            device = self.attempt("system.accelerator", lambda: self.catalog.accelerator(spec.accelerator or ""))
            if device is None:
                return None
            self._siblings(spec.accelerator or "", device)
            name = device.default_system
            if name is None:
                self.faults.append(f"system.accelerator: {device.id} names no default system; give system.name")
                return None
            why = f"the default system of {device.id}"
            self.origins["system.name"] = Origin(origin="default", why=why)
        found = self.attempt("system.name", lambda: self.catalog.system(name, spec.accelerators))
        if found is not None and spec.accelerators is None:
            self.origins["system.accelerators"] = Origin(origin="default", why="one node")
        return found

    def _siblings(self, asked: str, device: Accelerator) -> None:
        if device.siblings and asked.strip().lower() != device.id:
            also = ", ".join(device.siblings)
            self.problems.append(
                Problem(
                    code="ambiguous-accelerator",
                    severity="note",
                    message=f"{asked!r} is taken to be {device.id} ({device.product}); it could also mean {also}",
                    hint="name the part you mean",
                )
            )

    def recipe(self, training: bool, device: Accelerator, model: Model | None) -> Recipe | None:
        spec = self.scenario.precision
        kind = "training" if training else "serving"
        half = "bf16" if device.peak_flops_per_s("bf16") else "fp16"
        default = f"{half}-mixed" if training else half
        why = "" if half == "bf16" else f"{device.id} has no bf16"
        stored = RECIPES.get(model.storage.format) if model is not None and model.storage is not None else None
        if stored is not None and not training:
            default, why = stored, "the configuration's quantization_config"
        name = self.value("precision.recipe", spec.recipe, default, why)

        def look_up() -> Recipe:
            for choice in (name, f"serve-{name}") if training else (f"serve-{name}", name):
                try:
                    found: Recipe = self.catalog.get("recipe", choice)
                except LookupError:
                    continue
                if found.kind == kind:
                    return found
            known = [e.name.removeprefix("serve-") for e in self.catalog.entries("recipe") if e.value.kind == kind]
            raise SuanliError(f"no {kind} recipe named {clip(name)!r}; known: {', '.join(known)}")

        found = self.attempt("precision.recipe", look_up)
        if found is None:
            return None
        given = {f.name: getattr(spec, f.name) for f in attrs.fields(type(spec)) if f.name != "recipe"}
        changed: dict[str, Any] = {}
        for field, form in given.items():
            if form is None:
                continue
            self.origins[f"precision.{field}"] = Origin(origin="given")
            if form == "none" and field in ("gradients", "main_gradients", "master_weights"):
                changed[field] = None
                continue
            known_form = self.attempt(f"precision.{field}", lambda form=form: self.catalog.get("precision", form))  # type: ignore[misc]
            if known_form is not None:
                changed[field] = known_form.name
        return attrs.evolve(found, **changed)

    def prices(self, device: Accelerator) -> dict[str, Any]:
        """What an hour and a kWh cost: as given; else the offer the catalog assumes, in the currency asked for.

        Where electricity alone is priced, the machines are one's own and nothing is assumed for them.
        """
        given = self.scenario.assumptions
        found: dict[str, Any] = {"electricity_price": given.electricity_price, "price_per_hour": given.price_per_hour}
        for field, value in found.items():
            if value is not None:
                self.origins[f"assumptions.{field}"] = Origin(origin="given")
        usual, why = USUAL_CURRENCY, ""
        if given.price_per_hour is None and given.electricity_price is not None:
            why_none = "the machines are one's own: electricity alone is paid"
            self.origins["assumptions.price_per_hour"] = Origin(origin="default", why=why_none)
            said = "an electricity price is given and no price of an hour: cost is electricity alone"
            hint = "add price_per_hour (--price-per-hour) for what the machines cost"
            self.problems.append(Problem(code="own-machines", severity="note", message=said, hint=hint))
        elif given.price_per_hour is None:
            offers = self.catalog.market(device.id, given.currency)
            if offers is None:
                found["no_price"] = self._no_price(device, given.currency)
                self.origins["assumptions.price_per_hour"] = Origin(origin="default", why=found["no_price"])
            else:
                price = offers.price
                found |= {"price": price, "price_per_hour": price.price_per_hour}
                self.origins["assumptions.price_per_hour"] = Origin(origin="default", why=offers.why)
                usual, why = price.currency, "" if price.currency == USUAL_CURRENCY else "the price's"
        found["currency"] = self.value("assumptions.currency", given.currency, usual, why)
        return found

    def _no_price(self, device: Accelerator, currency: str | None) -> str:
        other = self.catalog.market(device.id)
        if currency is None or other is None:
            return f"no current on-demand price of {device.id} is known"
        known = other.price.currency
        return f"prices of {device.id} are known in {known}, and no rate to {currency} is"


def resolve(catalog: Catalog, scenario: Scenario, models: dict[str, Model]) -> Case:
    """The case of a scenario, but for its layout.

    Raises:
        ScenarioError: Naming every field that cannot be looked up or does not go with the others.
    """
    r = _Resolver(catalog, scenario, models)
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


def _workload(r: _Resolver, case: Case) -> None:
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


def _context(r: _Resolver, case: Case, length: int, what: str) -> None:
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


_OPTIONAL = ("gradients", "main_gradients", "master_weights")
