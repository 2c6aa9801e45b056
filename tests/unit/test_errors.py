"""Errors say what, whose and what next, never grow with their input, and survive a pickle."""

from __future__ import annotations

import pickle

import pytest

import suanli
from suanli.errors import (
    CatalogError,
    InvalidInputError,
    ModelConfigError,
    NotThereYetError,
    PluginError,
    ScenarioError,
    SuanliError,
    UnknownNameError,
    clip,
    near,
)

ERRORS = [
    SuanliError("plain"),
    UnknownNameError("model", "lama-7b", ["llama-7b", "gpt2"], "List them."),
    InvalidInputError(["a: wrong", "b: wrong"], "file.toml"),
    ScenarioError(["layout.tensor: wrong"]),
    ModelConfigError(["heads: wrong"], "config.json"),
    CatalogError(["x: wrong"]),
    PluginError("broken"),
    NotThereYetError("GGUF", "use config.json"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_every_error_is_ours_and_pickles(error: SuanliError) -> None:
    """Every error is a SuanliError, and comes out of a pickle with its type, its text and what it holds."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert isinstance(error, SuanliError)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_an_unknown_name_is_met_with_near_ones() -> None:
    """The kind, the name, what may have been meant, how many are known, and what to do."""
    error = UnknownNameError("model", "lama-7b", ["llama-7b", "gpt2"], "List them.")
    assert str(error) == "no model named 'lama-7b'. Did you mean 'llama-7b'? 2 known. List them."
    assert error.near == ("llama-7b",)
    assert isinstance(error, LookupError)


def test_one_fault_is_a_line_and_several_are_a_list() -> None:
    """A single fault follows its file; several are counted and listed, each on its line."""
    assert str(InvalidInputError(["a: wrong"], "f.toml")) == "f.toml: a: wrong"
    assert str(InvalidInputError(["a: wrong", "b: bad"], "f.toml")) == "f.toml: 2 errors\n  - a: wrong\n  - b: bad"
    assert str(InvalidInputError(["a: wrong", "b: bad"])).startswith("2 errors")
    assert issubclass(InvalidInputError, ValueError)


@pytest.mark.parametrize("name", ["x" * 10_000, "\N{SNOWMAN}" * 500, ""])
def test_a_message_does_not_grow_with_its_input(name: str) -> None:
    """A name of any length makes a short message."""
    with pytest.raises(UnknownNameError) as caught:
        suanli.model(name or " ")
    assert len(str(caught.value)) < 400


def test_clip_keeps_the_limit() -> None:
    """Text is cut to the limit, and left alone below it."""
    assert clip("abc", 3) == "abc"
    assert clip("abcd", 3) == "ab…"
    assert len(clip("x" * 1000)) == 80


def test_near_names_are_few_and_best_first() -> None:
    """Case does not matter, what contains the name counts, and what resembles nothing finds nothing."""
    assert near("LLAMA-7B", ["llama-7b", "llama-13b", "gpt2"])[0] == "llama-7b"
    assert near("h100", ["h100-sxm5-80", "a100-sxm4-80"])[0] == "h100-sxm5-80"
    assert near("zzz", ["llama-7b"]) == ()
    assert len(near("a1", [f"a1{i}" for i in range(50)])) == 3


def test_what_is_named_in_the_interface_and_missing_is_said() -> None:
    """What a later version will do is refused as not there yet, with what to do instead."""
    from suanli.profiles import Profile, exact_profile

    rough = Profile(name="rough", kind="training", source="none", activations=False)
    with pytest.raises(NotThereYetError, match=r"not there yet.*megatron"):
        exact_profile(rough)
