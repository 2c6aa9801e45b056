"""Fit the kernel and collective models to measured times, and say how wrong they are.

    python tools/fit_kernels.py REFERENCE_DIR [--write] [--markdown FILE]

Kernels: one fit for each (generation, kernel, precision), of the parameters `suanli.calibration.classes` lists,
by least squares of logarithms with Cauchy's loss. A hash of each row's shape puts it in one of two halves;
errors are those of each half predicted by a fit to the other; the fit shipped is to both.
`datasheet` is for hardware never measured: one fit over all generations, each with its own peaks, bandwidth, cores
and cache; its errors are those of each generation predicted by a fit to the others.
Fabrics: the same, by `tools/exchange_fit.py`, with the model itself; the fallback of switches is one fit to all.
No row of a fitted class is dropped or weighted. Accelerators the catalog does not know are left out.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from exchange_fit import Fabrics
from exchange_report import sections as fabric_sections
from exchange_rows import exchanges
from fit_report import HEAD, kernel_table, others_table, parameter_tables
from kernel_fallback import LeftOut, kernel_fallbacks
from kernel_fit import carried_by, entry_of, fit_accelerators, fit_kernels
from kernel_rows import DEVICES, Kernels, Row
from suanli.calibration.fitting import Group
from suanli.calibration.records import Errors, Fit
from suanli.calibration.writing import toml
from suanli.hardware import Accelerator
from suanli.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
PLACES = {
    "nvidia": ROOT / "plugins/nvidia/suanli_nvidia/calibration.toml",
    "ascend": ROOT / "plugins/ascend/suanli_ascend/calibration.toml",
    "core": ROOT / "core/suanli/datasheet.toml",
}


def tables(reference: Path, *, write: bool = False) -> tuple[str, LeftOut]:
    """The accuracy tables, as markdown, and what each generation is known by from the others.

    With `write`, the calibration files are replaced too.
    """
    workspace = Workspace()
    catalog = workspace.catalog()
    known = set(catalog.names("accelerator"))
    parts = {d.accelerator: catalog.accelerator(d.accelerator) for d in DEVICES.values() if d.accelerator in known}
    rows = [r for r in Kernels(reference).rows() if r.device.accelerator in parts]
    wires = exchanges(reference)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        kernels, skipped = fit_kernels(rows, parts, pool.map)
        own, beaten = fit_accelerators(rows, parts, kernels, pool.map)
        core, left_out = kernel_fallbacks(kernels, rows, parts, pool.map)
    fabrics = Fabrics(wires, workspace)
    if write:
        chosen = [*kernels, *own, *fabrics.fits, *core, *fabrics.core]
        for vendor, place in PLACES.items():
            place.write_text(toml((f for f in chosen if f.vendor == vendor), HEAD), encoding="utf-8")

    sections = {
        "Kernels": kernel_table(kernels),
        "Kernels of one accelerator, which its generation was not fitted to": kernel_table(own),
        "Kernels on hardware never measured (each generation predicted by a fit to the others)": kernel_table(core),
        "Kernels on hardware never measured, by generation": others_table(_by_generation(left_out, rows, parts)),
        "Kernels judged, not fitted": others_table(_judged_only(kernels, rows, parts)),
        **fabric_sections(fabrics, wires),
        "Not shipped": "".join(f"- {line}\n" for line in (*skipped, *beaten)) or "Nothing.\n",
        "Kernel parameters": parameter_tables([*kernels, *own, *core]),
    }
    return "\n".join(f"## {title}\n\n{body}" for title, body in sections.items()), left_out


Judged = Iterable[tuple[tuple[str, ...], Errors]]


def _by_generation(left_out: LeftOut, rows: Sequence[Row], parts: dict[str, Accelerator]) -> Judged:
    """Each generation's rows, predicted by a fit to the others."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.fitted:
            groups[row.key].append(row)
    for generation, entries in sorted(left_out.items()):
        for known in entries:
            members = groups[generation, known.kernel, known.precision]
            group = Group(members, parts)
            label = (generation, known.kernel, known.precision, members[0].device.label, members[0].source)
            yield label, Errors(group.seconds / group.predict(known), group.seconds)


def _judged_only(fits: Sequence[Fit], rows: Sequence[Row], parts: dict[str, Accelerator]) -> Judged:
    """Rows that no fit saw, predicted by the fit of their class."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    known = {}
    for row in rows:
        fit = None if row.fitted else carried_by(fits, row)
        if fit is not None:
            cache = f", {row.formats.cache * 8:g}-bit cache" if row.formats and row.kernel.startswith("att") else ""
            label = (*fit.key, row.device.label, row.source + cache)
            groups[label].append(row)
            known[label] = entry_of(fit)
    for label, members in sorted(groups.items()):
        group = Group(members, parts)
        yield label, Errors(group.seconds / group.predict(known[label]), group.seconds)


def main() -> None:
    """Fit, then write or print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("reference", type=Path, help="directory with measured/ and hardware/")
    parser.add_argument("--write", action="store_true", help="replace the calibration files of the repository")
    parser.add_argument("--markdown", type=Path, help="write the accuracy tables here, not to the terminal")
    options = parser.parse_args()

    text, _ = tables(options.reference, write=options.write)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
