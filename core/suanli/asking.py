"""Kernels and exchanges asked for by hand: arguments checked, arrays allowed, scalars give a float."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from suanli.collectives import OPERATIONS
from suanli.errors import InvalidInputError, SuanliError, UnknownNameError, show
from suanli.kernels import Formats, Kernel, formats_on
from suanli.numeric import all_true, any_true

if TYPE_CHECKING:
    from suanli.hardware import Accelerator, System


def ask_kernel(accelerator: Accelerator, make: Callable[..., Kernel], precision: str, **shape: Any) -> Any:
    """Seconds of one kernel asked for by hand: arguments checked, arrays allowed, scalars give a float.

    Raises:
        InvalidInputError: Naming every dimension that is not a positive finite number.
        SuanliError: Where the accelerator has no kernel model.
    """
    model = accelerator.kernels
    if model is None:
        raise SuanliError(f"{accelerator.id} is not bound to a kernel model; get it with suanli.accelerator()")
    formats = formats_named(accelerator, precision)
    phase = {k: v for k, v in shape.items() if k == "phase"}
    faults: list[str] = []
    numbers = {k: _size(k, v, faults) for k, v in shape.items() if k != "phase"}
    if not faults:
        faults = [f"{a}: must not be more than {b}" for a, b in _AT_MOST if _exceeds(numbers, a, b)]
    if faults:
        raise InvalidInputError(faults, "kernel")
    return model.time_s(make(**numbers, **phase, formats=formats), accelerator)


_AT_MOST = (("query", "kv_tokens"), ("top_k", "experts"))
"""Sizes that cannot be more than another."""


def _size(name: str, value: Any, faults: list[str]) -> Any:
    """A dimension as a number or a column; a fault is noted where it is not positive and finite.

    A window may be 0.
    """
    try:
        number = as_number(value)
    except InvalidInputError as exc:
        faults.append(f"{name}: {exc.errors[0]}")
        return 1.0
    least_is_zero = name == "window"
    fine = (number >= 0.0) if least_is_zero else (number > 0.0)
    if any_true(~fine if not isinstance(fine, bool) else not fine) or any_true(number > 1e30):
        faults.append(f"{name}: must be a {'finite number, 0 or more' if least_is_zero else 'positive finite number'}")
    return number


def _exceeds(numbers: Mapping[str, Any], a: str, b: str) -> bool:
    return a in numbers and b in numbers and any_true(numbers[a] > numbers[b])


def formats_named(accelerator: Accelerator, precision: str) -> Formats:
    """Formats of a kernel asked for by one name: weights, inputs and cache alike.

    ``_wo`` narrows weights only; ``_block`` and ``_static`` say how inputs are scaled, where not while running.
    """
    known = {n: f for f in accelerator.formats for n in (f.name, *f.aliases)}
    if not isinstance(precision, str):
        raise UnknownNameError("precision", show(precision), known)
    scales = next((x for x in _SCALES if precision.endswith(x)), "")
    name = precision.removesuffix("_wo").removesuffix(scales)
    if name not in known or "bf16" not in known:
        raise UnknownNameError("precision", precision, known)
    stored = known[name]
    if precision.endswith("_wo"):
        return formats_on(accelerator, weights=stored, compute=known["bf16"], cache=known["bf16"])
    formats = formats_on(accelerator, weights=stored, compute=stored, cache=stored)
    own = formats.precision == stored.compute
    return attrs.evolve(formats, precision=formats.precision + scales) if own and scales else formats


_SCALES = ("_block", "_static")
"""Endings that say how the inputs of a product are scaled."""


def as_number(value: Any) -> Any:
    """A float of a scalar, a float64 array of an array or list of numbers.

    Raises:
        InvalidInputError: Where it is neither.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return float("inf")
    if not isinstance(value, (bool, str, bytes)) and value is not None:
        import numpy as np

        try:
            array = np.asarray(value)
            if array.dtype.kind in "iuf":
                return array.astype(np.float64) if array.ndim else float(array)
        except (TypeError, ValueError, OverflowError):
            pass
    raise InvalidInputError([f"expected a number or an array of numbers, got {show(value)}"])


def ask_collective(system: System, operation: str, *, bytes: Any, ranks: Any, stride: Any) -> Any:
    """Seconds of an exchange asked for by hand: arguments checked, arrays allowed, scalars give a float.

    Raises:
        UnknownNameError: For an operation that is none of ``OPERATIONS``.
        InvalidInputError: Naming every argument out of range.
    """
    if operation not in OPERATIONS:
        raise UnknownNameError("collective", operation, OPERATIONS)
    if system.exchanges is None:
        raise SuanliError(f"{system.id} is not bound to a collective model; get it with suanli.system()")
    size, group, apart = as_number(bytes), as_number(ranks), as_number(stride)
    faults = []
    for name, number, least in (("bytes", size, 0.0), ("ranks", group, 1.0), ("stride", apart, 1.0)):
        if not all_true((number >= least) & (number < 1e30)):
            faults.append(f"{name}: must be a finite number, at least {least:.0f}")
    if system.reach is not None and not faults and any_true((group - 1.0) * apart + 1.0 > float(system.reach)):
        faults.append(f"ranks: the network of {system.id} joins {system.reach} accelerators, the group needs more")
    if faults:
        raise InvalidInputError(faults, "collective")
    return system.exchanges.time_s(operation, bytes=size, ranks=group, stride=apart, system=system)
