"""Models against the real modules: parameters, active ones, FLOPs and cache of every configuration of a reference.

    python tools/judge_configs.py DATA

DATA/truth holds configurations and what transformers' modules, a FLOP counter and the real caches gave for them.
Prints each figure that is not exact, then how many are, then the saved activations of plain modules.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import suanli

FIGURES = ("total", "active", "flops", "cache")


def truth_of(row: dict[str, Any]) -> tuple[dict[str, float], int]:
    """The four figures of a row, and the tokens they were taken at."""
    result = row["result"]
    forward = next(k for k in result["flops"] if k.startswith("forward_1x"))
    cache = next(k for k in result["kv_cache"] if k.startswith("bytes_at_"))
    counts = result["params"]
    figures = (counts["total"], counts["active_per_token"], result["flops"][forward]["total"])
    tokens = int(result.get("seq") or forward.rpartition("x")[2])
    return dict(zip(FIGURES, (*figures, result["kv_cache"][cache]), strict=True)), tokens


def ours_of(config: dict[str, Any], tokens: int) -> dict[str, float]:
    """The same figures of our model."""
    model = suanli.model(config)
    flops = model.forward_flops(sequence=tokens, causal=False).total
    counts = model.parameters
    return dict(zip(FIGURES, (counts.total, counts.active, flops, model.kv_cache_bytes(tokens)), strict=True))


def configurations(data: Path) -> None:
    """One line for each figure that differs, and the number of those that do not."""
    rows: dict[str, Any] = json.loads((data / "truth/models.json").read_text(encoding="utf-8"))
    exact = dict.fromkeys(FIGURES, 0)
    for name, row in rows.items():
        config = json.loads((data / f"truth/configs/{name}.json").read_text(encoding="utf-8"))
        truth, tokens = truth_of(row)
        try:
            ours = ours_of(config, tokens)
        except suanli.SuanliError as exc:
            print(f"{name}: {exc}")
            continue
        for figure in FIGURES:
            if ours[figure] == truth[figure]:
                exact[figure] += 1
            else:
                print(f"{name} {figure}: {ours[figure]:.0f}, truth {truth[figure]:.0f}")
    print(", ".join(f"{figure} {count}" for figure, count in exact.items()), f"exact of {len(rows)}")


def activations(data: Path) -> None:
    """How far the saved bytes of plain modules are from those of the hooks."""
    errors = []
    for layer in json.loads((data / "truth/activations.json").read_text(encoding="utf-8"))["layers"]:
        file = data / f"truth/configs/{layer['model']}.json"
        model = suanli.model(json.loads(file.read_text(encoding="utf-8")))
        for run in layer["runs"]:
            ours = model.saved_activation_bytes(
                layer=layer["layer_index"],
                batch=run["b"],
                sequence=run["s"],
                attention="eager" if layer["attn"] == "eager" else "flash",
                profile="transformers",
                dropout=layer["dropout"],
            )
            errors.append((abs(ours / run["bytes"] - 1.0), layer["model"], layer["attn"], run["b"], run["s"]))
    worst = max(errors)
    within = sum(e[0] <= 0.01 for e in errors)
    print(f"saved activations: {within} of {len(errors)} within 1 %, worst {worst[0]:.1%} ({worst[1]}, {worst[2]})")


if __name__ == "__main__":
    configurations(Path(sys.argv[1]))
    activations(Path(sys.argv[1]))
