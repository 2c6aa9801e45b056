"""Which accelerator serves a model most cheaply within a latency target?

Run: python examples/which_accelerator.py
"""

from __future__ import annotations

import suanli

MODEL = "llama-3-70b"
CANDIDATES = ("h100-sxm5-80", "h200-sxm-141", "b200-sxm", "l40s", "ascend-910b2")
TPOT_S = 0.05


def served_by(accelerator: str) -> tuple[float, float, int] | None:
    """Seconds a token, tokens a second and tensor ranks on one node; None where the model does not fit it."""
    report = suanli.estimate(
        {
            "model": {"name": MODEL},
            "system": {"accelerator": accelerator},
            "workload": {"kind": "serve", "prompt": 2048, "output": 512, "concurrency": 64},
            "precision": {"recipe": "bf16"},
        }
    )
    figures = report.serving
    if not report.fits or figures is None or figures.tpot_s is None or figures.output_tokens_per_s is None:
        return None
    return figures.tpot_s, figures.output_tokens_per_s, report.layout.tensor


def main() -> None:
    """Print a line for each accelerator, the quickest token first."""
    found = sorted((answer, name) for name in CANDIDATES if (answer := served_by(name)) is not None)
    for (tpot_s, tokens_per_s, tensor), name in found:
        meets = "meets" if tpot_s <= TPOT_S else "misses"
        print(
            f"{name:16} {tpot_s * 1e3:6.1f} ms a token ({meets} {TPOT_S * 1e3:.0f} ms), "
            f"{tokens_per_s:8,.0f} tokens/s, tensor {tensor}"
        )


if __name__ == "__main__":
    main()
