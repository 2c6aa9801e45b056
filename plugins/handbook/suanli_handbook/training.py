"""How long training takes, how well it uses its accelerators, and how it is divided over them."""

from __future__ import annotations

from typing import Any, Literal

from suanli import Asked, Report, formula
from suanli_handbook.asking import SEQUENCE, fitting, whole
from suanli_handbook.citations import CHEAT_SHEET, KAPLAN, KORTHIKANTI, NARAYANAN, PLANNING
from suanli_handbook.counting import ACTIVE
from suanli_handbook.making import DENSE, _rule

USUAL_MFU = (0.3, 0.5)
"""Of jobs on a hundred accelerators and more, by the cheat sheet; PaLM's table 3 has 21 to 46 % for four of them."""

FLOPS_PER_PARAMETER = {"none": 6.0, "full": 8.0}
"""For each token, by what is made again in the backward pass."""


@formula(unit="s", source=f"{KAPLAN}; {PLANNING}")
def training_time(
    *,
    params: float,
    tokens: float,
    accelerators: float,
    peak_flops_per_s: float,
    mfu: float = 0.45,
    sequence: float = SEQUENCE,
) -> float:
    """Seconds of training at a model FLOPs utilisation.

    `sequence` is the length the estimator's figure is for; the rule has no attention in it.
    """
    return 6.0 * params * tokens / (accelerators * peak_flops_per_s * mfu)


@formula(unit="s", source=f"{KORTHIKANTI}; {NARAYANAN}, eq. 4; {CHEAT_SHEET}")
def training_time_recompute(
    *,
    params: float,
    tokens: float,
    accelerators: float,
    peak_flops_per_s: float,
    hfu: float = 0.5,
    recompute: Literal["none", "full"] = "full",
    sequence: float = SEQUENCE,
) -> float:
    """Seconds of training at a hardware FLOPs utilisation, which counts what is made again.

    `sequence` is the length the estimator's figure is for; the rule has no attention in it.
    """
    return FLOPS_PER_PARAMETER[recompute] * params * tokens / (accelerators * peak_flops_per_s * hfu)


@formula(unit="s", source="definition; Touvron et al. 2023, LLaMA, sec. 2.4")
def training_time_at_rate(*, tokens: float, accelerators: float, tokens_per_s_per_accelerator: float) -> float:
    """Seconds of training at a measured rate of each accelerator."""
    return tokens / (accelerators * tokens_per_s_per_accelerator)


@formula(unit="ratio", source=f"{CHEAT_SHEET}; Chowdhery et al. 2022, PaLM, table 3")
def usual_mfu(*, accelerators: float = 128.0) -> tuple[float, float]:
    """The utilisation to expect of large training jobs, from and to.

    `accelerators` are those the estimator's figure is for.
    """
    return USUAL_MFU


@formula(unit="flops_per_s", source=f"AscendSpeed ascendspeed/utils.py throughput_calculator; {CHEAT_SHEET}")
def achieved_flops(*, flops: float, elapsed_s: float, accelerators: float = 1.0) -> float:
    """FLOP/s each accelerator achieves."""
    return flops / (elapsed_s * accelerators)


@formula(unit="ratio", source=f"Chowdhery et al. 2022, PaLM, appendix B; {CHEAT_SHEET}")
def utilisation(*, flops: float, elapsed_s: float, accelerators: float = 1.0, peak_flops_per_s: float) -> float:
    """Share of the peak: MFU where `flops` are the model's, HFU where recompute is counted too."""
    return flops / (elapsed_s * accelerators * peak_flops_per_s)


@formula(unit="accelerators", source=f"{NARAYANAN}, sec. 3.1; {CHEAT_SHEET}")
def parallel_ranks(*, dp: float = 1.0, pp: float = 1.0, tp: float = 1.0) -> float:
    """Accelerators a job divided by data, pipeline and tensor parallelism takes."""
    return dp * pp * tp


@formula(unit="sequences", source=f"{NARAYANAN}, sec. 2.2; {CHEAT_SHEET}")
def global_batch(*, micro: float, dp: float = 1.0, accum: float = 1.0) -> float:
    """Sequences of an optimizer step: each data-parallel rank adds up the gradients of `accum` micro batches."""
    return micro * dp * accum


@formula(unit="samples/s, tokens/s", source=CHEAT_SHEET)
def rate_per_accelerator(
    *, batch: float, elapsed_s: float, accelerators: float, sequence: float
) -> tuple[float, float]:
    """Samples and tokens each accelerator trains on in a second."""
    samples = batch / elapsed_s / accelerators
    return samples, samples * sequence


def _report(asked: Asked, **sections: Any) -> Report:
    """The report on the training job asked for."""
    whole("accelerators", asked.inputs.get("accelerators", 1.0))
    job = {"kind": "pretrain", "sequence": whole("sequence", asked.inputs.get("sequence", SEQUENCE))}
    if "tokens" in asked.inputs:
        job["tokens"] = whole("tokens", asked.inputs["tokens"])
    return fitting(asked.estimate(workload=job, **sections))


def _duration(asked: Asked) -> float | None:
    run = _report(asked).run
    return None if run is None else run.duration_s


def _duration_recomputing(asked: Asked) -> float | None:
    run = _report(asked, layout={"recompute": asked.inputs["recompute"]}).run
    return None if run is None else run.duration_s


def _mfu(asked: Asked) -> float | None:
    return _report(asked).throughput.mfu_ratio


JOBS = {"tokens": (1e12,), "system": ("dgx-a100", "dgx-h100"), "accelerators": (128.0, 1024.0)}

RULES = (
    _rule(
        "training-time",
        training_time,
        "6 N D / (n F mfu)",
        f"{DENSE}; of a mixture of experts, N is what a token uses; an mfu somebody measured on such a job",
        aliases=("train-time", "training-days"),
        cases=("train-days-65b-h100", "train-days-65b-a100"),
        reads=ACTIVE,
        exact=_duration,
        exact_by="duration of the run in the best layout found",
        exact_needs=("model", "system"),
        over=JOBS,
    ),
    _rule(
        "training-time-recompute",
        training_time_recompute,
        "8 N D / (n F hfu)",
        f"{DENSE}; of a mixture of experts, N is what a token uses; an hfu somebody measured on such a job",
        aliases=("8nd-time",),
        cases=("train-time-8nd", "train-days-gpt3-8nd"),
        reads=ACTIVE,
        exact=_duration_recomputing,
        exact_by="duration of the run in the best layout found with that recompute",
        exact_needs=("model", "system"),
        over=JOBS,
    ),
    _rule(
        "training-time-at-rate",
        training_time_at_rate,
        "D / (n rate)",
        "the model, layout and accelerators the rate was measured with",
        cases=("train-days-llama65b-paper",),
    ),
    _rule(
        "mfu-prior",
        usual_mfu,
        "30 to 50 %",
        "a hundred accelerators and more, dense models, no recompute counted",
        aliases=("usual-mfu", "utilisation-prior"),
        cases=("mfu-prior",),
        exact=_mfu,
        exact_by="model FLOPs utilisation in the best layout found",
        exact_needs=("model", "system"),
        over={"system": ("dgx-a100", "dgx-h100"), "accelerators": (128.0, 1024.0)},
    ),
    _rule(
        "achieved-flops",
        achieved_flops,
        "FLOPs / (t n)",
        "the FLOPs of what ran in that time",
        aliases=("ascendspeed-tflops", "tflops-per-device"),
        cases=("ascendspeed-tflops",),
    ),
    _rule(
        "utilisation",
        utilisation,
        "FLOPs / (t n F)",
        "the dense peak of the format that was multiplied in",
        aliases=("mfu", "hfu", "utilization"),
    ),
    _rule(
        "parallel-ranks",
        parallel_ranks,
        "dp pp tp",
        "jobs without context parallelism",
        aliases=("3d-parallel", "world-size"),
        cases=("3d-parallel",),
    ),
    _rule(
        "global-batch",
        global_batch,
        "micro dp accum",
        "every rank as many micro batches",
        aliases=("batch-size",),
        cases=("global-batch",),
    ),
    _rule(
        "rate-per-accelerator",
        rate_per_accelerator,
        "B / (t n), B s / (t n)",
        "sequences of one length",
        aliases=("samples-per-device", "throughput-per-device"),
        cases=("samples-per-device",),
    ),
)
