"""Ours against the real classes: the comparison with libraries made up here, and with the real ones where installed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

import suanli
from suanli import verifying
from suanli.errors import ModelConfigError, SuanliError

CONFIG = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2} | {
    "num_attention_heads": 4,
    "vocab_size": 100,
    "quantization_config": {"quant_method": "fp8"},
}


class Weights:
    """A tensor of so many elements."""

    def __init__(self, count: int, width: int = 2) -> None:
        self.count, self.width = count, width

    def numel(self) -> int:
        return self.count

    def element_size(self) -> int:
        return self.width

    def is_floating_point(self) -> bool:
        return self.width == 2


class Net:
    """A model that keeps two tensors and a counter for each of two layers."""

    def __init__(self, tokens: int = 64) -> None:
        self.tokens = tokens

    def eval(self) -> Net:
        return self

    def parameters(self) -> list[Weights]:
        return [Weights(1000), Weights(234)]

    def __call__(self, **_: Any) -> Any:
        shared = Weights(64 * self.tokens)
        layer = SimpleNamespace(keys=shared, values=Weights(64 * self.tokens), again=shared, seen=Weights(1, 8))
        return SimpleNamespace(past_key_values=SimpleNamespace(layers=[layer, SimpleNamespace(states=[Weights(3)])]))


class Mindless(Net):
    """A model that does not run without weights."""

    def __call__(self, **_: Any) -> Any:
        raise RuntimeError("Cannot copy out of meta tensor; no data!\nmore")


def fakes(net: Any, seen: dict[str, Any] | None = None) -> Callable[[str], Any]:
    """Importing torch and transformers that build `net` of anything."""

    class Counter:
        def __init__(self, display: bool) -> None: ...

        def __enter__(self) -> Counter:
            return self

        def __exit__(self, *_: object) -> None: ...

        def get_total_flops(self) -> int:
            return 777

    def for_model(kind: str, **rest: Any) -> Any:
        if kind != "llama":
            raise ValueError(f"Unrecognized model identifier: {kind}\nShould be one of ...")
        (seen if seen is not None else {}).update(rest)
        return SimpleNamespace()

    torch = SimpleNamespace(
        device=lambda _: nullcontext(), bfloat16="bf16", long="long", no_grad=nullcontext, zeros=lambda *_, **__: None
    )
    made = SimpleNamespace(
        AutoConfig=SimpleNamespace(for_model=for_model),
        AutoModelForCausalLM=SimpleNamespace(from_config=lambda *_, **__: net),
        __version__="9",
    )
    modules = {
        "torch": torch,
        "transformers": made,
        "torch.utils.flop_counter": SimpleNamespace(FlopCounterMode=Counter),
    }
    return modules.__getitem__


def test_what_the_real_class_says_is_added_up() -> None:
    """Parameters and cached tensors are counted once each, counters not; what only loads weights is left out."""
    seen: dict[str, Any] = {}
    theirs = verifying.build(CONFIG, 64, fakes(Net(), seen))
    assert theirs.parameters == 1234
    assert theirs.flops == 777
    assert theirs.cache_bytes == 2 * (2 * 64 * 64 + 3)
    assert "quantization_config" not in seen
    assert seen["hidden_size"] == 64


def test_a_class_that_does_not_run_still_has_parameters() -> None:
    """Where a forward pass fails, the rest is compared, and why is said in a line."""
    theirs = verifying.build(CONFIG, 64, fakes(Mindless()))
    assert (theirs.parameters, theirs.flops, theirs.cache_bytes) == (1234, None, None)
    assert theirs.reasons == ("Mindless does not run without weights: Cannot copy out of meta tensor; no data!",)


def test_a_type_the_library_does_not_know_is_said() -> None:
    """The type, the version and the reason, in one line."""
    with pytest.raises(ModelConfigError, match=r"transformers 9 cannot build model_type 'lynx': Unrecognized") as told:
        verifying.build({"model_type": "lynx"}, 64, fakes(Net()))
    assert "\n" not in str(told.value)


def test_missing_libraries_are_said() -> None:
    """Which, and how they are installed."""

    def load(name: str) -> Any:
        raise ModuleNotFoundError(name)

    with pytest.raises(SuanliError, match=r"needs torch and transformers.*pip install 'suanli\[verify\]'"):
        verifying.libraries(load)


def test_figures_are_compared_one_by_one() -> None:
    """Equal, unknown and different figures are told apart; a difference with a reason is no failure."""
    model = suanli.model({k: v for k, v in CONFIG.items() if k != "quantization_config"})
    flops = int(model.forward_flops(sequence=16, causal=False).total)
    right = verifying.Theirs(name="X", parameters=model.parameters.total, flops=flops, cache_bytes=None)
    found = verifying.compare(model, right, 16)
    assert [c.agrees for c in found] == [True, True, None]
    wrong = verifying.Theirs(name="X", parameters=model.parameters.total + 1, flops=flops + 1, cache_bytes=0)
    found = verifying.compare(model, wrong, 16)
    assert [c.agrees for c in found] == [False, False, False]
    assert all(c.fails for c in found)
    scan = suanli.model("mamba2-2.7b")
    found = verifying.compare(scan, verifying.Theirs(name="X", parameters=scan.parameters.total, flops=1), 16)
    assert [c.fails for c in found] == [False, False, False]


def test_a_class_that_computes_every_expert_is_recognised() -> None:
    """FLOPs of all experts, where a token goes to some, have a reason; other differences have none."""
    model = suanli.model(CONFIG | {"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2}
                         | {"moe_intermediate_size": 32, "head_dim": 16, "quantization_config": None})  # fmt: skip
    by_group = model.forward_flops(sequence=16, causal=False).by_group
    every = int(sum(by_group.values()) + 3 * by_group["experts"])
    for flops, fails in ((every, False), (every + 2, True)):
        found = verifying.compare(model, verifying.Theirs(name="X", parameters=0, flops=flops), 16)
        assert found[1].fails is fails


THERE = all(importlib.util.find_spec(n) is not None for n in ("torch", "transformers"))
REAL: dict[str, dict[str, Any]] = {
    "llama": {k: v for k, v in CONFIG.items() if k != "quantization_config"},
    "qwen3_moe": CONFIG
    | {"model_type": "qwen3_moe", "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    | {"head_dim": 16, "num_key_value_heads": 2},
}


@pytest.mark.skipif(not THERE, reason="needs torch and transformers")
@pytest.mark.parametrize("name", REAL)
def test_the_real_classes_agree(name: str, tmp_path: Any) -> None:
    """The command builds the real class and finds every figure equal."""
    (tmp_path / "config.json").write_text(json.dumps(REAL[name]))
    command = [sys.executable, "-W", "ignore", "-m", "suanli.cli", "verify", str(tmp_path), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [f["agrees"] for f in json.loads(done.stdout)["figures"]] == [True, True, True]
