"""Matrix products through torch: C[m, n] = A[m, k] W[n, k]^T, as a linear layer has them."""

from __future__ import annotations

from functools import partial

from suanli.bench.candidates import Candidate, Launch, Tools, fp32_products, keeping
from suanli.bench.device import CannotMeasureError
from suanli.measurement_schema import Shape

ELEMENT = {"bf16": 2, "fp16": 2, "fp32": 4, "tf32": 4, "fp8_static": 1, "int8_static": 1}
FP8_CAPABILITY = (8, 9)
TF32_CAPABILITY = (8, 0)


def build(tools: Tools, shape: Shape) -> list[Candidate]:
    """The ways to run a product.

    Raises:
        CannotMeasureError: Where torch has none for its precision on this device.
    """
    m, n, k = int(shape["m"]), int(shape["n"]), int(shape["k"])
    make = {"fp8_static": _fp8, "int8_static": _int8}.get(shape.precision, _plain)
    return [make(tools, m, n, k, shape.precision)]


def _set_bytes(m: int, n: int, k: int, precision: str, output: int) -> int:
    return (m * k + n * k) * ELEMENT[precision] + m * n * output


def _plain(tools: Tools, m: int, n: int, k: int, precision: str) -> Candidate:
    if f"{precision}_static" in ELEMENT:
        said = f"quantising to {precision} while running is not measured here; {precision}_static is"
        raise CannotMeasureError(said, whole=True)
    if precision not in ELEMENT:
        raise CannotMeasureError(f"no product of torch is known here for {precision}", whole=True)
    if precision == "tf32" and tools.capability < TF32_CAPABILITY:
        raise CannotMeasureError("tf32 needs an NVIDIA device of compute capability 8.0 or more", whole=True)

    def make() -> Launch:
        a, w = tools.random(m, k, precision=precision), tools.random(n, k, precision=precision)
        return keeping(partial(tools.torch.nn.functional.linear, a, w))

    how = "high" if precision == "tf32" else "highest"
    return Candidate(
        implementation="torch.nn.functional.linear",
        set_bytes=_set_bytes(m, n, k, precision, ELEMENT[precision]),
        make=make,
        within=partial(fp32_products, tools.torch, how),
    )


def _fp8(tools: Tools, m: int, n: int, k: int, precision: str) -> Candidate:
    """Inputs are fp8 already and scales are given: no quantisation is in the time."""
    if tools.kind != "cuda" or tools.capability < FP8_CAPABILITY:
        raise CannotMeasureError("fp8 needs an NVIDIA device of compute capability 8.9 or more", whole=True)
    if n % 16 or k % 16:
        raise CannotMeasureError("torch multiplies fp8 where n and k are multiples of 16")

    def make() -> Launch:
        a, w = tools.random(m, k, precision="fp8"), tools.random(n, k, precision="fp8")
        one = tools.torch.ones((), device=tools.device)
        settings = {"scale_a": one, "scale_b": one, "out_dtype": tools.torch.bfloat16, "use_fast_accum": True}
        return keeping(lambda: tools.torch._scaled_mm(a, w.t(), **settings))

    return Candidate(
        implementation="torch._scaled_mm, one scale a tensor, fast accumulation",
        set_bytes=_set_bytes(m, n, k, precision, 2),
        make=make,
    )


def _int8(tools: Tools, m: int, n: int, k: int, precision: str) -> Candidate:
    """Inputs are int8 already and sums stay int32: neither quantising nor scaling is in the time."""
    if tools.kind == "cuda" and (m <= 16 or n % 8 or k % 8):
        raise CannotMeasureError("torch multiplies int8 where m is above 16, and n and k are multiples of 8")
    if tools.kind == "npu":
        raise CannotMeasureError("no int8 product of torch_npu is known here", whole=True)

    def make() -> Launch:
        a, w = tools.random(m, k, precision="int8"), tools.random(n, k, precision="int8")
        return keeping(lambda: tools.torch._int_mm(a, w.t()))

    return Candidate(implementation="torch._int_mm, int32 sums", set_bytes=_set_bytes(m, n, k, precision, 4), make=make)
