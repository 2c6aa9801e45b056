"""Looking a scenario up section by section: what is given or a default, each with its origin, and every fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from suanli.case import Origin, Problem
from suanli.catalogs import Catalog
from suanli.errors import InvalidInputError, SuanliError, clip
from suanli.finding import find_model
from suanli.hardware import Accelerator, System
from suanli.models import Model
from suanli.precision import Recipe
from suanli.prices import USUAL_CURRENCY
from suanli.specs import Scenario
from suanli.storage import RECIPES

T = TypeVar("T")


class Resolver:
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
