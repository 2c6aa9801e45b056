"""Ours against the real classes: transformers' own modules, built on torch's meta device, where no weight exists.

Neither library is imported before a comparison is asked for; the extra ``verify`` installs both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

import attrs

from suanli.errors import ModelConfigError, SuanliError, clip, show
from suanli.models import Model
from suanli.operators import Experts
from suanli.storage import BLOCKS

TRAINERS = ("auto_map", "architectures", "torch_dtype", "dtype", "transformers_version", "_name_or_path", *BLOCKS)
"""Keys that change no layer, or that would have code loaded or weights packed."""
SEQUENCE = 64
"""Tokens of the sequence that is passed through, by default."""


@attrs.frozen(kw_only=True)
class Theirs:
    """What the real classes say; None where they cannot, with the reason.

    Attributes:
        name: Of the class.
        parameters: Elements of its parameters, tied ones once.
        flops: That torch's FlopCounterMode counts of a forward pass of one sequence, every key scored.
        cache_bytes: Of the tensors its cache holds afterwards, in bf16.
        reasons: Why one of them is None.
    """

    name: str
    parameters: int
    flops: int | None = None
    cache_bytes: int | None = None
    reasons: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Compared:
    """One figure, ours and theirs.

    Attributes:
        name: ``"parameters"``, ``"forward_flops"`` or ``"kv_cache_bytes"``.
        ours: Of our model.
        theirs: Of the real class; None where it has none.
        remark: What may make them differ without either being wrong.
    """

    name: str
    ours: int
    theirs: int | None
    remark: str = ""

    @property
    def agrees(self) -> bool | None:
        """Whether they are equal; None where there is nothing to compare."""
        return None if self.theirs is None else self.ours == self.theirs

    @property
    def fails(self) -> bool:
        """Whether they differ, and nothing explains it."""
        return self.agrees is False and not self.remark


def compare(model: Model, theirs: Theirs, sequence: int) -> tuple[Compared, ...]:
    """Parameters, FLOPs and cache of our model beside those of the real class.

    Args:
        model: Ours.
        theirs: What the real class said of the same configuration.
        sequence: Tokens it was asked with.
    """
    groups = model.forward_flops(sequence=sequence, causal=False).by_group
    scans = any(name in g for g in groups for name in ("scan", "ssm"))
    windows = any(0 < op.window <= sequence for block, _ in model.kinds for op in block.operators)
    return (
        Compared(name="parameters", ours=model.parameters.total, theirs=theirs.parameters),
        Compared(
            name="forward_flops",
            ours=int(sum(groups.values())),
            theirs=theirs.flops,
            remark="the plain form of a scan counts other products than its kernels do"
            if scans
            else "this class passes every token through every expert"
            if theirs.flops == _all_experts(model, groups)
            else "",
        ),
        Compared(
            name="kv_cache_bytes",
            ours=model.kv_cache_bytes(sequence),
            theirs=theirs.cache_bytes,
            remark="these classes keep a token less of a window"
            if windows
            else "a state is counted in fp32, as kernels keep it"
            if scans
            else "",
        ),
    )


def _all_experts(model: Model, groups: Mapping[str, float]) -> int | None:
    """FLOPs where each token went to all experts of a layer; None where it does, or there are none."""
    found = (op for block, _ in model.kinds for op in block.operators if isinstance(op, Experts))
    op = next((op for op in found if op.top_k < op.experts), None)
    if op is None:
        return None
    routed = groups.get(op.group, 0.0)
    return int(sum(groups.values()) + routed * (op.experts / op.top_k - 1.0))


def libraries(load: Callable[[str], Any] = import_module) -> tuple[Any, Any]:
    """Torch and transformers.

    Raises:
        SuanliError: Where one is missing: how to install it.
    """
    missing, found = [], []
    for name in ("torch", "transformers"):
        try:
            found.append(load(name))
        except ImportError:
            missing.append(name)
    if missing:
        raise SuanliError(
            f"verifying needs {' and '.join(missing)}, not installed here: pip install 'suanli[verify]'; "
            "nothing else in suanli does"
        )
    return found[0], found[1]


def build(config: Mapping[str, Any], sequence: int = SEQUENCE, load: Callable[[str], Any] = import_module) -> Theirs:
    """What the real class of a configuration says of itself; no weight is made and no code is fetched.

    Args:
        config: As its ``config.json`` has it.
        sequence: Tokens passed through it.
        load: How a module is imported.

    Raises:
        SuanliError: Where a library is missing.
        ModelConfigError: Where transformers has no class of its type, or its class refuses the configuration.
    """
    torch, transformers = libraries(load)
    kind = config.get("model_type")
    rest = {k: v for k, v in config.items() if k not in TRAINERS and k != "model_type"}
    try:
        made = transformers.AutoConfig.for_model(kind, **rest)
        made = made.get_text_config(decoder=True) if hasattr(made, "get_text_config") else made
        with torch.device("meta"):
            net = _net(transformers, made, torch.bfloat16)
    except Exception as exc:
        version = getattr(transformers, "__version__", "?")
        why = clip(str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__, 200)
        raise ModelConfigError([f"transformers {version} cannot build model_type {show(kind)}: {why}"]) from None
    parameters = sum(p.numel() for p in net.parameters())
    name = type(net).__name__
    try:
        flops, cache = _passed(torch, load, net, made, sequence)
    except Exception as exc:
        why = clip(str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__, 160)
        return Theirs(name=name, parameters=parameters, reasons=(f"{name} does not run without weights: {why}",))
    reasons = () if cache else (f"{name} returns no cache with tensors",)
    return Theirs(name=name, parameters=parameters, flops=flops, cache_bytes=cache or None, reasons=reasons)


def _net(transformers: Any, made: Any, dtype: Any) -> Any:
    """The class of a configuration; experts as one batched product, which runs without weights."""
    auto = transformers.AutoModelForCausalLM
    options: dict[str, Any] = {"dtype": dtype, "attn_implementation": "eager"}
    for more in ({"experts_implementation": "batched_mm"}, {}):
        try:
            return auto.from_config(made, **options, **more).eval()
        except (TypeError, ValueError):
            if not more:
                raise
    return None


def _passed(torch: Any, load: Callable[[str], Any], net: Any, made: Any, sequence: int) -> tuple[int, int]:
    """FLOPs of a forward pass, and bytes of the cache after it."""
    counter = load("torch.utils.flop_counter").FlopCounterMode(display=False)
    tokens = torch.zeros((1, sequence), dtype=torch.long, device="meta")
    with torch.no_grad(), counter:
        given = net(input_ids=tokens, use_cache=True)
    held = next((getattr(given, n) for n in ("past_key_values", "cache_params") if getattr(given, n, None)), None)
    return int(counter.get_total_flops()), _bytes(held, set())


def _bytes(value: Any, seen: set[int], depth: int = 0) -> int:
    """Bytes of the tensors of floating-point numbers in a cache, each once."""
    if id(value) in seen or depth > 6:
        return 0
    seen.add(id(value))
    if hasattr(value, "element_size") and hasattr(value, "numel"):
        # Counters of what a window holds are whole numbers, and no state.
        return int(value.numel() * value.element_size()) if value.is_floating_point() else 0
    inside: Iterable[Any] = ()
    if isinstance(value, Mapping):
        inside = value.values()
    elif isinstance(value, (list, tuple)):
        inside = value
    elif hasattr(value, "__dict__"):
        inside = vars(value).values()
    return sum(_bytes(v, seen, depth + 1) for v in inside)
