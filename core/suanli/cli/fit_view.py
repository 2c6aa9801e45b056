"""What fits, as people read it."""

from __future__ import annotations

from suanli.cli.amounts import amount
from suanli.cli.blocks import Block, Rows, Table, Text
from suanli.cli.plan_train_view import layout_of
from suanli.cli.plan_view import ambiguous, plural
from suanli.planning.fits import Fitting


def blocks(found: Fitting) -> list[Block]:
    """The whole answer."""
    good = [o.recipe for o in found.options if o.fits]
    what = {"serve": "serving", "pretrain": "pre-training", "finetune": "fine-tuning"}[found.kind]
    title = f"{what} {found.model} on {plural(found.accelerators, 'accelerator')} of {found.accelerator}"
    asked = f"context {found.context}, batch {found.batch}"
    said = f"fits at {asked}: {', '.join(good)}" if good else f"nothing fits at {asked}"
    made: list[Block] = [Text(text=title, style="headline"), Text(text=said, style="good" if good else "bad")]
    if found.why:
        made.append(Text(text=f"by default: {found.why}", style="note"))
    made += [_serving(found)] if found.kind == "serve" else _training(found)
    made += _reasons(found)
    made.append(Text(text=_legend(found), style="note"))
    made += ambiguous(o.report for o in found.options)
    return made


def _serving(found: Fitting) -> Table:
    rows = []
    for o in found.options:
        where = o.where_it_fits
        s = where.serving if where is not None else None
        rows.append(
            (
                o.recipe,
                "yes" if o.fits else "no",
                amount("_bytes", o.memory.weights_bytes if o.memory is not None else None),
                amount("_bytes", o.room_bytes),
                _limit(o.largest_context, o.report is not None, found.model_context),
                _limit(o.largest_batch, o.report is not None, None),
                amount("count", o.smallest),
                amount("_s", s.ttft_s if s is not None else None),
                amount("_s", s.tpot_s if s is not None else None),
            )
        )
    columns = ("recipe", "fits", "weights", "room", "context", "batch", "cards", "TTFT", "TPOT")
    title = "Precisions, the widest first"
    return Table(title=title, columns=columns, rows=tuple(rows), right=(2, 3, 4, 5, 6, 7, 8), keep=tuple(range(9)))


def _training(found: Fitting) -> list[Block]:
    """What fits, and how fast it is where it does: two tables, so that a narrow terminal has room."""
    rows, speeds = [], []
    for o in found.options:
        where = o.where_it_fits
        rows.append(
            (
                o.recipe,
                "yes" if o.fits else "no",
                amount("_bytes", o.memory.total_bytes if o.memory is not None else None),
                _limit(o.largest_context, o.report is not None, found.model_context),
                amount("count", o.smallest),
            )
        )
        if where is not None:
            count, rate = where.scenario["system"]["accelerators"], where.throughput
            speed = amount("count", rate.tokens_per_s), amount("_ratio", rate.mfu_ratio)
            speeds.append((o.recipe, amount("count", count), *speed, layout_of(where.layout)))
    head = Table(
        title="Precisions, the widest first",
        columns=("recipe", "fits", "needs", "sequence", "cards"),
        rows=tuple(rows),
        right=(2, 3, 4),
        keep=tuple(range(5)),
    )
    columns, right = ("recipe", "on", "tokens/s", "MFU", "layout"), (1, 2, 3)
    fast = Table(title="Where they fit", columns=columns, rows=tuple(speeds), right=right, keep=(0, *right))
    return [head, fast] if speeds else [head]


def _limit(value: int | None, known: bool, made_for: int | None) -> str:
    """The largest of something; starred where the model was made for less."""
    if not known:
        return "—"
    return f"{'any' if value is None else amount('count', value)}{'*' if _past(value, made_for) else ''}"


def _past(value: int | None, made_for: int | None) -> bool:
    """Whether memory has room for more than the model was made for."""
    return made_for is not None and (value is None or value > made_for)


def _reasons(found: Fitting) -> list[Block]:
    """Why precisions could not be estimated, run in another format, or fit on no number of accelerators."""
    lines = [f"{o.recipe}: {o.reason}" for o in found.options if o.report is None and o.reason]
    widened: dict[str, list[str]] = {}
    for o in found.options:
        for problem in o.report.problems if o.report is not None else ():
            if problem.code == "widened-precision":
                widened.setdefault(problem.message, []).append(o.recipe)
    lines += [f"{', '.join(recipes)}: {message}" for message, recipes in widened.items()]
    never = [o.recipe for o in found.options if o.smallest is None]
    if never:
        lines.append(f"{', '.join(never)}: no number of accelerators that {found.system} joins is enough")
    return [Text(text="\n".join(lines), style="warning")] if lines else []


def _legend(found: Fitting) -> str:
    speed = "where it does not fit, the speed is that on the smallest number of cards"
    star = ""
    if found.model_context is not None:
        past = [o for o in found.options if o.report is not None and _past(o.largest_context, found.model_context)]
        star = (
            f"\n* memory has room for more than the {found.model_context} tokens the model was made for" if past else ""
        )
    if found.kind != "serve":
        return f"sequence: the longest that fits, a quarter of a power of two apart; cards: the fewest; {speed}{star}"
    return (
        "room: for the cache, below 0 what is missing; context: the longest alone; "
        f"batch: the most at {found.context} tokens; "
        f"cards: the fewest at batch {found.batch}; {speed}{star}"
    )


def rows(found: Fitting) -> Rows:
    """A precision a row."""
    made = []
    for o in found.options:
        row = {"recipe": o.recipe, "weights": o.weights, "compute": o.compute, "fits": o.fits}
        row |= {"accelerators": o.accelerators, "context": found.context, "batch": found.batch}
        row |= {"weights_bytes": o.memory.weights_bytes if o.memory is not None else None}
        row |= {"total_bytes": o.memory.total_bytes if o.memory is not None else None, "room_bytes": o.room_bytes}
        row |= {"largest_context": o.largest_context, "largest_batch": o.largest_batch, "smallest": o.smallest}
        where = o.where_it_fits
        s = where.serving if where is not None else None
        row |= {"ttft_s": s.ttft_s if s is not None else None, "tpot_s": s.tpot_s if s is not None else None}
        row |= {"tokens_per_s": where.throughput.tokens_per_s if where is not None else None}
        row |= {"mfu_ratio": where.throughput.mfu_ratio if where is not None else None, "reason": o.reason}
        made.append(row)
    return made
