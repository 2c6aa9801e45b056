"""Implementation profiles, and what else a model asks the catalog it came from."""

from __future__ import annotations

import attrs

from suanli.errors import NotThereYetError, UnknownNameError
from suanli.precision import NumberFormat


@attrs.frozen(kw_only=True)
class Limits:
    """How much an engine takes on at once by default, and on which accelerators.

    Attributes:
        requests: It answers at a time, on each rank that divides requests; None where as many as fit.
        tokens: Of prompts it puts into one step.
        least_memory_bytes: Accelerators with less memory have other limits.
        other_generations: Generations that have other limits too.
    """

    requests: int | None = None
    tokens: int = 8192
    least_memory_bytes: int = 0
    other_generations: tuple[str, ...] = ()

    def on(self, memory_bytes: int, generation: str) -> bool:
        """Whether these are the limits on an accelerator of that memory and generation."""
        return memory_bytes >= self.least_memory_bytes and generation not in self.other_generations


@attrs.frozen(kw_only=True)
class Profile:
    """How an implementation runs the operators: what it fuses, keeps and overlaps by default.

    Attributes:
        name: Such as ``"megatron"``.
        kind: ``"training"`` or ``"serving"``.
        attention: Its default attention, ``"flash"`` or ``"eager"``.
        fused: Whether residuals and rotations are folded into their neighbours' passes.
        unfused: Whether every elementary step keeps what its own gradient needs.
        passes: Passes over memory an elementwise step takes, next to one fused kernel.
        layer_overhead_s: Host time to launch a layer's kernels one by one; they run meanwhile.
        graphs: Serving: whether it replays steps from captured graphs by default, with no launch to wait for.
        overlap: Whether exchanges that can hide behind computation do.
        sequence_parallel: Whether it divides the sequence where tensor parallelism does not divide.
        memory_fraction: Serving: share of memory it takes for weights and cache.
        overhead_ratio: Training: time no kernel and no exchange explains (launches, stragglers, input), as a
            share of the kernels' time; 0 is ideal.
        step_overhead_s: Host time a step costs that no kernel hides.
        mixed: Serving: whether prompts pass in the same step as the tokens of others, and read the weights once.
        limits: Serving: how much it takes on at once by default; the first that are on an accelerator hold there.
        custom_all_reduce: Whether its ranks reduce small buffers by reading each other's memory, not by a library.
        dispatch_once: Whether a token crosses once to a domain that has some of its experts, not once for each.
        dispatch_narrow: Whether tokens are sent to experts in the format of the experts' products, where narrower.
        activations: Whether its saved activations are modelled exactly.
        aliases: Other names people use.
        source: The document its behaviour is described in.
    """

    name: str
    kind: str
    attention: str = "flash"
    fused: bool = False
    unfused: bool = False
    passes: float = 1.0
    layer_overhead_s: float = 0.0
    overlap: bool = True
    sequence_parallel: bool = True
    memory_fraction: float = 1.0
    overhead_ratio: float = 0.0
    step_overhead_s: float = 0.0
    graphs: bool = False
    mixed: bool = False
    limits: tuple[Limits, ...] = ()
    custom_all_reduce: bool = False
    dispatch_once: bool = False
    dispatch_narrow: bool = False
    activations: bool = True
    aliases: tuple[str, ...] = ()
    source: str = ""

    def limits_on(self, memory_bytes: int, generation: str) -> Limits:
        """How much it takes on at once on an accelerator of that memory and generation."""
        return next((x for x in self.limits if x.on(memory_bytes, generation)), Limits())


@attrs.frozen(kw_only=True)
class Known:
    """What a model asks the catalog it came from: number formats and profiles."""

    formats: tuple[NumberFormat, ...] = ()
    profiles: tuple[Profile, ...] = ()

    def format(self, name: str) -> NumberFormat:
        """The number format of a name or alias."""
        for known in self.formats:
            if name == known.name or name in known.aliases:
                return known
        raise UnknownNameError("precision", name, (f.name for f in self.formats))

    def profile(self, name: str) -> Profile:
        """The profile of a name or alias."""
        for known in self.profiles:
            if name == known.name or name in known.aliases:
                return known
        raise UnknownNameError("profile", name, (p.name for p in self.profiles))


def exact_profile(profile: Profile) -> Profile:
    """`profile`, refused where what it keeps is not modelled yet."""
    if not profile.activations:
        raise NotThereYetError(f"the saved activations of profile {profile.name!r}", "use 'megatron' or 'fused'")
    return profile
