"""suanli (算力): does it fit, how fast is it, how many do I need, what does it cost, and why.

The names below are the public interface. They are loaded when first used:
importing the package loads no plugin and no NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suanli.api import (
        accelerator as accelerator,
        catalog as catalog,
        estimate as estimate,
        explain as explain,
        load as load,
        model as model,
        rule as rule,
        rules as rules,
        scenario as scenario,
        schema as schema,
        search as search,
        system as system,
    )
    from suanli.case import Case as Case, Problem as Problem
    from suanli.catalog_files import read_catalog as read_catalog
    from suanli.collectives import CollectiveModel as CollectiveModel, Hierarchical as Hierarchical
    from suanli.errors import (
        CatalogError as CatalogError,
        InvalidInputError as InvalidInputError,
        ModelConfigError as ModelConfigError,
        NotThereYetError as NotThereYetError,
        PluginError as PluginError,
        ScenarioError as ScenarioError,
        SuanliError as SuanliError,
        UnknownNameError as UnknownNameError,
    )
    from suanli.formulas import Derivation as Derivation, fact as fact, formula as formula, scaled as scaled, total as total, trace as trace
    from suanli.hardware import Accelerator as Accelerator, Rate as Rate, Source as Source, System as System, Tier as Tier
    from suanli.hookspecs import hookimpl as hookimpl
    from suanli.kernels import Efficiency as Efficiency, Kernel as Kernel, KernelModel as KernelModel
    from suanli.kernels import Roofline as Roofline, elementwise as elementwise
    from suanli.layout import Layout as Layout, LayoutTable as LayoutTable
    from suanli.models import Block as Block, Model as Model, ModelFamily as ModelFamily, ModelPreset as ModelPreset
    from suanli.models import Profile as Profile
    from suanli.numeric import Number as Number, ceil as ceil, floor as floor, is_scalar as is_scalar, maximum as maximum, minimum as minimum
    from suanli.numeric import where as where
    from suanli.operators import (
        Attention as Attention,
        Embedding as Embedding,
        Experts as Experts,
        Linear as Linear,
        Loss as Loss,
        Operator as Operator,
        Pointwise as Pointwise,
    )
    from suanli.optimizer import ElementwiseOptimizer as ElementwiseOptimizer, OptimizerRule as OptimizerRule
    from suanli.optimizer import StateTensor as StateTensor
    from suanli.parallelism import (
        Exchange as Exchange,
        ParallelismRule as ParallelismRule,
        PipelineSchedule as PipelineSchedule,
        StateShards as StateShards,
        StepExchange as StepExchange,
        partial_gradients as partial_gradients,
        partial_sums as partial_sums,
        role_sizes as role_sizes,
    )
    from suanli.precision import NumberFormat as NumberFormat, Recipe as Recipe
    from suanli.report import Report as Report
    from suanli.rulebook import Answer as Answer, Rule as Rule
    from suanli.scenarios import Scenario as Scenario
    from suanli.layout_search import Plan as Plan, SearchResult as SearchResult
    from suanli.stages import Stage as Stage
    from suanli.tensors import Dim as Dim, Local as Local, Parameter as Parameter, Tensor as Tensor
    from suanli.workload import Finetune as Finetune, Pretrain as Pretrain, Serve as Serve
    from suanli.workspace import Workspace as Workspace

api_version = "1"
"""Of the interface plugins are written against; it changes when a hook or value breaks."""

_HOMES: dict[str, str] = {
    "api": "accelerator catalog estimate explain load model rule rules scenario schema search system",
    "case": "Case Problem",
    "catalog_files": "read_catalog",
    "collectives": "CollectiveModel Hierarchical",
    "errors": "CatalogError InvalidInputError ModelConfigError NotThereYetError PluginError ScenarioError SuanliError UnknownNameError",
    "formulas": "Derivation fact formula scaled total trace",
    "hardware": "Accelerator Rate Source System Tier",
    "hookspecs": "hookimpl",
    "kernels": "Efficiency Kernel KernelModel Roofline elementwise",
    "layout": "Layout LayoutTable",
    "models": "Block Model ModelFamily ModelPreset Profile",
    "numeric": "Number ceil floor is_scalar maximum minimum where",
    "operators": "Attention Embedding Experts Linear Loss Operator Pointwise",
    "optimizer": "ElementwiseOptimizer OptimizerRule StateTensor",
    "parallelism": "Exchange ParallelismRule PipelineSchedule StateShards StepExchange partial_gradients partial_sums role_sizes",
    "precision": "NumberFormat Recipe",
    "report": "Report",
    "rulebook": "Answer Rule",
    "scenarios": "Scenario",
    "layout_search": "Plan SearchResult",
    "stages": "Stage",
    "tensors": "Dim Local Parameter Tensor",
    "workload": "Finetune Pretrain Serve",
    "workspace": "Workspace",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME, "api_version"])  # noqa: PLE0605

def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("suanli")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'suanli' has no attribute {name!r}")
    value = getattr(import_module(f"suanli.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
