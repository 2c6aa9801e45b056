"""Strict reading: nothing is bent into another type, every fault is told at once, nothing large is read."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

import suanli
from suanli import serialize
from suanli.data_files import MAX_DEPTH, MAX_FILE_BYTES, parse_data, read_data
from suanli.errors import InvalidInputError
from suanli.serialize import Bytes, Count, Seconds, structure


@attrs.frozen(kw_only=True)
class Inner:
    """A table inside another."""

    name: str
    size: Bytes = attrs.field(default=0, metadata={"key": "memory"})


@attrs.frozen(kw_only=True)
class Outer:
    """A table of every kind of field."""

    whole: int = 0
    real: float = 0.0
    text: str = ""
    flag: bool = False
    count: Count | None = None
    wait: Seconds = 0.0
    inner: tuple[Inner, ...] = ()
    numbers: tuple[float, ...] = ()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"whole": 80.9}, "whole: expected an integer, got 80.9"),
    ({"whole": 80.0}, "whole: expected an integer"),
    ({"whole": "80"}, "whole: expected an integer"),
    ({"whole": True}, "whole: expected an integer, got True"),
    ({"whole": None}, "whole: expected an integer, got None"),
    ({"real": "0.5"}, "real: expected a number"),
    ({"real": True}, "real: expected a number"),
    ({"real": float("nan")}, "real: expected a finite number"),
    ({"real": float("inf")}, "real: expected a finite number"),
    ({"real": 10**400}, "real: "),
    ({"text": 5}, "text: expected a string, got 5"),
    ({"text": None}, "text: expected a string, got None"),
    ({"flag": 1}, "flag: expected true or false, got 1"),
    ({"flag": "true"}, "flag: expected true or false"),
    ({"count": 1.5}, "count: expected a whole number"),
    ({"count": True}, "count: expected a number or a quantity"),
    ({"count": [1]}, "count: expected a number or a quantity"),
    ({"count": "five"}, "count: "),
    ({"wait": "5 GB"}, "wait: "),
    ({"inner": {}}, "inner: expected a list"),
    ({"inner": "ab"}, "inner: expected a list"),
    ({"inner": [5]}, "inner[0]: expected a table, got 5"),
    ({"inner": [{"name": "a"}, {}]}, "inner[1]"),
    ({"inner": [{"name": "a", "memory": "x"}]}, "inner[0].memory: "),
    ({"numbers": [1.0, "2"]}, "numbers[1]: expected a number"),
    ({"numbers": 1.0}, "numbers: expected a list"),
    ({"hole": 1}, "unknown key 'hole'; did you mean 'whole'?"),
    ({"inner": [{"name": "a", "size": 1}]}, "unknown key 'size'; known: memory, name"),
]


@pytest.mark.parametrize(("data", "said"), REFUSED, ids=[str(r[0])[:40] for r in REFUSED])
def test_no_value_is_bent(data: dict[str, Any], said: str) -> None:
    """A value of another type is refused with the path of its field."""
    with pytest.raises(InvalidInputError) as caught:
        structure(data, Outer)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500


def test_values_of_their_type_are_taken() -> None:
    """Numbers, strings with units, lists and tables become what they are."""
    made = structure(
        {"whole": 3, "real": 2, "count": "1.4T", "wait": "50 ms", "inner": [{"name": "a", "memory": "2 GiB"}]}
        | {"numbers": [1, 2.5]},
        Outer,
    )
    assert made == Outer(
        whole=3, real=2.0, count=1_400_000_000_000, wait=0.05, inner=(Inner(name="a", size=2**31),), numbers=(1.0, 2.5)
    )
    assert type(made.real) is float
    assert type(made.count) is int


def test_every_fault_is_told_at_once() -> None:
    """Nine faults in one table are nine lines, each with its own path."""
    data = {
        "whole": "a",
        "real": "b",
        "text": 1,
        "flag": 2,
        "count": "c",
        "wait": "d",
        "inner": [{"name": 1}, {"memory": "e"}],
        "numbres": [],
    }
    with pytest.raises(InvalidInputError) as caught:
        structure(data, Outer, where="file.toml", path="top")
    paths = {e.partition(":")[0] for e in caught.value.errors}
    assert {"top.whole", "top.real", "top.text", "top.flag", "top.count", "top.wait"} <= paths
    assert {"top.inner[0].name", "top.inner[1].memory"} <= paths
    assert any("numbres" in e for e in caught.value.errors)
    assert len(caught.value.errors) >= 9
    assert str(caught.value).startswith("file.toml: ")


def test_a_scenario_s_faults_are_told_at_once() -> None:
    """All the faults of a scenario, in every section, in one error with their paths."""
    with pytest.raises(suanli.ScenarioError) as caught:
        suanli.scenario(
            {
                "model": {"nmae": "llama-7b"},
                "sytem": {},
                "workload": {"kind": "pretrain", "tokens": "1.4 parsecs", "sequence": 0, "global_batch": 1.5},
                "layout": {"tensor": 8.0, "recompute": "fulll", "zero": 4, "sequence_parallel": "yes", "pipline": 2},
                "implementation": {"attention": "flsh", "dropout": 2.0},
                "assumptions": {"reserve": "2 GB/s"},
            }
        )
    text = str(caught.value)
    for path in (
        "model",
        "unknown key 'sytem'; did you mean 'system'",
        "system: required",
        "workload.tokens",
        "workload.sequence",
        "workload.global_batch",
        "layout.tensor",
        "layout.recompute",
        "layout.zero",
        "layout.sequence_parallel",
        "unknown key 'pipline'; did you mean 'pipeline'",
        "implementation.attention",
        "implementation.dropout",
        "assumptions.reserve",
    ):
        assert path in text, path
    assert "did you mean 'full'" in text


def test_a_file_is_named_in_its_faults(tmp_path: Path) -> None:
    """A fault in a file is told with the file's name and the path in it."""
    file = tmp_path / "scenario.toml"
    file.write_text('[model]\nname = "llama-7b"\n[system]\nname = "dgx-a100"\n[layout]\ntensor = "eight"\n')
    with pytest.raises(suanli.ScenarioError, match=r"scenario\.toml: layout\.tensor: expected a whole number"):
        suanli.load(file)


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_large_file_is_refused_unread(tmp_path: Path, suffix: str) -> None:
    """100 MB are refused by their size, at once."""
    file = tmp_path / f"large.{suffix}"
    with file.open("wb") as stream:
        stream.truncate(100_000_000)
    began = time.process_time()
    with pytest.raises(InvalidInputError, match=f"100000000 bytes; the limit is {MAX_FILE_BYTES}"):
        read_data(file)
    with pytest.raises(suanli.ScenarioError, match="limit"):
        suanli.load(file)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 60_000])
@pytest.mark.parametrize("kind", ["json", "toml"])
def test_deep_nesting_is_refused(depth: int, kind: str) -> None:
    """Tables in tables past the limit are refused, without a stack overflow."""
    if kind == "json":
        text = '{"a":' * depth + "1" + "}" * depth
    else:
        text = "a = " + "[" * depth + "]" * depth if depth < 1000 else "[" + ".".join("a" * depth) + "]\nb = 1"
    began = time.process_time()
    with pytest.raises(InvalidInputError, match="nested deeper"):
        parse_data(text, json_text=kind == "json", where="deep")
    assert time.process_time() - began < 1.0


def test_nesting_up_to_the_limit_is_read() -> None:
    """Forty tables in each other are read."""
    text = '{"a":' * (MAX_DEPTH - 1) + "{}" + "}" * (MAX_DEPTH - 1)
    assert parse_data(text, json_text=True, where="ok").keys() == {"a"}


BAD_TEXTS = [
    ("[model\n", False, "not valid TOML"),
    ('{"a": }', True, "not valid JSON"),
    ('{"a": NaN}', True, "NaN"),
    ('{"a": Infinity}', True, "Infinity"),
    ("[1, 2]", True, "expected a table at the top"),
    ("", True, "not valid JSON"),
]


@pytest.mark.parametrize(("text", "is_json", "said"), BAD_TEXTS)
def test_malformed_text_is_said(text: str, is_json: bool, said: str) -> None:
    """What is no JSON or TOML is refused with the parser's word."""
    with pytest.raises(InvalidInputError, match=said):
        parse_data(text, json_text=is_json, where="file")


def test_files_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    """A missing file, a folder, a text that is not UTF-8: each in a line, with the path."""
    with pytest.raises(InvalidInputError, match=r"cannot read .*none\.toml: No such file"):
        read_data(tmp_path / "none.toml")
    with pytest.raises(InvalidInputError, match="is a folder"):
        read_data(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes('a = "\xe9"'.encode("latin-1"))
    with pytest.raises(InvalidInputError, match=r"not UTF-8 text \(byte 5\)"):
        read_data(latin)
    with pytest.raises(InvalidInputError):
        read_data(Path("nul\0byte"))


def test_defaults_are_not_written() -> None:
    """Plain data holds what differs from the defaults, under the names a file uses, and is read again."""
    made = Outer(whole=2, inner=(Inner(name="a", size=5),))
    plain = serialize.unstructure(made)
    assert json.loads(json.dumps(plain)) == {"whole": 2, "inner": [{"name": "a", "memory": 5}]}
    assert structure(plain, Outer) == made


@pytest.mark.parametrize("key", ["x" * 10_000, "\n", "é"])
def test_unknown_keys_are_clipped(key: str) -> None:
    """A key of any length makes a line of one length."""
    with pytest.raises(InvalidInputError) as caught:
        structure({key: 1}, Outer)
    assert len(str(caught.value)) < 300
    assert "\n" not in caught.value.errors[0]
