"""Model families and presets: what they add up to, undivided and divided."""

from __future__ import annotations

from suanli.errors import SuanliError
from suanli.families import ModelFamily
from suanli.models import Model
from suanli.tensors import KV_HEADS, VOCABULARY, Local
from suanli.testing.checks.registry import Faults, Subject, check

UNKNOWN = "a_key_no_family_reads"

MOST_FLOPS_PER_PARAMETER = 2.5
"""A token's products take 2 for each parameter they use; the state of a scan adds a little."""


@check("model family", rule="a family names itself, what it answers to and where it is described (families)")
def family_says_what_it_is(subject: Subject) -> Faults:
    """A family has a name and a source."""
    family: type[ModelFamily] = subject.value
    if not family.family:
        yield "`family` is empty"
    if not family.source:
        yield "`source` is empty; name the paper or the repository and file"


def _model(subject: Subject) -> Model:
    return subject.workspace.model(subject.name)


@check("model", rule="a preset is a configuration some family reads; keys no family reads are ignored (families)")
def config_survives_a_round_trip(subject: Subject) -> Faults:
    """Reading a configuration twice, or with a key more, gives the same model."""
    config = dict(subject.value.config)
    read = subject.workspace.model(config)
    again = subject.workspace.model(config | {UNKNOWN: 1})
    if (read.layers, read.embedding, read.head) != (again.layers, again.embedding, again.head):
        yield "reads differently the second time, or because of a key no family reads"


@check("model", rule="parameters add up: groups, layers and operators (models.Model.parameters)")
def parameters_add_up(subject: Subject) -> Faults:
    """The total is the sum over operators, and no more is used for a token than there is."""
    model = _model(subject)
    count = model.parameters
    summed = sum(p.elements * times for block, times in model.parts for p in block.parameters if not p.tied)
    if summed != count.total or sum(count.by_group.values()) != count.total:
        yield f"operators hold {summed:,} parameters, groups {sum(count.by_group.values()):,}, total {count.total:,}"
    if not 0 < count.active <= count.total:
        yield f"{count.active:,} of {count.total:,} parameters are used for a token"


@check("model", rule="shards sum to the whole (parallelism)")
def shards_add_up(subject: Subject) -> Faults:
    """Dividing a role by two halves every tensor that has it, and no other."""
    model = _model(subject)
    for role, sizes in model.role_sizes.items():
        if any(s % 2 for s in sizes) or role in (VOCABULARY, KV_HEADS):
            continue
        half = Local(batch=2.0, sequence=64.0, whole_sequence=64.0, kv_tokens=64.0, degrees={role: 2.0})
        whole = Local(batch=2.0, sequence=64.0, whole_sequence=64.0, kv_tokens=64.0)
        for block, _ in model.parts:
            for parameter in block.parameters:
                times = 2.0 ** sum(d.role == role for d in parameter.dims)
                if half.product(parameter.dims) * times != whole.product(parameter.dims):
                    yield f"{block.name}.{parameter.name}: the halves of {role} do not make the whole"


@check("model", rule="work grows with tokens (operators)")
def work_grows_with_tokens(subject: Subject) -> Faults:
    """More tokens never need fewer FLOPs or a smaller cache, and no count is negative."""
    model = _model(subject)
    flops = [model.forward_flops(sequence=n) for n in (1, 16, 1024)]
    if any(f < 0.0 for count in flops for f in count.by_group.values()):
        yield "a group of operators has negative FLOPs"
    totals = [count.total for count in flops]
    if totals[0] <= 0.0 or totals != sorted(totals):
        yield f"FLOPs of 1, 16 and 1024 tokens are {totals}"
    cache = [model.kv_cache_bytes(n) for n in (0, 1, 1024, 65536)]
    if cache[0] < 0 or cache != sorted(cache):
        yield f"cache bytes of 0, 1, 1024 and 65536 tokens are {cache}"
    matmul = sum(f for g, f in flops[0].by_group.items() if g != "attention_core")
    if matmul > MOST_FLOPS_PER_PARAMETER * model.parameters.total:
        most, held = f"{MOST_FLOPS_PER_PARAMETER:g}", f"{model.parameters.total:,}"
        yield f"one token takes {matmul:.3g} FLOPs, more than {most} for each of {held} parameters"


@check("model", rule="a preset can be estimated (models)")
def preset_can_be_served(subject: Subject) -> Faults:
    """A report of the model on a known system has every figure of memory and time."""
    workspace = subject.workspace
    system = next((e.name for e in workspace.catalog().entries("system") if e.value.reach is None), None)
    if system is None:
        return
    scenario = {
        "model": {"name": subject.name},
        "system": {"name": system, "accelerators": workspace.system(system).accelerators_per_node * 16},
        "workload": {"kind": "serve", "prompt": 512, "output": 16, "batch": 1},
    }
    try:
        report = workspace.estimate(scenario)
    except SuanliError as exc:
        yield f"cannot be served on 16 nodes of {system}: {exc}"
        return
    if report.memory.per_accelerator.weights_bytes <= 0.0:
        yield "its weights take no memory"
