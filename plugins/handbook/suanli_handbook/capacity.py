"""How much memory, how many accelerators and how much compute a service takes."""

from __future__ import annotations

import math

from suanli import Asked, SuanliError, ceil, formula
from suanli_handbook.asking import SEQUENCE, whole
from suanli_handbook.citations import INFERENCE, LITTLE, ORCA, RESOURCES
from suanli_handbook.counting import ACTIVE
from suanli_handbook.making import _rule
from suanli_handbook.served import form_of, held, precision_of


@formula(unit="accelerators", source=RESOURCES)
def accelerators_for_weights(
    *, params: float, bytes: float = 2.0, memory_bytes: float, sequence: float = SEQUENCE
) -> float:
    """Accelerators whose memory together holds the weights.

    `sequence` is the length the estimator's figure is for; the rule has no cache in it.
    """
    return float(ceil(params * bytes / memory_bytes))


@formula(unit="bytes", source=f"{RESOURCES}, which multiplies the weights by the requests: one copy serves them all")
def serving_memory(
    *,
    params: float,
    bytes: float = 2.0,
    concurrency: float = 1.0,
    sequence: float = SEQUENCE,
    per_token: float = 0.0,
    activation_bytes: float = 0.0,
) -> float:
    """Bytes of a service: the weights once, the cache of every request, and the activations of a pass.

    `per_token` are the bytes of cache of a token, 0 to leave the cache out.
    """
    return params * bytes + concurrency * sequence * per_token + activation_bytes


@formula(unit="bytes", source=f"definition: nothing is kept for a backward pass; {RESOURCES}, which counts what is")
def inference_activations(
    *,
    batch: float = 1.0,
    tokens: float = SEQUENCE,
    hidden: float = 4096.0,
    ffn: float = 16384.0,
    bytes: float = 2.0,
) -> float:
    """Bytes alive at the widest point of a pass, one layer at a time: the residual, and the feed-forward in and out.

    The defaults are a prompt of a 7B model with a feed-forward of four times its width.
    """
    return batch * tokens * (hidden + 2.0 * ffn) * bytes


@formula(unit="ratio", source=f"{RESOURCES}, which says 4 to 6: so it is beside 4-byte inference alone")
def training_to_inference(
    *,
    params: float = 1.0,
    inference_bytes: tuple[float, ...] = (4.0, 2.0),
    extra: tuple[float, ...] = (12.0, 20.0),
) -> list[list[float]]:
    """Memory of training over that of inference: for each bytes of a weight, with each number of bytes added to it."""
    return [[params * (own + more) / (params * own) for more in extra] for own in inference_bytes]


@formula(unit="users", source=f"{LITTLE}; {INFERENCE}")
def concurrent_users(*, visits_per_month: float, minutes_per_visit: float, days_per_month: float = 30.0) -> float:
    """Visitors there at a time on average."""
    return visits_per_month * minutes_per_visit / (days_per_month * 24.0 * 60.0)


@formula(unit="flops_per_s", source=INFERENCE)
def flops_for_traffic(
    *,
    params: float,
    concurrency: float,
    tokens_per_s: float = 20.0,
    peak_factor: float = 10.0,
    utilisation: float = 0.15,
    prompt: float = 1024.0,
    output: float = 256.0,
) -> float:
    """FLOP/s to hold ready for users who each read so many tokens in a second.

    `prompt` and `output` are the request the estimator's figure is for; the rule counts the output alone.
    """
    return 2.0 * params * concurrency * tokens_per_s * peak_factor / utilisation


@formula(unit="accelerators", source=INFERENCE)
def accelerators_for_flops(*, required_flops_per_s: float, peak_flops_per_s: float) -> float:
    """Accelerators whose peaks add up to a rate; a fraction of one is left as it is."""
    return required_flops_per_s / peak_flops_per_s


@formula(unit="ratio", source=f"the largest of B exponential lengths; {ORCA}; {INFERENCE}, which says 10 to 20")
def continuous_batching_gain(*, batch: float = 64.0, spread: float = 1.0) -> float:
    """Output of continuous over static batching, where a batch waits for its longest answer.

    `spread` is the standard deviation of output lengths over their mean: 0 for equal ones, 1 for exponential ones.
    """
    return 1.0 + spread * (_harmonic(batch) - 1.0)


def _harmonic(count: float) -> float:
    """1 + 1/2 + ... + 1/count: the longest of so many exponential lengths over their mean.

    Raises:
        SuanliError: Below one.
    """
    if count < 1.0:
        raise SuanliError("batch: at least one request")
    if count > 100.0:
        return math.log(count) + 0.5772156649015329 + 0.5 / count - 1.0 / (12.0 * count * count)
    return math.fsum(1.0 / k for k in range(1, int(count) + 1))


def _fewest(asked: Asked) -> int | None:
    """The fewest accelerators that serve one request of the model.

    Raises:
        SuanliError: Where no number was found.
    """
    precision = {"recipe": form_of(asked, float(asked.inputs["bytes"]))}
    scenario = {"model": {"name": asked.told("model")}, "precision": precision}
    on = asked.system.id if asked.system is not None else None
    length = whole("sequence", float(asked.inputs["sequence"]))
    found = asked.workspace.fit(scenario, on, context=length, batch=1)
    return found.options[0].smallest


def _held(asked: Asked) -> float:
    sizes = {k: float(asked.inputs[k]) for k in ("sequence", "bytes")}
    parts = held(asked, batch=float(asked.inputs["concurrency"]), **sizes)
    return parts.weights_bytes + parts.kv_cache_bytes + parts.workspace_bytes


def _alive(asked: Asked) -> float:
    tokens = 2.0 * float(asked.inputs["tokens"])  # half of a request is its prompt
    return held(asked, sequence=tokens, batch=float(asked.inputs["batch"])).workspace_bytes


def _ready(asked: Asked) -> float | None:
    """Peaks of the accelerators a plan says the traffic takes, a fraction of an engine left as it is.

    Raises:
        SuanliError: Where no plan meets the rate each user reads at.
    """
    job = {k: whole(k, float(asked.inputs[k])) for k in ("prompt", "output")}
    scenario = {"model": {"name": asked.told("model")}, "workload": {"kind": "serve"} | job}
    plan = asked.workspace.plan_serving(
        scenario | {"precision": precision_of(asked)},
        users=float(asked.inputs["concurrency"]),
        tokens_per_s=float(asked.inputs["tokens_per_s"]),
        peak_factor=float(asked.inputs["peak_factor"]),
        on=asked.system.id if asked.system is not None else (),
    )
    best, peak = plan.options[0], asked.peak_flops_per_s()
    if best.exact_engines is None or best.engine_accelerators is None or peak is None:
        raise SuanliError(f"no plan meets that: {best.reason}")
    return best.exact_engines * best.engine_accelerators * peak


RULES = (
    _rule(
        "accelerators-for-weights",
        accelerators_for_weights,
        "ceil(N bytes / memory)",
        "weights alone; count in the format of the checkpoint, not of a copy widened from it",
        aliases=("cards-for-weights", "cards-to-load"),
        cases=("cards-685b-h100", "r1-native-fp8"),
        exact=_fewest,
        exact_by="fewest accelerators that serve one request, cache, workspace and reserve included",
        exact_needs=("model", "system"),
        over={"system": ("dgx-a100", "dgx-h100")},
    ),
    _rule(
        "serving-memory",
        serving_memory,
        "N bytes + requests s (bytes of a token) + activations",
        "one copy of the weights, however many requests; the cache grows with them",
        aliases=("concurrency-memory", "inference-total", "weights-and-cache"),
        cases=("concurrency-memory",),
        reads={"per_token": "kv_bytes_per_token"},
        exact=_held,
        exact_by="weights, cache and workspace of one accelerator that serves the requests",
        over={"concurrency": (1.0, 16.0), "sequence": (2048.0,)},
    ),
    _rule(
        "inference-activations",
        inference_activations,
        "b s (h + 2 f) bytes",
        "one layer at a time; attention that writes no scores; long prompts are passed in chunks, so s is at most one",
        aliases=("transient-activations", "inference-workspace"),
        cases=("inference-activations",),
        exact=_alive,
        exact_by="workspace of one accelerator that passes the prompts, 8192 tokens at a time",
        over={"tokens": (512.0, 2048.0)},
    ),
    _rule(
        "training-to-inference-memory",
        training_to_inference,
        "(bytes + extra) / bytes",
        "activations apart; 12 to 20 bytes a parameter of gradients, states and buffers beside the weights",
        aliases=("training-memory-ratio",),
        cases=("train-4to6x-32b",),
    ),
    _rule(
        "concurrent-users",
        concurrent_users,
        "visits x minutes / (30 x 24 x 60)",
        "visits spread evenly; a peak factor stands for the rest",
        aliases=("traffic-concurrency", "concurrency-from-traffic", "littles-law"),
        cases=("gpt35-concurrency",),
    ),
    _rule(
        "flops-for-traffic",
        flops_for_traffic,
        "2 N users rate peak / utilisation",
        "a utilisation somebody measured on such a service; decode is bound by memory, so it is low",
        aliases=("traffic-flops", "compute-for-traffic"),
        cases=("gpt35-flops", "glm6b-flops"),
        reads=ACTIVE,
        exact=_ready,
        exact_by="peaks of the accelerators a plan for that traffic takes, each user served at that rate",
        exact_needs=("model", "system"),
        over={"concurrency": (500.0,), "system": ("dgx-a100", "dgx-h100")},
    ),
    _rule(
        "accelerators-for-flops",
        accelerators_for_flops,
        "required / F",
        "peaks add up; the rate required has the utilisation in it",
        aliases=("cards-for-flops", "cards-for-traffic"),
        cases=(
            "gpt35-cards-tf32",
            "gpt35-cards-fp16",
            "gpt35-cards-int8",
            "gpt35-cards-int4",
            "glm6b-cards-a100-tf32",
            "glm6b-cards-a100-fp16",
            "glm6b-cards-a100-int8",
            "glm6b-cards-h800-tf32",
            "glm6b-cards-h800-fp16",
            "glm6b-cards-h800-int8",
        ),
    ),
    _rule(
        "continuous-batching-gain",
        continuous_batching_gain,
        "1 + spread (1 + 1/2 + ... + 1/B - 1)",
        "a queue that never empties, steps as long however full; the room a paged cache makes comes on top",
        aliases=("iteration-batching-gain",),
        cases=("continuous-batching-gain",),
    ),
)
