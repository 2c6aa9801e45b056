"""Scenarios: an answer or a SuanliError, in time, and nothing given passes unseen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suanli

from .junk import EXAMPLES, answer, changed, finite, junk, leaves, mutated, nested, places, scrambled

CONFIG = {"model_type": "llama", "vocab_size": 320, "hidden_size": 64, "intermediate_size": 96}
CONFIG |= {"num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}
BASES: list[dict[str, Any]] = [
    {
        "model": {"name": "llama-65b"},
        "system": {"name": "dgx-a100", "accelerators": 256},
        "workload": {"kind": "pretrain", "tokens": "1.4T", "sequence": 2048, "global_batch": 256},
        "layout": {"tensor": 8, "pipeline": 4, "context": 1, "data": 8, "micro_batch": 1, "virtual_stages": 1}
        | {"schedule": "1f1b", "sequence_parallel": True, "zero": 1, "recompute": "selective", "offload": "none"},
        "precision": {"recipe": "bf16-mixed", "gradients": "bf16", "master_weights": "fp32"},
        "optimizer": {"name": "adamw"},
        "implementation": {"profile": "megatron", "attention": "flash", "overlap": True, "dropout": 0.1},
        "assumptions": {"reserve": "2 GiB", "price_per_hour": 2.5, "currency": "EUR", "pue": 1.2},
    },
    {
        "model": {"name": "mixtral-8x7b"},
        "system": {"accelerator": "h100-sxm", "accelerators": 8},
        "workload": {"kind": "serve", "prompt": "4k", "output": 256, "concurrency": 16, "prefix_hit_ratio": 0.5},
        "layout": {"tensor": [2, 4], "expert": 1, "replicas": [2, 4]},
        "precision": {"recipe": "fp8", "kv_cache": "fp8"},
        "implementation": {"profile": "vllm", "memory_fraction": 0.9},
    },
    {
        "model": {"config": CONFIG},
        "system": {"name": "atlas-800t-a2", "accelerators": 16},
        "workload": {"kind": "finetune", "method": "full", "sequence": 512, "global_batch": 32},
        "layout": {"tensor": [1, 2], "recompute": ["none", "full"]},
    },
    {
        "model": {"family": "dense", "vocabulary": 320, "hidden": 64, "inner": 96, "layers": 4, "heads": 4},
        "system": {"name": "dgx-h100"},
    },
]
TEXTS = [
    json.dumps(BASES[0]),
    '[model]\nname = "llama-7b"\n\n[system]\nname = "dgx-a100"\naccelerators = 8\n\n[workload]\nkind = "pretrain"\n'
    'tokens = "1.4T"\n\n[layout]\ntensor = [1, 2]\nsequence_parallel = true\n',
]
FIELDS = [(i, path) for i, base in enumerate(BASES) for path in places(base)]


def read(data: Any) -> suanli.Scenario | None:
    """The scenario, or None where it is refused."""
    found: suanli.Scenario | None = answer(lambda: suanli.scenario(data))
    return found


@EXAMPLES
@given(data=mutated(BASES))
def test_mutated_scenarios_are_answered_or_refused(data: dict[str, Any]) -> None:
    """Whatever is in a scenario, it is answered with finite figures or refused, never anything else."""
    scenario = read(data)
    report = answer(lambda: suanli.estimate(scenario)) if scenario is not None else None
    if report is not None:
        plain = report.to_dict()
        assert finite(plain)
        json.dumps(plain, allow_nan=False)


NAMES = {
    kind: suanli.catalog().names(kind) for kind in ("model", "system", "recipe", "optimizer", "profile", "schedule")
}
small = st.sampled_from([1, 1, 1, 2, 3, 4, 6, 8, 16, 64])
size = st.one_of(st.sampled_from([1, 2, 7, 128, 1000, 4096, 10**6, 10**8]), st.integers(1, 5000))


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One value, or a few to search over."""
    return st.one_of(values, values, st.lists(values, min_size=1, max_size=3, unique=True))


layouts = some(
    **{f: several(small) for f in ("tensor", "pipeline", "context", "expert", "expert_tensor", "data", "micro_batch")},
    **{f: several(small) for f in ("virtual_stages", "attention_data", "replicas")},
    schedule=several(st.sampled_from(NAMES["schedule"])),
    sequence_parallel=several(st.booleans()),
    zero=several(st.integers(0, 3)),
    recompute=several(st.sampled_from(["none", "selective", "full"])),
)
formats = st.sampled_from(
    ["fp32", "bf16", "fp16", "fp8", "int8", "int4", "nf4", "nvfp4", "mxfp8", "tf32", "fp64", "none"]
)
likely = st.fixed_dictionaries(
    {
        "model": st.fixed_dictionaries({"name": st.sampled_from(NAMES["model"])}),
        "system": st.fixed_dictionaries(
            {"name": st.sampled_from(NAMES["system"])},
            optional={"accelerators": st.sampled_from([1, 2, 7, 8, 16, 48, 256, 1024, 4096, 5040])},
        ),
        "workload": st.one_of(
            some(kind=st.sampled_from(["pretrain", "finetune"]), tokens=size, sequence=size, global_batch=size),
            st.tuples(
                some(prompt=size, output=size, prefix_hit_ratio=st.floats(0, 1)),
                st.one_of(some(batch=size), some(concurrency=size)),
            ).map(lambda parts: {"kind": "serve"} | parts[0] | parts[1]),
        ),
    },
    optional={
        "layout": layouts,
        "precision": st.one_of(
            some(recipe=st.sampled_from([n.removeprefix("serve-") for n in NAMES["recipe"]])),
            some(weights=formats, gradients=formats, activations=formats, kv_cache=formats, compute=formats)
            | some(optimizer_states=formats, master_weights=formats, main_gradients=formats),
        ),
        "optimizer": some(name=st.sampled_from(NAMES["optimizer"])),
        "implementation": some(
            profile=st.sampled_from(NAMES["profile"]),
            attention=st.sampled_from(["flash", "eager"]),
            dropout=st.floats(0, 1),
            overlap=st.booleans(),
            memory_fraction=st.floats(0.001, 1),
        ),
        "assumptions": some(
            reserve=st.integers(0, 10**12),
            price_per_hour=st.floats(0, 1e6),
            electricity_price=st.floats(0, 10),
            pue=st.floats(1, 5),
        ),
    },
)


@EXAMPLES
@given(data=likely)
def test_likely_scenarios_are_answered_or_refused(data: dict[str, Any]) -> None:
    """Every combination of installed names and plausible sizes has an answer of finite figures, or a refusal."""
    report = answer(lambda: suanli.estimate(data))
    if report is None:
        return
    plain = report.to_dict()
    assert finite(plain)
    assert suanli.Report.from_dict(json.loads(json.dumps(plain, allow_nan=False))).to_dict() == plain
    assert report.time.step_s is None or report.time.step_s > 0
    assert report.memory.per_accelerator.total_bytes >= report.memory.per_accelerator.weights_bytes > 0
    for key in ("time.step_s", "memory.total_bytes", "serving.tpot_s"):
        answer(lambda key=key: suanli.explain(data, key))


@EXAMPLES
@given(data=st.one_of(junk, st.dictionaries(st.sampled_from([*BASES[0], "x"]), junk, max_size=4)))
def test_anything_is_refused_as_a_scenario(data: Any) -> None:
    """Junk that was never a scenario is refused with what is wrong."""
    read(data)


@EXAMPLES
@given(field=st.sampled_from(FIELDS), value=junk)
def test_what_is_accepted_is_echoed(field: tuple[int, tuple[Any, ...]], value: Any) -> None:
    """A changed field is refused or shows in the echo: as it was given, or read as the quantity it says."""
    base, path = field
    scenario = read(changed(BASES[base], path, value))
    if scenario is None or path[-1] == "config" or "config" in path:
        return
    echo: Any = scenario.to_dict()
    for key in path:
        echo = echo.get(key) if isinstance(echo, dict) else None
    if value is None or value == {} or isinstance(value, dict):
        return  # nothing given, or a table of fields, each with an echo of its own
    if path == ("workload", "kind"):
        assert echo == value
    elif isinstance(value, str) and not isinstance(echo, str):
        assert echo is not None, f"{path}: {value!r} is taken and not echoed"
    elif isinstance(value, list):
        assert echo == value or set(echo) == set(value), f"{path}: {value!r} became {echo!r}"
    else:
        assert echo == value, f"{path}: {value!r} became {echo!r}"


@EXAMPLES
@given(base=st.integers(0, len(BASES) - 1), path=st.sampled_from([p for _, p in FIELDS]), key=st.text(max_size=9))
def test_unknown_keys_are_refused(base: int, path: tuple[Any, ...], key: str) -> None:
    """A key no section has is refused, wherever it stands."""
    data = BASES[base]
    if path[0] not in data or "config" in path:
        return
    section = data[path[0]]
    if key in section or (path[0] == "model" and "family" in section):
        return
    known = {p[1] for _, p in FIELDS if len(p) > 1}
    if key not in known:
        assert read(data | {path[0]: section | {key: 1}}) is None


@pytest.mark.parametrize(("base", "path"), FIELDS, ids=[f"{i}.{'.'.join(p)}" for i, p in FIELDS])
def test_every_given_field_stands_in_the_report(base: int, path: tuple[str, ...]) -> None:
    """What was given stands in the report's complete scenario, or the scenario is refused: nothing is dropped."""
    if len(path) != 2 or path[0] in ("model", "system") or path[1] in ("kind", "currency"):
        return
    report = suanli.estimate(BASES[base])
    given = suanli.scenario(BASES[base]).to_dict()[path[0]][path[1]]
    echo = report.scenario[path[0]].get(path[1])
    assert echo in given if isinstance(given, list) else echo == given


# A field that means nothing for the workload: taken in silence it would be a default nobody asked for.
MEANINGLESS = [
    ("serve", "layout", "schedule", "gpipe"),
    ("serve", "layout", "micro_batch", 4),
    ("serve", "layout", "zero", 3),
    ("serve", "layout", "data", 2),
    ("serve", "layout", "recompute", "full"),
    ("serve", "layout", "virtual_stages", 2),
    ("serve", "precision", "gradients", "fp32"),
    ("serve", "precision", "master_weights", "fp32"),
    ("serve", "precision", "optimizer_states", "fp32"),
    ("serve", "optimizer", "name", "adam"),
    ("serve", "implementation", "dropout", 0.1),
    ("pretrain", "implementation", "memory_fraction", 0.5),
    ("pretrain", "layout", "replicas", 2),
    ("pretrain", "layout", "attention_data", 2),
]


@pytest.mark.parametrize(("kind", "section", "field", "value"), MEANINGLESS)
def test_a_field_without_meaning_is_refused(kind: str, section: str, field: str, value: Any) -> None:
    """A field the workload cannot use is refused, or stands in the report's scenario."""
    data = {"model": {"name": "llama-7b"}, "system": {"name": "dgx-a100"}, "workload": {"kind": kind}}
    report = answer(lambda: suanli.estimate(data | {section: {field: value}}))
    if report is not None:
        assert report.scenario.get(section, {}).get(field) == value


@EXAMPLES
@given(text=scrambled(TEXTS), suffix=st.sampled_from([".toml", ".json"]))
def test_scrambled_files_are_answered_or_refused(text: str, suffix: str, tmp_path_factory: Any) -> None:
    """A damaged scenario file is read or refused, whatever is in it."""
    file = tmp_path_factory.getbasetemp() / f"scrambled{suffix}"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    scenario = answer(lambda: suanli.load(file))
    if scenario is not None:
        answer(lambda: suanli.estimate(scenario))


@EXAMPLES
@given(data=st.binary(max_size=60), suffix=st.sampled_from([".toml", ".json", ".gguf", ""]))
def test_any_bytes_are_refused(data: bytes, suffix: str, tmp_path_factory: Any) -> None:
    """A file of any bytes at all is refused, as scenario and as model."""
    file = tmp_path_factory.getbasetemp() / f"bytes{suffix}"
    file.write_bytes(data)
    answer(lambda: suanli.load(file))
    answer(lambda: suanli.model(file))


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_huge_file_is_refused_at_once(tmp_path: Path, suffix: str) -> None:
    """100 MB are refused unread: as scenario, as model, as catalog."""
    file = tmp_path / f"huge{suffix}"
    with file.open("wb") as out:
        out.truncate(100_000_000)
    with pytest.raises(suanli.SuanliError, match="limit"):
        suanli.load(file)
    with pytest.raises(suanli.SuanliError, match="limit"):
        suanli.model(file)
    if suffix == ".toml":
        with pytest.raises(suanli.SuanliError, match="limit"):
            suanli.Workspace(paths=[tmp_path]).catalog().names("accelerator")


DEEP = 100_000
DEEP_TEXTS = {
    "list.json": "[" * DEEP,
    "closed.json": '{"model": ' + "[" * DEEP + "]" * DEEP + "}",
    "tables.json": '{"a":' * DEEP + "1" + "}" * DEEP,
    "list.toml": "a = " + "[" * DEEP,
    "closed.toml": "a = " + "[" * DEEP + "]" * DEEP,
    "inline.toml": "a = " + "{a=" * DEEP + "1" + "}" * DEEP,
    "long.json": '{"model": {"name": ' + "1" * 100_000 + "}}",
    "long.toml": "a = " + "1" * 100_000,
}


@pytest.mark.parametrize("name", DEEP_TEXTS)
def test_a_deep_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    """100,000 levels of nesting, or digits, are refused, as scenario and as model."""
    file = tmp_path / name
    file.write_text(DEEP_TEXTS[name], encoding="utf-8")
    with pytest.raises(suanli.SuanliError):
        suanli.load(file)
    with pytest.raises(suanli.SuanliError):
        suanli.model(file)


DOTTED = ".".join(["a"] * DEEP)
DOTTED_TEXTS = {"key": f"{DOTTED} = 1\n", "header": f"[{DOTTED}]\n", "inline": f"a = {{ {DOTTED} = 1 }}\n"}
REFUSED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, 2_000_000_000))
import suanli
suanli.scenario({"model": {"name": "llama-7b"}, "system": {"name": "dgx-a100"}})
try:
    suanli.load(sys.argv[1])
except suanli.SuanliError:
    print("refused")
"""


@pytest.mark.parametrize("name", DOTTED_TEXTS)
def test_a_deep_dotted_key_is_refused_at_once(tmp_path: Path, name: str) -> None:
    """A key of 100,000 parts (200 kB) is refused, in 2 GB: tomllib alone takes tens of them."""
    file = tmp_path / "dotted.toml"
    file.write_text(DOTTED_TEXTS[name], encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-c", REFUSED, str(file)], capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail("still busy after two minutes")
    assert (done.stdout.strip(), done.stderr) == ("refused", "")


DEEP_PATHS = [
    "",
    "model",
    "model.name",
    "model.config",
    "model.hidden",
    "system.accelerators",
    "workload",
    "workload.kind",
    "workload.tokens",
    "layout.tensor",
    "layout.schedule",
    "precision.recipe",
    "implementation.overlap",
]


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("path", DEEP_PATHS)
def test_deep_data_is_refused_at_once(path: str, table: bool) -> None:
    """100,000 levels anywhere in a scenario given as data are refused in under a second, in words of ours."""
    deep = nested(DEEP, table)
    section, _, field = path.partition(".")
    base = BASES[3] if field == "hidden" else BASES[2] if field == "config" else BASES[0]
    data = deep if not path else base | {section: base[section] | {field: deep} if field else deep}
    scenario = read(data)
    if scenario is not None:
        assert answer(lambda: suanli.estimate(scenario)) is None


def test_data_that_holds_itself_is_refused() -> None:
    """A table that contains itself is refused, and ends."""
    data: dict[str, Any] = {"model": {"name": "llama-7b"}, "system": {"name": "dgx-a100"}}
    data["layout"] = data
    assert read(data) is None
    data["model"] = {"config": data}
    del data["layout"]
    assert answer(lambda: suanli.estimate(data)) is None


@EXAMPLES
@given(section=st.sampled_from([*(f.name for f in attrs.fields(suanli.Report)), "new"]), value=junk)
def test_mutated_reports_are_read_or_refused(section: str, value: Any) -> None:
    """A report changed by hand is read back or refused, never anything else."""
    data = _report()
    answer(lambda: suanli.Report.from_dict(data | {section: value}))


@EXAMPLES
@given(data=junk, figure=st.one_of(leaves, st.sampled_from(["time.step_s", "memory.total_bytes"])))
def test_questions_with_junk_are_refused(data: Any, figure: Any) -> None:
    """Estimate, search and explain refuse what is no scenario, and explain what is no figure."""
    answer(lambda: suanli.estimate(data))
    answer(lambda: suanli.search(data, max_layouts=10))
    answer(lambda: suanli.explain(BASES[3], figure))


_REPORTS: list[dict[str, Any]] = []


def _report() -> dict[str, Any]:
    if not _REPORTS:
        _REPORTS.append(suanli.estimate(BASES[3]).to_dict())
    return _REPORTS[0]
