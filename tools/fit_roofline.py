"""Fit the first-order models to measured kernel and collective times, and say how wrong they are.

    PYTHONPATH=core python tools/fit_roofline.py REFERENCE_DIR [--write] [--markdown FILE]

The models are `suanli.kernel_models.roofline_s` and the formulas of `suanli.collectives`.
One fit per (generation, kernel, precision) and per (generation, fabric), minimising
mean |log(predicted / measured)|.  A hash of each row's shape puts it in the fitted or the held-out
half; errors are on held-out rows.  `datasheet` is for hardware never measured: medians over the
generations, its errors from leaving out each generation in turn.
No row of a fitted class is dropped or weighted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from roofline_fallback import FALLBACK, fabric_fallbacks, kernel_fallbacks
from roofline_model import fit_fabrics, fit_kernels
from roofline_report import fabric_table, kernel_table, large_gemms, toml, unfitted_table
from roofline_rows import Kernels
from roofline_transfers import transfers

ROOT = Path(__file__).resolve().parents[1]
PLACES = {
    "nvidia": ROOT / "plugins/nvidia/suanli_nvidia/calibration.toml",
    "ascend": ROOT / "plugins/ascend/suanli_ascend/calibration.toml",
    "core": ROOT / "core/suanli/datasheet.toml",
}


def tables(reference: Path, *, write: bool = False) -> str:
    """The accuracy tables, as markdown; with `write`, the calibration files are replaced too."""
    rows, wires = Kernels(reference).rows(), transfers(reference)
    kernels, skipped = fit_kernels(rows)
    core = kernel_fallbacks(kernels, rows)
    fabrics, core_fabrics = fabric_fallbacks(fit_fabrics(wires), wires)
    if write:
        chosen = [*kernels, *fabrics, *core, *core_fabrics]
        for vendor, place in PLACES.items():
            place.write_text(toml(f for f in chosen if f.vendor == vendor), encoding="utf-8")

    params = {f.key: f.params for f in fabrics}
    for t in wires:  # a network nobody stated is judged by the fallback
        params.setdefault(t.key, next(f.params for f in core_fabrics if f.key == (FALLBACK, t.fabric)))
    sections = {
        "Kernels": kernel_table(kernels),
        "Kernels on hardware never measured (each generation predicted by the others)": kernel_table(core),
        "Fabrics": fabric_table(fabrics),
        "Fabrics on hardware never measured (each generation predicted by the others)": fabric_table(core_fabrics),
        "Collectives judged, not fitted": unfitted_table(params, wires),
        "Large bf16 GEMMs": large_gemms(kernels, rows),
        "Not shipped": "".join(f"- {line}\n" for line in skipped) or "Nothing.\n",
    }
    return "\n".join(f"## {title}\n\n{body}" for title, body in sections.items())


def main() -> None:
    """Fit, then write or print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("reference", type=Path, help="directory with measured/ and hardware/")
    parser.add_argument("--write", action="store_true", help="replace the calibration files of the repository")
    parser.add_argument("--markdown", type=Path, help="write the accuracy tables here, not to the terminal")
    options = parser.parse_args()

    text = tables(options.reference, write=options.write)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
