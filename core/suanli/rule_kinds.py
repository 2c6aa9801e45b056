"""What an input of a rule of thumb may be, by the annotation of its parameter, and how an answer is held to another."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from suanli.errors import near, show

MOST = 4096
"""The longest list an input may be."""


def is_list(annotation: object) -> bool:
    """Whether a parameter of this annotation takes a list whole."""
    return str(annotation).startswith("tuple")


def choices(annotation: object) -> tuple[Any, ...]:
    """The values a parameter annotated as a ``Literal`` takes; none where it is not."""
    kind = str(annotation)
    return ast.literal_eval(f"({kind[8:-1]},)") if kind.startswith("Literal[") else ()


def fault_of(value: object, kind: str) -> str:
    """What is wrong with an input whose parameter is annotated so; empty where nothing is."""
    if is_list(kind):
        inner = "str" if "str" in kind else "float"
        if isinstance(value, (list, tuple)) and 0 < len(value) <= MOST and all(_fits(v, inner) for v in value):
            return ""
        return f"expected a list of {'names' if inner == 'str' else 'numbers'}, got {show(value)}"
    values = value if isinstance(value, (list, tuple)) and 0 < len(value) <= MOST else [value]
    if all(_fits(v, kind) for v in values):
        return ""
    known = choices(kind)
    if known:
        close = near(value, map(str, known)) if isinstance(value, str) else ()
        meant = f"; did you mean {close[0]!r}?" if close else ""
        return f"expected {' or '.join(map(str, known))}, got {show(value)}{meant}"
    wanted = "a name" if "str" in kind else "true or false" if kind == "bool" else "a number"
    return f"expected {wanted}, got {show(value)}"


def fault_of_subject(subject: str, value: object) -> str:
    """What is wrong with how a subject is given; empty where nothing is."""
    if subject == "sparse":
        return "" if isinstance(value, bool) else f"expected true or false, got {show(value)}"
    if isinstance(value, str) or (subject == "model" and isinstance(value, Mapping)):
        return ""
    return f"expected a name, got {show(value)}"


def is_whole(value: object) -> TypeGuard[float]:
    """Whether a value is a number without a fraction."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, int) or value.is_integer()


def _fits(value: object, kind: str) -> bool:
    """Whether an input is of the kind its parameter is annotated with: a name, a truth value, else a finite number."""
    if kind == "Any":
        return True
    if kind == "bool":
        return isinstance(value, bool)
    if kind.startswith("Literal["):
        return not isinstance(value, bool) and isinstance(value, (str, int, float)) and value in choices(kind)
    if "str" in kind:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 1e300


def difference(value: Any, exact: Any) -> Any:
    """Value / exact - 1, one by one in lists; of a range the nearer end's, 0 within; None where it has no meaning."""
    if isinstance(value, list) and isinstance(exact, (list, tuple)) and len(value) == len(exact):
        return [difference(v, e) for v, e in zip(value, exact, strict=True)]
    if not _number(exact) or not exact:
        return None
    if isinstance(value, list) and len(value) == 2 and all(map(_number, value)):
        low, high = sorted(value)
        return difference(min(max(low, exact), high), exact)
    return float(value) / float(exact) - 1.0 if _number(value) else None


def finite(value: Any) -> bool:
    """Whether every number of an answer is one."""
    if isinstance(value, Mapping):
        return all(map(finite, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
