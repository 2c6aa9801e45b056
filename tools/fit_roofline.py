"""Fit the kernel and collective models to measured times, and say how wrong they are.

    PYTHONPATH=core python tools/fit_roofline.py REFERENCE_DIR [--write] [--markdown FILE]

The models are `suanli.kernel_models.roofline_s` and `suanli.collectives.Hierarchical` (see `exchange_fit.py`).
Kernels: one fit per (generation, kernel, precision), minimising mean |log(predicted / measured)|.
A hash of each row's shape puts it in the fitted or the held-out half; errors are on held-out rows.
`datasheet` is for hardware never measured, its errors from leaving out each generation in turn.
No row of a fitted class is dropped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from exchange_fit import Fabrics
from exchange_report import sections as fabric_sections
from exchange_rows import exchanges
from roofline_fallback import kernel_fallbacks
from roofline_model import fit_kernels
from roofline_report import kernel_table, large_gemms, toml
from roofline_rows import Kernels
from suanli.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
PLACES = {
    "nvidia": ROOT / "plugins/nvidia/suanli_nvidia/calibration.toml",
    "ascend": ROOT / "plugins/ascend/suanli_ascend/calibration.toml",
    "core": ROOT / "core/suanli/datasheet.toml",
}


def tables(reference: Path, *, write: bool = False) -> str:
    """The accuracy tables, as markdown; with `write`, the calibration files are replaced too."""
    rows, wires = Kernels(reference).rows(), exchanges(reference)
    kernels, skipped = fit_kernels(rows)
    core = kernel_fallbacks(kernels, rows)
    fabrics = Fabrics(wires, Workspace())
    if write:
        chosen = [*kernels, *fabrics.fits, *core, *fabrics.core]
        for vendor, place in PLACES.items():
            place.write_text(toml(f for f in chosen if f.vendor == vendor), encoding="utf-8")

    sections = {
        "Kernels": kernel_table(kernels),
        "Kernels on hardware never measured (each generation predicted by the others)": kernel_table(core),
        **fabric_sections(fabrics, wires),
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
