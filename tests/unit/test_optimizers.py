"""Optimizer rules: their names, what they keep for odd shapes, and what a report makes of a stranger's."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import suanli
from suanli import ElementwiseOptimizer, Layout, MatrixProduct, OptimizerRule, Parameter, Recipe, StateTensor
from suanli.kernels import gemm
from suanli.optimizer import step_bytes
from suanli.testing import installed_plugins, make_plugin, resolved, run_one

TRAIN: dict[str, Any] = {
    "model": {"name": "gpt2"},
    "system": {"name": "dgx-a100", "accelerators": 8},
    "workload": {"kind": "pretrain", "sequence": 64, "global_batch": 8},
    "layout": {"tensor": 1, "pipeline": 1, "data": 8, "micro_batch": 1, "zero": 1, "recompute": "none"},
}
OURS = [e for e in suanli.catalog().entries("optimizer") if e.provider.plugin == "optimizers"]


def rule(name: str) -> OptimizerRule:
    """An optimizer of the catalog."""
    found: OptimizerRule = suanli.catalog().get("optimizer", name)
    return found


def estimate(name: str, workspace: suanli.Workspace | None = None, **sections: Any) -> suanli.Report:
    """The report of a small training job with an optimizer."""
    found = workspace or suanli.Workspace()
    return found.estimate(TRAIN | {"optimizer": {"name": name}} | sections)


def beside_ours(*rules: OptimizerRule, **hooks: Any) -> suanli.Workspace:
    """A workspace with optimizers of a stranger."""
    return suanli.Workspace(plugins=[*installed_plugins(), make_plugin("acme", optimizers=rules, **hooks)])


@pytest.mark.parametrize("entry", OURS, ids=lambda e: e.name)
def test_every_rule_is_complete(entry: Any) -> None:
    """A rule names its source, computes something, keeps something for every shape, in formats that exist."""
    found: OptimizerRule = entry.value
    assert found.source
    assert found.flops_per_parameter >= 2.0
    formats = suanli.catalog().formats
    for shape in ((), (1,), (4095,), (4096,), (3, 5), (8, 64, 64)):
        assert found.state_bytes(shape, formats) >= 0
        assert (found.state_bytes(shape, formats) == 0) == (entry.name == "sgd")
        names = [s.name for s in found.states(shape)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        # The optim argument of the Trainer of transformers (training_args.py, OptimizerNames)
        ("adamw_torch", "adamw"),
        ("adamw_torch_fused", "adamw"),
        ("adamw_apex_fused", "adamw"),
        ("adafactor", "adafactor"),
        ("adamw_bnb_8bit", "adamw-8bit"),
        ("adamw_8bit", "adamw-8bit"),
        ("lion_8bit", "lion-8bit"),
        ("lion_32bit", "lion-32bit"),
        ("paged_adamw_32bit", "paged-adamw-32bit"),
        ("paged_adamw_8bit", "paged-adamw-8bit"),
        ("paged_lion_8bit", "paged-lion-8bit"),
        ("rmsprop_bnb_8bit", "rmsprop-8bit"),
        ("ademamix_8bit", "ademamix-8bit"),
        # Classes of bitsandbytes and names of papers
        ("AdamW8bit", "adamw-8bit"),
        ("PagedAdamW8bit", "paged-adamw-8bit"),
        ("Muon", "muon"),
        ("sgd-momentum", "momentum"),
    ],
)
def test_names_people_type(typed: str, name: str) -> None:
    """Optimizers go by the names of the Trainer and of their classes, in any case."""
    assert rule(typed).name == name


def test_8_bit_states_start_at_4096_elements() -> None:
    """Below, states are fp32; from there on a byte an element, with a begun block's maximum whole."""
    formats = suanli.catalog().formats
    small, large = rule("lion-8bit").states((4095,)), rule("lion-8bit").states((4097,))
    assert [s.elements for s in rule("lion-8bit").states((64, 64)) if s.format == "dynamic8"] == [4096]
    assert [formats[s.format or ""].bytes(s.elements) for s in small] == [4 * 4095]
    assert [formats[s.format or ""].bytes(s.elements) for s in large] == [4097 + 4 * 17, 4 * 256]
    assert [s.shared for s in large] == [False, True]


def test_factors_of_more_dimensions() -> None:
    """Adafactor factors the last two dimensions of stacked experts: rows and columns of each."""
    kept = {s.name: s.elements for s in rule("adafactor").states((8, 64, 32))}
    assert kept == {"exp_avg_sq_row": 8 * 64, "exp_avg_sq_col": 8 * 32, "RMS": 1}
    assert {s.name: s.elements for s in rule("sm3").states((64, 32))} == {
        "accumulator_0": 64,
        "accumulator_1": 32,
        "momentum": 64 * 32,
    }


def test_step_counts_lie_on_the_host() -> None:
    """The step count of PyTorch is stated, and takes nothing of the accelerator's memory."""
    step = rule("adamw").states((10,))[-1]
    assert (step.name, step.elements, step.format, step.host) == ("step", 1, "fp32", True)
    report = estimate("adamw")
    assert report.memory.per_accelerator.optimizer_bytes == report.parameters.total * 12 / 8


def test_muon_leaves_embeddings_head_and_vectors() -> None:
    """Hidden matrices are Muon's, those of each expert too; norms, biases, embeddings and the head are AdamW's."""
    muon = rule("muon")
    for name in ("gpt2", "mixtral-8x7b", "qwen3-32b"):
        model = suanli.model(name)
        for block, _ in model.parts:
            for p in block.parameters:
                matrix = p.name.split(".")[-1] not in ("bias", "weight") and "norm" not in p.name
                hidden = matrix and p.group not in ("embedding", "head")
                assert (muon.rule_for(p) is muon) == hidden, p
    biases = Parameter(name="b", dims=(suanli.Dim("experts", 8), suanli.Dim("expert_ffn", 64)), group="experts")
    single = Parameter(name="c", dims=(suanli.Dim("channels", 64),), group="mixer", matrix=(64, 1, 4))
    assert muon.rule_for(biases) is not muon
    assert muon.rule_for(single) is not muon


def test_the_format_of_8_bit_states_is_the_optimizer_s_unless_stated() -> None:
    """A recipe does not widen 8-bit states; a scenario may, and says so when it is told again."""
    own, wide = estimate("adamw-8bit"), estimate("adamw-8bit", precision={"optimizer_states": "fp32"})
    assert "optimizer_states" not in own.scenario["precision"]
    assert wide.scenario["precision"]["optimizer_states"] == "fp32"
    masters = own.parameters.total * 4 / 8
    assert own.memory.per_accelerator.optimizer_bytes - masters < 2.1 * own.parameters.total / 8
    tables = 2 * 256 * 4
    assert wide.memory.per_accelerator.optimizer_bytes == own.parameters.total * 12 / 8 + tables


@pytest.mark.parametrize("name", [e.name for e in OURS])
def test_a_completed_scenario_says_the_same(name: str) -> None:
    """A report's own scenario gives its figures again, whatever formats the optimizer chooses."""
    for recipe in ("bf16-mixed", "bf16-pure"):
        report = estimate(name, precision={"recipe": recipe})
        again = suanli.estimate(report.scenario)
        assert (again.memory, again.time) == (report.memory, report.time)


def test_states_follow_the_weights_where_a_recipe_is_silent() -> None:
    """Without a format of its own a recipe keeps states as the masters, or else the weights, are kept."""
    mixed = Recipe(name="m", kind="training", weights="bf16", gradients="bf16", master_weights="fp32", source="test")
    pure = Recipe(name="p", kind="training", weights="bf16", gradients="bf16", source="test")
    workspace = beside_ours(precisions=[mixed, pure])
    for recipe, each in (("m", 4 + 8), ("p", 4)):
        report = estimate("adamw", workspace, precision={"recipe": recipe})
        assert report.memory.per_accelerator.optimizer_bytes == report.parameters.total * each / 8


def test_paged_states_are_counted_and_noted() -> None:
    """Paged states take as much as others, and the report says where they are counted."""
    plain, paged = estimate("adamw-8bit"), estimate("paged-adamw-8bit")
    assert paged.memory == plain.memory
    assert paged.time == plain.time
    assert [p.severity for p in paged.problems if p.code == "paged-optimizer"] == ["note"]
    assert not [p for p in plain.problems if p.code == "paged-optimizer"]


def test_gathering_for_muon_is_noted_where_there_is_any() -> None:
    """With tensor ranks the report says that whole matrices are gathered, and alone nothing."""
    layout = TRAIN["layout"] | {"tensor": 2, "data": 4}
    codes = [p.code for p in estimate("muon", layout=layout).problems]
    assert "gathered-matrices" in codes
    assert "gathered-matrices" not in [p.code for p in estimate("muon").problems]


@attrs.frozen(kw_only=True)
class Rotated(OptimizerRule):
    """A stranger's: one product for each hidden matrix, and a table all parameters share."""

    def states(self, shape: tuple[int, ...]) -> tuple[StateTensor, ...]:
        """The table."""
        return (StateTensor(name="table", elements=1000, format="fp32", shared=True),)

    def products(self, shape: tuple[int, ...]) -> tuple[MatrixProduct, ...]:
        """Twice the matrix times itself."""
        return (MatrixProduct(m=shape[0], n=shape[0], k=shape[1], times=2),) if len(shape) == 2 else ()


# The matrices of GPT-2 small (Radford et al. 2019): tokens, positions; queries, keys, values, output; MLP.
OUTER, HIDDEN = [(50257, 768), (1024, 768)], [*4 * [(768, 768)], (3072, 768), (768, 3072)]


@pytest.mark.parametrize(("zero", "shards"), [(0, 1), (1, 8), (3, 8)])
def test_products_of_a_stranger_s_rule_are_timed(zero: int, shards: int) -> None:
    """Products take their kernels' time, shared out as whole matrices over the ranks that divide the states."""
    plain, rotated = ElementwiseOptimizer(name="plain"), Rotated(name="rotated")
    workspace = beside_ours(plain, rotated)
    layout = TRAIN["layout"] | {"zero": zero}
    found = [estimate(r.name, workspace, layout=layout) for r in (plain, rotated)]
    device = resolved(TRAIN, workspace).device
    assert device.loaded_kernels is not None

    def seconds(rows: int, columns: int) -> float:
        kernel = gemm(m=float(rows), n=float(rows), k=float(columns), launches=2.0)
        return float(device.loaded_kernels.time_s(kernel, device))  # type: ignore[union-attr]

    every = [seconds(*shape) for shape in OUTER + 12 * HIDDEN]
    added = (found[1].time.optimizer_s or 0.0) - (found[0].time.optimizer_s or 0.0)
    assert added == pytest.approx(max(sum(every) / shards, max(every)), rel=1e-9)
    kept = [r.memory.per_accelerator.optimizer_bytes for r in found]
    assert kept[1] == kept[0] + 4000


def seconds_of(case: Any, kernel: suanli.Kernel) -> float:
    """Seconds of a kernel in training on the case's accelerator."""
    return float(case.kernels.time_s(kernel, case.device))


@pytest.mark.parametrize("zero", [0, 1])
def test_traffic_of_a_step_is_of_the_states_there_are(zero: int) -> None:
    """8-bit Adam reads and writes 2 x 1.015625 bytes of state a parameter where Adam has 8, Adafactor next to none."""
    config = {"model_type": "gpt2", "vocab_size": 4096, "n_embd": 4096, "n_layer": 2, "n_head": 32}
    for name, state_bytes in (("adamw", 8.0), ("adamw-8bit", 2.03125), ("adafactor", 0.002), ("sm3", 4.002)):
        case = resolved(TRAIN | {"model": {"config": config}, "optimizer": {"name": name}})
        updated = case.model.parameters.total / (8 if zero else 1)
        moved = updated * (4 + 2 * state_bytes + 4 + 4 + 2)  # gradient, states, master in and out, weight
        step = suanli.elementwise(bytes=moved, flops=updated * rule(name).flops_per_parameter)
        found = run_one(case, Layout(data=8, zero=zero))["time.optimizer_s"]
        # Norms and biases are fp32, or whole, besides.
        assert found == pytest.approx(seconds_of(case, step), rel=1e-3), name


def test_experts_are_matrices_of_their_own() -> None:
    """Each of Mixtral's experts has three matrices for Muon; a rank multiplies those of the experts it holds."""
    layouts = [Layout(data=8, expert=e, zero=0) for e in (1, 2, 8)]
    case = resolved(TRAIN | {"model": {"name": "mixtral-8x7b"}, "optimizer": {"name": "muon"}})
    found = [run_one(case, layout)["time.optimizer_s"] for layout in layouts]
    one = [
        gemm(m=float(m), n=float(n), k=float(k), launches=5.0)
        for m, n, k in ((4096, 4096, 14336), (4096, 4096, 4096), (4096, 14336, 4096))
    ]
    expert_s = 3 * 32 * sum(seconds_of(case, kernel) for kernel in one)
    pass_s = [(8 - 8 / e) * 3 * 32 * 4096 * 14336 * (4 + 2 * 4 + 10) for e in (1, 2, 8)]
    for layout, seconds, saved in zip(layouts, found, pass_s, strict=True):
        fewer = 8 - 8 / layout.expert
        traffic = seconds_of(case, suanli.elementwise(bytes=saved)) if saved else 0.0
        assert found[0] - seconds == pytest.approx(fewer * expert_s + traffic, rel=0.01), layout


def test_a_format_nobody_provides_is_named() -> None:
    """A stranger's rule that keeps states in an unknown format is an error that names both, never a guess."""
    workspace = beside_ours(ElementwiseOptimizer(name="odd", tensors=("state",), format="fp17"))
    with pytest.raises(suanli.SuanliError, match="optimizer 'odd' keeps states in 'fp17'"):
        estimate("odd", workspace)


def test_traffic_of_a_step_by_hand() -> None:
    """10 parameters: gradient read; state, master in and out; weight out: 30 bytes each for Adam, as documented.

    Without a master the weight itself is read and written.
    """
    adam = {"parameters": 10.0, "state_bytes": 80.0, "weight_bytes": 2.0}
    assert step_bytes(**adam, gradient_bytes=4.0, master_bytes=4.0) == 10 * (4 + 2 * 4 + 2 + 2 * 8) == 300
    assert step_bytes(**adam, gradient_bytes=2.0, master_bytes=0.0) == 10 * (2 + 2 * 2 + 2 * 8)


def test_nothing_is_a_state_and_one_a_product() -> None:
    """A state of no elements and a product never taken are the least there is; a product is taken once unless said."""
    assert StateTensor(name="none", elements=0).elements == 0
    least = MatrixProduct(m=1, n=1, k=1, times=0)
    assert least.times == 0
    assert MatrixProduct(m=1, n=1, k=1).times == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: StateTensor(name="less", elements=-1),
        lambda: MatrixProduct(m=0, n=1, k=1),
        lambda: MatrixProduct(m=1, n=0, k=1),
        lambda: MatrixProduct(m=1, n=1, k=0),
        lambda: MatrixProduct(m=1, n=1, k=1, times=-1),
    ],
)
def test_less_than_nothing_is_refused(wrong: Any) -> None:
    """A state of fewer elements than none, and a product of nothing, are refused."""
    with pytest.raises(ValueError, match="must be"):
        wrong()
