"""The best layouts of a training run, with progress, and why the first one takes as long as it does.

Run: python examples/search_layouts.py
"""

from __future__ import annotations

import suanli

SCENARIO = {
    "model": {"name": "llama-3-70b"},
    "system": {"name": "dgx-h100", "accelerators": 512},
    "workload": {"kind": "pretrain", "tokens": "1T", "sequence": 8192, "global_batch": 512},
    "layout": {"tensor": [2, 4, 8], "pipeline": [1, 2, 4, 8], "recompute": ["none", "selective"], "zero": 1},
}


def main() -> None:
    """Print the three best layouts and the derivation of the first one's step time."""
    best = suanli.search(SCENARIO, top=3)
    print(f"{best.feasible} of {best.evaluated} layouts fit")
    for plan in best.plans:
        time = plan.report.time
        assert time is not None
        layout = plan.layout
        print(
            f"tensor {layout.tensor}, pipeline {layout.pipeline}, data {layout.data}, "
            f"micro batch {layout.micro_batch}: {time.step_s:.2f} s a step"
        )
    print(best.plans[0].report.explain("time.step_s").text())


if __name__ == "__main__":
    main()
