"""The one strict converter between plain data (TOML, JSON, dicts) and the package's values.

Strict means: no value is bent into another type, no unknown key is passed over,
every fault of the input is reported at once, each with the path of its field.

An attrs field may carry, as metadata, the ``key`` it has in a file (``memory`` for ``memory_bytes``).
A field typed with one of the quantity types below also takes a string with a unit.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_args

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from suanli import units
from suanli.errors import InvalidInputError, near, show

T = TypeVar("T")


@attrs.frozen
class Quantity:
    """Marks a number that may also be written as a string with a unit of `dimension`."""

    dimension: str


Count = Annotated[int, Quantity("count")]
Bytes = Annotated[int, Quantity("bytes")]
BytesPerSecond = Annotated[float, Quantity("bytes/s")]
FlopsPerSecond = Annotated[float, Quantity("flop/s")]
Seconds = Annotated[float, Quantity("s")]
Watts = Annotated[float, Quantity("w")]
Hertz = Annotated[float, Quantity("hz")]
Ratio = Annotated[float, Quantity("ratio")]
Currency = Annotated[float, Quantity("currency")]

DIMENSIONS: dict[Any, str] = {
    type_: get_args(type_)[1].dimension
    for type_ in (Count, Bytes, BytesPerSecond, FlopsPerSecond, Seconds, Watts, Hertz, Ratio, Currency)
}
"""The dimension, in the words of :mod:`suanli.units`, of each quantity type."""


def _quantity(dimension: str) -> Any:
    def structure(value: Any, _: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise TypeError(f"expected a number or a quantity such as {_EXAMPLES[dimension]}, got {show(value)}")
        number = units.parse(value, dimension)
        if dimension in ("count", "bytes") and isinstance(number, float):
            if not number.is_integer():
                raise ValueError(f"expected a whole number, got {show(value)}")
            return int(number)
        return number if dimension in ("count", "bytes") else float(number)

    return structure


_EXAMPLES = {
    "count": '"1.4T"',
    "bytes": '"80 GiB"',
    "bytes/s": '"400 Gb/s"',
    "flop/s": '"312 TFLOP/s"',
    "s": '"500 ms"',
    "w": '"700 W"',
    "hz": '"1.6 GHz"',
    "ratio": '"45%"',
    "currency": "2.5",
}


def _integer(value: Any, _: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected an integer, got {show(value)}")
    return value


def _real(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"expected a number, got {show(value)}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, got {show(value)}")
    return number


def _text(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {show(value)}")
    return value


def _truth(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, got {show(value)}")
    return value


def _is_quantity(type_: Any) -> bool:
    return getattr(type_, "__metadata__", None) is not None and type_ in DIMENSIONS


def _is_tuple(type_: Any) -> bool:
    return getattr(type_, "__origin__", None) is tuple and getattr(type_, "__args__", ())[-1:] == (Ellipsis,)


def make_converter() -> cattrs.Converter:
    """A fresh strict converter; callers that need hooks of their own start from one of these."""
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(float, _real)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(bool, _truth)
    converter.register_structure_hook_factory(_is_quantity, lambda type_: _quantity(DIMENSIONS[type_]))

    def sequence(type_: Any) -> Any:
        def structure(value: Any, _: Any) -> Any:
            if not isinstance(value, (list, tuple)):
                raise TypeError(f"expected a list, got {show(value)}")
            errors, items = [], []
            for i, item in enumerate(value):
                try:
                    items.append(converter.structure(item, type_.__args__[0]))
                except Exception as exc:  # every fault is collected
                    errors.append(_noted(exc, i))
            if errors:
                raise cattrs.errors.IterableValidationError("invalid list", errors, type_)
            return tuple(items)

        return structure

    def table(type_: Any) -> Any:
        overrides = _overrides(type_)
        inner = make_dict_structure_fn(type_, converter, _cattrs_forbid_extra_keys=True, **overrides)

        def structure(value: Any, cls: Any) -> Any:
            if not isinstance(value, Mapping):
                raise TypeError(f"expected a table, got {show(value)}")
            try:
                return inner(value, cls)
            except Exception as exc:
                raise _all_faults(exc, value, type_, converter) from None

        return structure

    def untable(type_: Any) -> Any:
        overrides = _overrides(type_)
        return make_dict_unstructure_fn(type_, converter, _cattrs_omit_if_default=True, **overrides)

    converter.register_structure_hook_factory(_is_tuple, sequence)
    converter.register_structure_hook_factory(attrs.has, table)
    converter.register_unstructure_hook_factory(attrs.has, untable)
    return converter


def _all_faults(exc: Exception, value: Mapping[Any, Any], type_: Any, converter: cattrs.Converter) -> Exception:
    """A table's fault with every other of it: keys as they are written, and values out of their range.

    attrs validates when a value is made, which is not done where a field is missing or of the wrong type.
    """
    keys = {f.name: f.metadata.get("key", f.name) for f in attrs.fields(type_)}
    faults = list(exc.exceptions) if isinstance(exc, cattrs.errors.ClassValidationError) else [exc]
    kept, told = [], set()
    for fault in faults:
        notes = [n for n in getattr(fault, "__notes__", []) if isinstance(n, cattrs.errors.AttributeValidationNote)]
        for note in notes:
            told.add(note.name)
            note.name = keys.get(note.name, note.name)
        plain = isinstance(fault, (TypeError, ValueError)) and not isinstance(fault, BaseExceptionGroup)
        if notes or not (plain and fault.args and _VALIDATED.match(str(fault.args[0]))):
            kept.append(fault)
    for field in attrs.fields(resolved(type_)):
        key = keys[field.name]
        if field.validator is None or field.name in told or key not in value or field.metadata.get("runtime"):
            continue
        try:
            field.validator(None, field, converter.structure(value[key], field.type))
        except Exception as fault:
            kept.append(at_key(fault, key, field.name))
    return cattrs.errors.ClassValidationError("invalid table", kept or faults, type_)


def at_key(fault: Exception, key: str, field: str = "") -> Exception:
    """A fault of the value at a key of a table; one that attrs tells of a field is told of the key."""
    said = _VALIDATED.match(str(fault.args[0])) if fault.args else None
    if said is not None and said[1] == field:
        fault.args = (str(fault.args[0]).replace(f"'{field}'", f"'{key}'", 1), *fault.args[1:])
    fault.__notes__ = [cattrs.errors.AttributeValidationNote(f"key {key}", key, Any)]
    return fault


@functools.cache
def resolved(type_: Any) -> Any:
    """An attrs class with its annotations as types."""
    attrs.resolve_types(type_, include_extras=True)
    return type_


def _overrides(type_: Any) -> dict[str, Any]:
    """How the fields of a class are named in a file; fields bound at run time are not there."""
    found = {}
    for field in attrs.fields(type_):
        if field.metadata.get("runtime"):
            found[field.name] = override(omit=True)
        elif "key" in field.metadata:
            found[field.name] = override(rename=field.metadata["key"])
    return found


def _noted(exc: Exception, index: int) -> Exception:
    exc.__notes__ = [
        *getattr(exc, "__notes__", []),
        cattrs.errors.IterableValidationNote(f"item {index}", index, Any),
    ]
    return exc


def structure(
    data: Any,
    type_: type[T],
    *,
    where: str = "",
    path: str = "",
    converter: cattrs.Converter | None = None,
    error: type[InvalidInputError] = InvalidInputError,
) -> T:
    """`data` as a `type_`.

    Args:
        data: Plain data, as TOML or JSON give it.
        type_: An attrs class of this package.
        where: The file or object the data is from, for the messages.
        path: Path of `data` inside it, for the messages.
        converter: One of :func:`make_converter`'s; a shared one by default.
        error: What to raise.

    Raises:
        InvalidInputError: (or `error`) naming every fault with its path.
    """
    try:
        return (converter or _shared()).structure(data, type_)
    except Exception as exc:
        raise error(explain_faults(exc, type_, path), where) from None


_SHARED: list[cattrs.Converter] = []


def _shared() -> cattrs.Converter:
    if not _SHARED:
        _SHARED.append(make_converter())
    return _SHARED[0]


def unstructure(value: Any) -> Any:
    """`value` as plain data that :func:`structure` takes back."""
    return _shared().unstructure(value)


_VALIDATED = re.compile(r"'([\w.-]+)' must ")
"""How attrs begins what a validator says of a field."""


def explain_faults(exc: BaseException, type_: Any, path: str = "") -> list[str]:
    """One ``path: what is wrong`` line for each fault in a converter's exception."""
    lines = []
    for line in cattrs.transform_error(exc, path=path or "$", format_exception=_describe):
        message, _, at = line.rpartition(" @ ")
        at = at.removeprefix("$.").removeprefix("$")
        named = _VALIDATED.match(message)
        if named:
            message = message.removeprefix(f"'{named[1]}' ")
            if at.rpartition(".")[2] != named[1]:
                at = f"{at}.{named[1]}" if at else named[1]
        lines.append(f"{at}: {message}" if at else message)
    return lines


def _describe(exc: BaseException, type_: Any) -> str:
    if isinstance(exc, cattrs.errors.ForbiddenExtraKeysError):
        fields = attrs.fields(exc.cl) if attrs.has(exc.cl) else ()
        known = [f.metadata.get("key", f.name) for f in fields if not f.metadata.get("runtime")]
        return "; ".join(unknown_key(k, known) for k in sorted(exc.extra_fields, key=str))
    if isinstance(exc, KeyError):
        return "required, and missing"
    if isinstance(exc, InvalidInputError):
        return "; ".join(exc.errors)
    if isinstance(exc, (TypeError, ValueError)) and exc.args:
        return str(exc.args[0])
    return str(exc) or type(exc).__name__


def unknown_key(key: object, known: list[str]) -> str:
    """What to say of a key that is not among `known`."""
    close = near(str(key), known)
    meant = f"did you mean {' or '.join(repr(c) for c in close)}?" if close else f"known: {', '.join(sorted(known))}"
    return f"unknown key {show(key)}; {meant}"
