"""Exporters: a page that holds the report, and launch arguments that say the layout and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest

import suanli
from suanli import Exporter, PluginError, Report, SuanliError, UnknownNameError, Workspace
from suanli.cli.command import FORMATS
from suanli.exporters import OWN_FORMATS
from suanli.testing import installed_plugins, make_plugin

TRAIN: dict[str, Any] = {
    "model": {"name": "mixtral-8x7b"},
    "system": {"name": "dgx-h100", "accelerators": 64},
    "workload": {"kind": "pretrain", "tokens": "1T", "sequence": 4096, "global_batch": 512},
    "layout": {"tensor": 2, "pipeline": 4, "data": 4, "context": 2, "expert": 8, "expert_tensor": 1, "micro_batch": 1}
    | {"virtual_stages": 4, "schedule": "interleaved", "zero": 1, "recompute": "full", "sequence_parallel": True},
}
SERVE: dict[str, Any] = {
    "model": {"name": "mixtral-8x7b"},
    "system": {"name": "dgx-h100", "accelerators": 8},
    "workload": {"kind": "serve", "prompt": 4096, "output": 1024, "concurrency": 64},
    "layout": {"tensor": 2, "pipeline": 1, "attention_data": 2, "expert": 4, "expert_tensor": 1, "replicas": 2},
    "precision": {"recipe": "fp8"},
}
TRAINED, SERVED = suanli.estimate(TRAIN), suanli.estimate(SERVE)


def flags(script: str | bytes) -> dict[str, str | None]:
    """The flags of a script and their values; None for a switch."""
    assert isinstance(script, str)
    found: dict[str, str | None] = {}
    for line in script.partition("SUANLI_ARGS=(\n")[2].partition(")")[0].splitlines():
        flag, _, value = line.strip().partition(" ")
        assert flag not in found
        found[flag] = value or None
    return found


def notes(script: str | bytes) -> list[str]:
    """What a script says that its flags do not."""
    assert isinstance(script, str)
    return re.findall(r"^# Not said below: (.*)\.$", script, re.M)


def changed(scenario: dict[str, Any], **sections: dict[str, Any]) -> Report:
    """The report of a scenario with other fields."""
    return suanli.estimate(scenario | {k: scenario.get(k, {}) | v for k, v in sections.items()})


def test_megatron_s_arguments_say_the_layout() -> None:
    """Each field of the layout, the batch and the recipe stands under Megatron-LM's own name for it."""
    assert flags(TRAINED.export("megatron-args")) == {
        "--tensor-model-parallel-size": "2",
        "--pipeline-model-parallel-size": "4",
        "--context-parallel-size": "2",
        "--expert-model-parallel-size": "8",
        "--expert-tensor-parallel-size": "1",
        "--sequence-parallel": None,
        "--num-virtual-stages-per-pipeline-rank": "4",
        "--use-distributed-optimizer": None,
        "--recompute-granularity": "full",
        "--recompute-method": "uniform",
        "--recompute-num-layers": "1",
        "--micro-batch-size": "1",
        "--global-batch-size": "512",
        "--seq-length": "4096",
        "--train-samples": str(-(-(10**12) // 4096)),
        "--bf16": None,
        "--accumulate-allreduce-grads-in-fp32": None,
        "--optimizer": "adam",
        "--attention-backend": "flash",
        "--attention-dropout": "0.0",
        "--hidden-dropout": "0.0",
        "--overlap-grad-reduce": None,
        "--overlap-param-gather": None,
    }
    assert notes(TRAINED.export("megatron-args")) == []


DENSE: dict[str, Any] = {
    "model": {"name": "llama-3-8b"},
    "system": {"name": "dgx-h100", "accelerators": 8},
    "workload": {"kind": "pretrain", "sequence": 2048, "global_batch": 64},
    "layout": {"tensor": 1, "pipeline": 1, "micro_batch": 1, "zero": 0, "recompute": "none"},
}
MEGATRON: dict[str, tuple[dict[str, Any], set[str], set[str], str]] = {
    # what is changed; flags with their values that are there then, flags that are not, what a note says
    "plain": ({}, {"--bf16"}, {"--use-distributed-optimizer", "--overlap-param-gather", "--sequence-parallel"}, ""),
    "dense": ({}, set(), {"--expert-model-parallel-size", "--train-samples", "--recompute-granularity"}, ""),
    "zero-2": (
        {"layout": {"zero": 2}},
        {"--use-megatron-fsdp", "--data-parallel-sharding-strategy optim_grads", "--use-distributed-optimizer"},
        set(),
        "",
    ),
    "zero-3": ({"layout": {"zero": 3}}, {"--data-parallel-sharding-strategy optim_grads_params"}, set(), ""),
    "selective": (
        {"layout": {"recompute": "selective"}},
        {"--recompute-granularity selective"},
        {"--recompute-method", "--recompute-num-layers"},
        "",
    ),
    "fp16": ({"precision": {"recipe": "fp16-mixed"}}, {"--fp16"}, {"--bf16", "--grad-reduce-in-bf16"}, ""),
    "fp32": ({"precision": {"recipe": "fp32"}}, set(), {"--bf16", "--fp16"}, ""),
    "fp8": ({"precision": {"recipe": "fp8-mixed"}}, {"--bf16", "--fp8-format hybrid"}, {"--fp8-recipe"}, ""),
    "mxfp8": ({"precision": {"recipe": "mxfp8-mixed"}}, {"--fp8-format e4m3", "--fp8-recipe mxfp8"}, set(), ""),
    "nvfp4": ({"precision": {"recipe": "nvfp4-mixed"}}, {"--fp4-format e2m1"}, set(), ""),
    "no-master": (
        {"precision": {"recipe": "bf16-no-master"}},
        {"--grad-reduce-in-bf16"},
        {"--accumulate-allreduce-grads-in-fp32"},
        "no master weights",
    ),
    "states": ({"precision": {"recipe": "bf16-pure"}}, set(), set(), "optimizer states in bf16"),
    "weights": ({"precision": {"weights": "fp8"}}, set(), {"--bf16"}, "weights in fp8"),
    "compute": ({"precision": {"compute": "int8"}}, {"--bf16"}, set(), "products in int8"),
    "muon": ({"optimizer": {"name": "muon"}}, {"--optimizer muon"}, set(), ""),
    "sgd": ({"optimizer": {"name": "sgd"}}, {"--optimizer sgd", "--sgd-momentum 0.0"}, set(), ""),
    "lion": ({"optimizer": {"name": "lion"}}, set(), {"--optimizer"}, "the optimizer lion"),
    "moe": (
        {"model": {"name": "mixtral-8x7b"}, "layout": {"expert": 1}},
        {"--expert-model-parallel-size 1", "--expert-tensor-parallel-size 1"},
        set(),
        "",
    ),
    "virtual": (
        {"layout": {"pipeline": 2, "virtual_stages": 2, "schedule": "interleaved"}},
        {"--num-virtual-stages-per-pipeline-rank 2"},
        set(),
        "",
    ),
    "tensor": ({"layout": {"tensor": 2, "sequence_parallel": True}}, {"--sequence-parallel"}, set(), ""),
    "no-sequence": ({"layout": {"tensor": 2, "sequence_parallel": False}}, set(), {"--sequence-parallel"}, ""),
    "one-stage": (
        {"layout": {"pipeline": 1, "schedule": "gpipe"}},
        set(),
        {"--num-virtual-stages-per-pipeline-rank"},
        "",
    ),
    "tf32": ({"precision": {"recipe": "fp32", "compute": "tf32"}}, set(), {"--bf16", "--fp16"}, ""),
    "gradients": (
        {"precision": {"gradients": "fp32", "main_gradients": "none"}},
        set(),
        {"--grad-reduce-in-bf16", "--accumulate-allreduce-grads-in-fp32"},
        "",
    ),
    "momentum": ({"optimizer": {"name": "momentum"}}, {"--optimizer sgd", "--sgd-momentum 0.9"}, set(), ""),
    "zero-1": ({"layout": {"zero": 1}}, {"--overlap-param-gather"}, {"--use-megatron-fsdp"}, ""),
    "gpipe": ({"layout": {"pipeline": 2, "schedule": "gpipe"}}, set(), set(), "the schedule gpipe"),
    "eager": (
        {"implementation": {"attention": "eager", "dropout": 0.1, "overlap": False}},
        {"--attention-backend unfused", "--attention-dropout 0.1", "--hidden-dropout 0.1"},
        {"--overlap-grad-reduce"},
        "",
    ),
    "profile": ({"implementation": {"profile": "fused"}}, set(), set(), "the implementation fused"),
    "tokens": ({"workload": {"tokens": 2049}}, {"--train-samples 2"}, set(), ""),
}


@pytest.mark.parametrize("case", MEGATRON)
def test_megatron_s_arguments_follow_the_scenario(case: str) -> None:
    """A field that changes changes its flags; what Megatron-LM has no flag for is said in a comment."""
    sections, there, absent, said = MEGATRON[case]
    script = changed(DENSE, **sections).export("megatron-args")
    found = flags(script)
    lines = {flag if value is None else f"{flag} {value}" for flag, value in found.items()}
    assert there <= lines
    assert not absent & found.keys()
    assert bool(notes(script)) == bool(said)
    assert said in " ".join(notes(script))


def test_vllm_s_arguments_say_the_engine() -> None:
    """One engine's degrees, limits and formats stand under vLLM's own names; how many engines, in a comment."""
    script = SERVED.export("vllm-args")
    assert SERVED.serving is not None
    assert SERVED.serving.batch == 32  # 64 requests over two engines
    assert flags(script) == {
        "--tensor-parallel-size": "2",
        "--pipeline-parallel-size": "1",
        "--data-parallel-size": "2",
        "--enable-expert-parallel": None,
        "--max-model-len": "5120",
        "--max-num-seqs": "16",
        "--gpu-memory-utilization": "0.9",
        "--no-enable-prefix-caching": None,
        "--dtype": "bfloat16",
        "--quantization": "fp8",
    }
    assert notes(script) == []
    assert isinstance(script, str)
    assert "2 engines of 4 accelerators" in script.splitlines()[0]


ONE: dict[str, Any] = {
    "model": {"name": "llama-3-8b"},
    "system": {"name": "dgx-h100", "accelerators": 8},
    "workload": {"kind": "serve", "prompt": 512, "output": 64, "batch": 3},
    "layout": {"tensor": 2, "pipeline": 1},
}
VLLM: dict[str, tuple[dict[str, Any], set[str], set[str], str]] = {
    "plain": ({}, {"--dtype bfloat16", "--max-num-seqs 3"}, {"--quantization", "--enable-expert-parallel"}, ""),
    "expert": (
        {"model": {"name": "mixtral-8x7b"}, "layout": {"expert": 2}},
        {"--enable-expert-parallel"},
        {"--data-parallel-size"},
        "",
    ),
    "fewer-experts": (
        {"model": {"name": "mixtral-8x7b"}, "layout": {"tensor": 4, "expert": 2, "expert_tensor": 2}},
        {"--enable-expert-parallel"},
        set(),
        "2 expert ranks",
    ),
    "odd-batch": ({"layout": {"attention_data": 2}}, {"--data-parallel-size 2", "--max-num-seqs 2"}, set(), ""),
    "alone": ({"workload": {"batch": 1}, "layout": {"attention_data": 2}}, {"--max-num-seqs 1"}, set(), ""),
    "prefix": (
        {"workload": {"prefix_hit_ratio": 0.5}},
        {"--enable-prefix-caching"},
        {"--no-enable-prefix-caching"},
        "",
    ),
    "cache": ({"precision": {"kv_cache": "fp8"}}, {"--kv-cache-dtype fp8"}, {"--quantization"}, ""),
    "odd-cache": ({"precision": {"kv_cache": "int8"}}, set(), {"--kv-cache-dtype"}, "a cache in int8"),
    "fp16": ({"precision": {"recipe": "fp16"}}, {"--dtype float16"}, {"--kv-cache-dtype"}, ""),
    "nf4": ({"precision": {"recipe": "nf4"}}, {"--quantization bitsandbytes"}, set(), ""),
    "int4": ({"precision": {"recipe": "int4"}}, set(), {"--quantization"}, "weights in int4"),
    "engine": (
        {"implementation": {"profile": "sglang"}},
        {"--gpu-memory-utilization 0.88"},
        set(),
        "the engine sglang",
    ),
    "context": ({"layout": {"context": 2}}, set(), set(), "2 context ranks"),
}


@pytest.mark.parametrize("case", VLLM)
def test_vllm_s_arguments_follow_the_scenario(case: str) -> None:
    """A field that changes changes its flags; what vLLM has no flag for is said in a comment."""
    sections, there, absent, said = VLLM[case]
    script = changed(ONE, **sections).export("vllm-args")
    found = flags(script)
    assert there <= {flag if value is None else f"{flag} {value}" for flag, value in found.items()}
    assert not absent & found.keys()
    assert bool(notes(script)) == bool(said)
    assert said in " ".join(notes(script))


@pytest.mark.parametrize(("scenario", "name"), [(DENSE, "megatron-args"), (ONE, "vllm-args")])
def test_an_axis_of_a_plugin_is_noted_where_it_divides(scenario: dict[str, Any], name: str) -> None:
    """A stranger's axis of more ranks than one is said in a comment, as no engine has a flag for it."""
    report = suanli.estimate(scenario)
    layout = attrs.evolve(report.layout, extra=(("rows", 2), ("columns", 1)))
    found = " ".join(notes(attrs.evolve(report, layout=layout).export(name)))
    assert "the axis rows of 2 ranks" in found
    assert "columns" not in found


def test_expert_ranks_are_said_whatever_a_model_calls_its_experts() -> None:
    """A layout that divides experts has its flags, with parameters of a plugin's own groups too."""
    report = suanli.estimate(DENSE)
    divided = attrs.evolve(report, layout=attrs.evolve(report.layout, expert=2))
    assert flags(divided.export("megatron-args"))["--expert-model-parallel-size"] == "2"


@pytest.mark.parametrize(
    ("accelerators", "tensor", "said"),
    [
        (1, 1, "one engine of 1 accelerator."),
        (2, 1, "2 engines of 1 accelerator."),
        (2, 2, "one engine of 2 accelerators."),
        (8, 2, "4 engines of 2 accelerators."),
    ],
)
def test_engines_are_counted(accelerators: int, tensor: int, said: str) -> None:
    """The first line says how many engines there are, and of how many accelerators each."""
    script = changed(ONE, system={"accelerators": accelerators}, layout={"tensor": tensor}).export("vllm-args")
    assert isinstance(script, str)
    assert script.splitlines()[0].endswith(f": {said}")


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize(("report", "name"), [(TRAINED, "megatron-args"), (SERVED, "vllm-args")])
def test_the_arguments_are_a_bash_array(report: Report, name: str, tmp_path: Path) -> None:
    """Bash reads the script without a word, and its array has each flag and value apart."""
    script = report.export(name)
    assert isinstance(script, str)
    (tmp_path / "args.sh").write_text(script, encoding="utf-8")
    program = 'set -eu; source ./args.sh; printf "%s\\n" "${SUANLI_ARGS[@]}"'
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr == ""
    expected = [part for flag, value in flags(script).items() for part in (flag, value) if part is not None]
    assert done.stdout.split("\n")[:-1] == expected


class Page(HTMLParser):
    """The texts of a page, its data, what it fetches, and whether its elements close."""

    VOID = ("meta", "br", "link", "img")

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.data = ""
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.fetched += [f"{tag} {k}={v}" for k, v in attributes if k in ("src", "href", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.data += data
        elif self.open[-1:] != ["style"] and data.strip():
            self.texts.append(data)


def read(page: str | bytes) -> Page:
    """A page, read."""
    assert isinstance(page, str)
    found = Page()
    found.feed(page)
    found.close()
    assert found.open == []
    return found


@pytest.mark.parametrize("report", [TRAINED, SERVED], ids=["train", "serve"])
def test_a_page_holds_the_report(report: Report) -> None:
    """The page is well formed, fetches nothing, shows what the terminal does, and has the data of `to_dict`."""
    from suanli.cli.blocks import Table, Text
    from suanli.cli.report_view import blocks

    page = read(report.export("html"))
    assert page.fetched == []
    assert json.loads(page.data) == report.to_dict()
    for block in blocks(report):
        if isinstance(block, Text):
            assert block.text in page.texts
        elif isinstance(block, Table):
            assert {cell for row in block.rows for cell in row if cell.strip()} <= set(page.texts)


def test_a_page_looks_as_the_terminal_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headlines, numbers, sums, shares and branches of a tree are marked as such, and nothing else is."""
    from suanli.cli import report_view
    from suanli.cli.blocks import Block, Node, Table, Text

    rows = (("a", "1", "25 %"), ("b", "2", "-"), ("c", "3", "2.5 %"), ("d", "4", "1.2.3 %"))
    half = Table(columns=("part", "", "share"), rows=rows, right=(1,), strong=(1,))
    bare = Table(title="Bare", columns=("", ""), rows=(("c", "n/a %"),))
    tree = Node(text="root", note="why", children=(Node(text="leaf"),))
    blocks: list[Block] = [Text(text="before"), Text(text="It fits.", style="headline"), half, bare, tree]
    monkeypatch.setattr(report_view, "blocks", lambda report: blocks)
    page = TRAINED.export("html")
    assert isinstance(page, str)
    lines = page.splitlines()
    assert "<title>It fits.</title>" in lines
    for line in (
        '<p class="plain">before</p>',
        "<h1>It fits.</h1>",
        '<tr><th>part</th><th class="number"></th><th>share</th></tr>',
        '<tr><td>a</td><td class="number">1</td><td class="share number" style="--part: 25%">25 %</td></tr>',
        '<tr class="sum"><td>b</td><td class="number">2</td><td>-</td></tr>',
        '<tr><td>c</td><td class="number">3</td><td class="share number" style="--part: 2.5%">2.5 %</td></tr>',
        '<tr><td>d</td><td class="number">4</td><td>1.2.3 %</td></tr>',
        "<h2>Bare</h2>",
        "<tr><td>c</td><td>n/a %</td></tr>",
        '<ul><li>root <span class="note">why</span><ul><li>leaf</li></ul></li></ul>',
    ):
        assert line in lines
    assert page.count("<h2>") == 1
    assert page.count("<th") == 3


def test_a_page_runs_nothing_it_is_told() -> None:
    """Markup in a name stays text, in what is shown and in the data."""
    evil = "</script><script>alert(1)</script><b>"
    report = attrs.evolve(TRAINED, scenario=TRAINED.scenario | {"model": {"name": evil}})
    page = read(report.export("html"))
    assert json.loads(page.data)["scenario"]["model"]["name"] == evil
    assert any(evil in text for text in page.texts)


def test_a_name_nobody_exports_is_told_with_the_nearest() -> None:
    """A misspelt exporter meets the one that was meant."""
    with pytest.raises(UnknownNameError, match=r"no exporter named 'htlm'\. Did you mean 'html'\?.*list exporters"):
        TRAINED.export("htlm")


def test_the_kind_must_be_one_it_writes() -> None:
    """What an exporter is not for is refused with those that are, before anything is estimated."""
    with pytest.raises(SuanliError, match="'vllm-args' is for serve; for pretrain: html, megatron-args"):
        TRAINED.export("vllm-args")
    nowhere = TRAIN | {"system": {"name": "no-such-system"}}
    with pytest.raises(SuanliError, match="'vllm-args' is for serve"):
        suanli.export(nowhere, "vllm-args")


def failing(report: Report) -> str:
    """Raises what is no error of suanli's."""
    raise ZeroDivisionError("by zero")


def rubbish(report: Report) -> Any:
    """No text."""
    return 5


def refusing(report: Report) -> str:
    """Raises on purpose."""
    raise SuanliError("ask Acme for a licence")


@pytest.mark.parametrize(
    ("write", "error", "said"),
    [
        (failing, PluginError, "exporter 'acme' of plugin acme failed: ZeroDivisionError: by zero"),
        (rubbish, PluginError, "exporter 'acme' of plugin acme must return text or bytes, got int"),
        (refusing, SuanliError, "ask Acme for a licence"),
    ],
)
def test_an_exporter_that_fails_is_named(write: Any, error: type[SuanliError], said: str) -> None:
    """An exporter that raises, or gives no text, is told with its plugin; what it says on purpose is passed on."""
    exporter = Exporter(name="acme", write=write, about="nothing", source="Acme")
    workspace = Workspace(plugins=[*installed_plugins(), make_plugin("acme", exporters=[exporter])])
    with pytest.raises(error) as caught:
        workspace.export(TRAINED, "acme")
    assert str(caught.value) == said
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "json"},
        {"name": "A b"},
        {"aliases": ("table",)},
        {"suffix": "html"},
        {"media_type": "html"},
        {"kinds": ()},
        {"kinds": ("training",)},
    ],
    ids=str,
)
def test_an_exporter_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """Names every command has, and suffixes, media types and kinds that are none, are refused when it is made."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Exporter(**{"name": "acme", "write": failing, "about": "nothing", "source": "Acme"} | wrong)


def test_the_formats_of_every_command_are_reserved() -> None:
    """What the command line writes by itself is what no exporter may be called."""
    assert OWN_FORMATS == FORMATS
