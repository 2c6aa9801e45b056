"""Arithmetic that takes one layout or a table of them: floats in, floats out; arrays in, arrays out.

A formula uses ``+ - * /`` and these functions, and nothing else that rounds.
The four operations round alike in Python and in NumPy,
so a table and its rows one by one agree to the last bit, and one estimate never waits for NumPy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Number: TypeAlias = float | npt.NDArray[np.float64]
    Flag: TypeAlias = bool | npt.NDArray[np.bool_]
else:
    Number = Any
    Flag = Any

_SCALAR = (float, int)


def is_scalar(value: object) -> bool:
    """Whether `value` is one number rather than a column of them."""
    return isinstance(value, _SCALAR)


def minimum(a: Number, b: Number) -> Number:
    """The smaller of `a` and `b`, element by element."""
    if isinstance(a, _SCALAR) and isinstance(b, _SCALAR):
        return a if a <= b else b
    import numpy as np

    return np.minimum(a, b)


def maximum(a: Number, b: Number) -> Number:
    """The larger of `a` and `b`, element by element."""
    if isinstance(a, _SCALAR) and isinstance(b, _SCALAR):
        return a if a >= b else b
    import numpy as np

    return np.maximum(a, b)


def where(condition: Flag, a: Number, b: Number) -> Number:
    """`a` where `condition` holds, else `b`; both are evaluated, so guard their denominators."""
    if isinstance(condition, bool) and isinstance(a, _SCALAR) and isinstance(b, _SCALAR):
        return a if condition else b
    import numpy as np

    return np.where(condition, a, b)


def added(*terms: Number) -> Number:
    """The terms added from left to right."""
    result: Number = 0.0
    for term in terms:
        result = result + term
    return result


def ceil(value: Number) -> Number:
    """The least whole number not below `value`, as a float."""
    if isinstance(value, _SCALAR):
        return float(math.ceil(value))
    import numpy as np

    return np.ceil(value)


def floor(value: Number) -> Number:
    """The greatest whole number not above `value`, as a float."""
    if isinstance(value, _SCALAR):
        return float(math.floor(value))
    import numpy as np

    return np.floor(value)


def doublings(ranks: Number) -> Number:
    """How often 1 must be doubled to reach `ranks`: the depth of a binary tree, 0 for one rank."""
    if isinstance(ranks, _SCALAR):
        return float(math.frexp(max(ranks, 2.0) - 1.0)[1]) if ranks > 1 else 0.0
    import numpy as np

    return np.where(np.greater(ranks, 1), np.frexp(np.maximum(ranks, 2.0) - 1.0)[1], 0).astype(np.float64)


def sqrt(value: Number) -> Number:
    """The square root of `value`."""
    if isinstance(value, _SCALAR):
        return math.sqrt(value)
    import numpy as np

    return np.sqrt(value)


def power(base: Number, exponent: Number) -> Number:
    """`base` to the `exponent`; NumPy's in either case, as it does not round like Python's."""
    import numpy as np

    if isinstance(base, _SCALAR) and isinstance(exponent, _SCALAR):
        # As a column of one: the loops over columns do not round like NumPy's own scalars either.
        return float(np.power(np.asarray([base]), np.asarray([exponent]))[0])
    bases, exponents = np.broadcast_arrays(np.asarray(base, dtype=np.float64), exponent)
    found: Number = np.power(np.ascontiguousarray(bases), np.ascontiguousarray(exponents))
    return found


def all_true(condition: Flag) -> bool:
    """Whether `condition` holds everywhere."""
    return condition if isinstance(condition, bool) else bool(condition.all())


def any_true(condition: Flag) -> bool:
    """Whether `condition` holds anywhere."""
    return condition if isinstance(condition, bool) else bool(condition.any())
