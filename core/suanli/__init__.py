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
    )
    from suanli.api import (
        catalog as catalog,
    )
    from suanli.api import (
        estimate as estimate,
    )
    from suanli.api import (
        explain as explain,
    )
    from suanli.api import (
        export as export,
    )
    from suanli.api import (
        fit as fit,
    )
    from suanli.api import (
        load as load,
    )
    from suanli.api import (
        model as model,
    )
    from suanli.api import (
        plan_compute as plan_compute,
    )
    from suanli.api import (
        plan_serving as plan_serving,
    )
    from suanli.api import (
        plan_training as plan_training,
    )
    from suanli.api import (
        price as price,
    )
    from suanli.api import (
        rule as rule,
    )
    from suanli.api import (
        rules as rules,
    )
    from suanli.api import (
        scenario as scenario,
    )
    from suanli.api import (
        schema as schema,
    )
    from suanli.api import (
        search as search,
    )
    from suanli.api import (
        system as system,
    )
    from suanli.case import Case as Case
    from suanli.case import Problem as Problem
    from suanli.catalog_files import read_catalog as read_catalog
    from suanli.collectives import CollectiveModel as CollectiveModel
    from suanli.collectives import Hierarchical as Hierarchical
    from suanli.errors import (
        CatalogError as CatalogError,
    )
    from suanli.errors import (
        InvalidInputError as InvalidInputError,
    )
    from suanli.errors import (
        ModelConfigError as ModelConfigError,
    )
    from suanli.errors import (
        NotThereYetError as NotThereYetError,
    )
    from suanli.errors import (
        PluginError as PluginError,
    )
    from suanli.errors import (
        ScenarioError as ScenarioError,
    )
    from suanli.errors import (
        SuanliError as SuanliError,
    )
    from suanli.errors import (
        UnknownNameError as UnknownNameError,
    )
    from suanli.exporters import Exporter as Exporter
    from suanli.families import ModelFamily as ModelFamily
    from suanli.families import ModelPreset as ModelPreset
    from suanli.formulas import Derivation as Derivation
    from suanli.formulas import fact as fact
    from suanli.formulas import formula as formula
    from suanli.formulas import scaled as scaled
    from suanli.formulas import total as total
    from suanli.formulas import trace as trace
    from suanli.hardware import Accelerator as Accelerator
    from suanli.hardware import Rate as Rate
    from suanli.hardware import Source as Source
    from suanli.hardware import System as System
    from suanli.hardware import Tier as Tier
    from suanli.hookspecs import hookimpl as hookimpl
    from suanli.kernel_models import Efficiency as Efficiency
    from suanli.kernel_models import KernelModel as KernelModel
    from suanli.kernel_models import Roofline as Roofline
    from suanli.kernels import Kernel as Kernel
    from suanli.kernels import elementwise as elementwise
    from suanli.layout import Layout as Layout
    from suanli.layout import LayoutTable as LayoutTable
    from suanli.layout_search import Plan as Plan
    from suanli.layout_search import SearchResult as SearchResult
    from suanli.models import Block as Block
    from suanli.models import Model as Model
    from suanli.numeric import Number as Number
    from suanli.numeric import added as added
    from suanli.numeric import ceil as ceil
    from suanli.numeric import floor as floor
    from suanli.numeric import is_scalar as is_scalar
    from suanli.numeric import maximum as maximum
    from suanli.numeric import minimum as minimum
    from suanli.numeric import where as where
    from suanli.operators import (
        Attention as Attention,
    )
    from suanli.operators import (
        CausalConv as CausalConv,
    )
    from suanli.operators import (
        CompressedAttention as CompressedAttention,
    )
    from suanli.operators import (
        Compressor as Compressor,
    )
    from suanli.operators import (
        DeltaScan as DeltaScan,
    )
    from suanli.operators import (
        Embedding as Embedding,
    )
    from suanli.operators import (
        Experts as Experts,
    )
    from suanli.operators import (
        Indexer as Indexer,
    )
    from suanli.operators import (
        LatentAttention as LatentAttention,
    )
    from suanli.operators import (
        Linear as Linear,
    )
    from suanli.operators import (
        Loss as Loss,
    )
    from suanli.operators import (
        Operator as Operator,
    )
    from suanli.operators import (
        Pointwise as Pointwise,
    )
    from suanli.operators import (
        Product as Product,
    )
    from suanli.operators import (
        Scan as Scan,
    )
    from suanli.operators import (
        SelectiveScan as SelectiveScan,
    )
    from suanli.optimizer import ElementwiseOptimizer as ElementwiseOptimizer
    from suanli.optimizer import MatrixProduct as MatrixProduct
    from suanli.optimizer import OptimizerRule as OptimizerRule
    from suanli.optimizer import StateTensor as StateTensor
    from suanli.parallelism import (
        Exchange as Exchange,
    )
    from suanli.parallelism import (
        ParallelismRule as ParallelismRule,
    )
    from suanli.parallelism import (
        PipelineSchedule as PipelineSchedule,
    )
    from suanli.parallelism import (
        StateShards as StateShards,
    )
    from suanli.parallelism import (
        StepExchange as StepExchange,
    )
    from suanli.parallelism import (
        partial_gradients as partial_gradients,
    )
    from suanli.parallelism import (
        partial_sums as partial_sums,
    )
    from suanli.parallelism import (
        role_sizes as role_sizes,
    )
    from suanli.planning.compute import ComputePlan as ComputePlan
    from suanli.planning.fits import Fitting as Fitting
    from suanli.planning.runs import TrainingPlan as TrainingPlan
    from suanli.planning.services import ServingPlan as ServingPlan
    from suanli.precision import NumberFormat as NumberFormat
    from suanli.precision import Recipe as Recipe
    from suanli.prices import Price as Price
    from suanli.profiles import Limits as Limits
    from suanli.profiles import Profile as Profile
    from suanli.report import Report as Report
    from suanli.rule_inputs import Asked as Asked
    from suanli.rulebook import Answer as Answer
    from suanli.rulebook import Rule as Rule
    from suanli.rulebook import UsualError as UsualError
    from suanli.specs import Scenario as Scenario
    from suanli.stages import Band as Band
    from suanli.stages import Stage as Stage
    from suanli.tensors import Dim as Dim
    from suanli.tensors import Local as Local
    from suanli.tensors import Parameter as Parameter
    from suanli.tensors import Tensor as Tensor
    from suanli.workload import Finetune as Finetune
    from suanli.workload import Pretrain as Pretrain
    from suanli.workload import Serve as Serve
    from suanli.workspace import Workspace as Workspace

api_version = "1"
"""Of the interface plugins are written against; it changes when a hook or value breaks."""

_HOMES: dict[str, str] = {
    "api": "accelerator catalog estimate explain export fit load model plan_compute plan_serving plan_training price "
    "rule rules scenario schema search system",
    "case": "Case Problem",
    "catalog_files": "read_catalog",
    "collectives": "CollectiveModel Hierarchical",
    "errors": "CatalogError InvalidInputError ModelConfigError NotThereYetError PluginError ScenarioError SuanliError "
    "UnknownNameError",
    "exporters": "Exporter",
    "formulas": "Derivation fact formula scaled total trace",
    "hardware": "Accelerator Rate Source System Tier",
    "hookspecs": "hookimpl",
    "kernel_models": "Efficiency KernelModel Roofline",
    "kernels": "Kernel elementwise",
    "layout": "Layout LayoutTable",
    "families": "ModelFamily ModelPreset",
    "models": "Block Model",
    "profiles": "Limits Profile",
    "numeric": "Number added ceil floor is_scalar maximum minimum where",
    "operators": "Attention CausalConv CompressedAttention Compressor DeltaScan Embedding Experts Indexer "
    "LatentAttention Linear Loss Operator Pointwise Product Scan SelectiveScan",
    "optimizer": "ElementwiseOptimizer MatrixProduct OptimizerRule StateTensor",
    "parallelism": "Exchange ParallelismRule PipelineSchedule StateShards StepExchange partial_gradients "
    "partial_sums role_sizes",
    "planning.compute": "ComputePlan",
    "planning.fits": "Fitting",
    "planning.runs": "TrainingPlan",
    "planning.services": "ServingPlan",
    "precision": "NumberFormat Recipe",
    "prices": "Price",
    "report": "Report",
    "rule_inputs": "Asked",
    "rulebook": "Answer Rule UsualError",
    "specs": "Scenario",
    "layout_search": "Plan SearchResult",
    "stages": "Band Stage",
    "tensors": "Dim Local Parameter Tensor",
    "workload": "Finetune Pretrain Serve",
    "workspace": "Workspace",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME, "api_version"])


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
