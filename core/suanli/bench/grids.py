"""Which shapes to measure where nobody says: spread evenly on logarithmic axes, and those of language models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from suanli.bench.memory import ELEMENT, traffic_bytes
from suanli.collectives import OPERATIONS
from suanli.measurement_schema import CERTAIN, ELEMENTWISE, KERNELS, Shape, make_shape

KINDS = ("gemm", "attention", "elementwise", "collective")
"""Kernels measured here, in the order they are."""

PROJECTIONS = (
    # outputs and inputs of a layer's products, from the config.json of each model
    (12288, 4096),  # Llama 2 7B: queries, keys and values
    (4096, 4096),  # its attention output
    (22016, 4096),  # its gate and up
    (4096, 11008),  # its down
    (128256, 4096),  # Llama 3 8B: head
    (10240, 8192),  # Llama 3 70B: queries, keys and values
    (57344, 8192),  # its gate and up
    (8192, 28672),  # its down
    (1280, 8192),  # Llama 3 70B over 8 ranks: queries, keys and values
    (8192, 1024),  # its attention output
    (7168, 8192),  # its gate and up
    (8192, 3584),  # its down
)
ROWS = (1, 4, 16, 32, 64, 128, 256, 1024, 4096, 8192)
HEADS = ((32, 32, 128), (32, 8, 128), (64, 8, 128), (8, 1, 128), (16, 16, 64), (16, 8, 256))
"""Query heads, key and value heads, and width: grouped, ungrouped, one rank's share of eight, narrow, wide."""

BETWEEN = (
    (4, 4096), (32, 8192), (128, 4096), (512, 8192), (2048, 4096), (4096, 8192), (8192, 4096), (12288, 8192)
)  # fmt: skip
"""Rows and widths besides, of the passes whose traffic is certain: a model of memory is fitted to these."""

EVERY = {"bf16": 1, "fp8_static": 2, "int8_static": 3, "fp16": 4, "tf32": 4, "fp32": 4}
"""Of the shapes, every so many are measured in a precision; of a precision asked for alone, all."""

LABELS = {"fp8": "fp8_static", "int8": "int8_static"}
"""Precisions that torch multiplies without quantising the inputs, as a file names them."""


def default_shapes(
    kinds: Iterable[str], precisions: Iterable[str], ranks: Iterable[int] = (), *, quick: bool = False
) -> tuple[Shape, ...]:
    """The shapes of some kinds of kernel, in some precisions.

    Args:
        kinds: Of ``KINDS``.
        precisions: As ``--dtype`` names them; a kind leaves out those it is not measured in.
        ranks: Sizes of groups, for collectives.
        quick: A tenth of them.
    """
    asked = tuple(dict.fromkeys(LABELS.get(p, p) for p in precisions))
    found: list[Shape] = []
    for kind in kinds:
        found += _GRIDS[kind](asked, tuple(ranks), quick)
    return tuple(dict.fromkeys(found))


def _products(precisions: tuple[str, ...], ranks: tuple[int, ...], quick: bool) -> Iterator[Shape]:
    rows, projections = (ROWS[::4], PROJECTIONS[::4]) if quick else (ROWS, PROJECTIONS)
    sizes = [(m, n, k) for n, k in projections for m in rows] + list(scattered(12 if quick else 120))
    for precision, step in _steps(precisions, EVERY):
        for m, n, k in sizes[::step]:
            yield make_shape("gemm", precision, m=m, n=n, k=k)


def _steps(precisions: tuple[str, ...], known: Iterable[str]) -> list[tuple[str, int]]:
    """Each precision of those known, with which of the shapes are measured in it: every so many."""
    found = [p for p in precisions if p in known and p in EVERY]
    least = min((EVERY[p] for p in found), default=1)
    return [(p, max(1, EVERY[p] // least)) for p in found]


def scattered(count: int, least: int = 16, most: int = 16384) -> Iterator[tuple[int, int, int]]:
    """Sizes m, n and k spread evenly over the logarithms: a Halton sequence in bases 2, 3 and 5.

    Every second one has odd rows, so that tiles are seen part full; n and k are multiples of 16, as weights are.
    """
    for i in range(1, count + 1):
        m, n, k = (least * (most / least) ** _halton(i, base) for base in (2, 3, 5))
        yield max(1, round(m / 16) * 16 - i % 2), max(16, round(n / 16) * 16), max(16, round(k / 16) * 16)


def _halton(index: int, base: int) -> float:
    """The index in a base, its digits mirrored at the point (Halton 1960)."""
    value, share = 0.0, 1.0
    while index:
        share /= base
        index, digit = divmod(index, base)
        value += share * digit
    return value


def _attention(precisions: tuple[str, ...], ranks: tuple[int, ...], quick: bool) -> Iterator[Shape]:
    heads = HEADS[1:4:2] if quick else HEADS
    lengths = (256, 2048) if quick else (64, 256, 1024, 2048, 4096, 8192, 16384)
    cached = (512, 4096) if quick else (128, 512, 2048, 8192, 32768)
    found: list[dict[str, int | str]] = []
    for count, kept, width in heads:
        own: dict[str, int | str] = {"heads": count, "kv_heads": kept, "head_dim": width}
        for length in lengths:
            for batch in (1,) if quick else (1, 8):
                found.append({"phase": "prefill", "batch": batch, "query": length, "kv_tokens": length, **own})
        for length in cached:
            for batch in (1, 32) if quick else (1, 8, 64):
                found.append({"phase": "decode", "batch": batch, "query": 1, "kv_tokens": length, **own})
    for precision, step in _steps(precisions, ELEMENT):
        for sizes in found[::step]:
            yield make_shape("attention", precision, **sizes)


def _passes(precisions: tuple[str, ...], ranks: tuple[int, ...], quick: bool) -> Iterator[Shape]:
    sizes = ((64, 4096), (4096, 4096)) if quick else (
        (1, 4096), (16, 4096), (64, 8192), (256, 4096), (1024, 8192), (4096, 4096), (8192, 8192), (16384, 8192)
    )  # fmt: skip
    halves = [p for p in precisions if p in ("bf16", "fp16")][:1]  # 16 bits move alike, whatever they mean
    for precision in (*halves, *(("fp32",) if "fp32" in precisions else ())):
        for operation in ELEMENTWISE:
            own = precision == "fp32" and (operation == "optimizer_step" or not halves)
            taken = sizes if quick or operation not in CERTAIN else (*sizes, *BETWEEN)
            for rows, width in taken if own or precision != "fp32" else taken[::2]:
                if operation != "optimizer_step" or precision == "fp32":
                    yield pass_shape(operation, precision, rows, width)


def pass_shape(operation: str, precision: str, rows: int, width: int, vocabulary: int = 0) -> Shape:
    """The shape of a pass over memory, with the bytes it moves."""
    if operation == "cross_entropy" and not vocabulary:
        rows, width = max(rows // 8, 1), 32_000
    sizes = {"rows": rows, "width": width, "bytes": traffic_bytes(operation, rows, width, precision)}
    if operation == "embedding":
        sizes["vocabulary"] = vocabulary or 32_000
    return make_shape("elementwise", precision, operation=operation, **sizes)


def _collectives(precisions: tuple[str, ...], ranks: tuple[int, ...], quick: bool) -> Iterator[Shape]:
    precision = next((p for p in precisions if p in ELEMENT), "bf16")
    sizes = [2**i for i in (range(12, 27, 7) if quick else range(10, 31, 2))]
    for group in ranks:
        for operation in OPERATIONS:
            if operation == "p2p" and group > 2:
                continue
            for size in sizes:
                yield make_shape("collective", precision, operation=operation, bytes=size, ranks=group)


_Grid = Callable[[tuple[str, ...], tuple[int, ...], bool], Iterator[Shape]]
_GRIDS: Mapping[str, _Grid] = {
    "gemm": _products,
    "attention": _attention,
    "elementwise": _passes,
    "collective": _collectives,
}

assert set(_GRIDS) == set(KINDS) <= set(KERNELS)
