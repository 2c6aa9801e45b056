"""What architectures are put together from."""

from __future__ import annotations

import inspect
from typing import ClassVar

import attrs
import pytest

import suanli
from suanli import building

SHORT = ("dense.Mistral", "dense.Qwen3", "gemma.Gemma2", "gemma.Gemma3", "cohere.Cohere", "cohere.Cohere2")
"""Families that are their fields and what is their own of a layer."""


@pytest.mark.parametrize("name", SHORT)
def test_a_family_is_a_short_class(name: str) -> None:
    """A whole architecture is written in at most 60 lines."""
    from importlib import import_module

    module, _, family = name.partition(".")
    found = getattr(import_module(f"suanli_models.{module}"), family)
    assert len(inspect.getsource(found).splitlines()) <= 60


def test_every_name_is_there_and_documented() -> None:
    """What the module lists can be imported, and each class and function says what it is."""
    for name in building.__all__:
        value = getattr(building, name)
        assert isinstance(value, str) or inspect.getdoc(value), name


@attrs.frozen(kw_only=True)
class Mixture(building.Decoder):
    """A decoder of experts, made of the public parts alone."""

    family: ClassVar[str] = "mixture-of-the-test"
    experts: int = building.size("num_experts")

    def mixer(self, layer: int, reads: suanli.Tensor, writes: suanli.Tensor) -> tuple[suanli.Operator, ...]:
        """A router and its experts."""
        return building.routed_experts(
            reads, writes, building.ExpertsShape(experts=self.experts, top_k=2, inner=2 * self.hidden)
        )


def test_a_decoder_of_experts_counts_as_by_hand() -> None:
    """Embedding and head, and for each layer two norms, four projections, a router and experts of three matrices."""
    config = {"vocab_size": 100, "hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "num_experts": 4}
    count = Mixture.from_config(config).model("mixture").parameters
    rest, expert = 2 * 8 + 4 * 8 * 8 + 8 * 4, 3 * 8 * 16
    assert count.total == 2 * 100 * 8 + 8 + 3 * (rest + 4 * expert)
    assert count.active == 2 * 100 * 8 + 8 + 3 * (rest + 2 * expert)
