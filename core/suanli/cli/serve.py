"""``suanli serve``."""

from suanli.cli.estimating import command as estimating
from suanli.workload import KINDS

command = estimating(
    "serve",
    [name for name, cls in KINDS.items() if not cls.training],
    help="""How fast MODEL answers requests, how many at a time, in how much memory.

    MODEL is a name (suanli list models), the path of a config.json, or its folder.
    What is left out is chosen or defaulted, and the report says which and why;
    a layout option also takes a list to search over, such as --tensor 2,4,8.
    """,
    examples=(
        "suanli serve llama-3-70b --on dgx-h100 -n 8 --prompt 4k --output 1k --concurrency 64",
        "suanli serve llama-2-7b --on a10 -n 1",
        "suanli serve qwen3-32b --on 910b -n 4 --recipe int8 --batch 16 --format markdown",
    ),
)
