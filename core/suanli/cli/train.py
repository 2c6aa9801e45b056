"""``suanli train``."""

from suanli.cli.estimating import command as estimating
from suanli.workload import KINDS

command = estimating(
    "train",
    [name for name, cls in KINDS.items() if cls.training],
    help="""How fast MODEL trains, in how much memory, at what cost.

    MODEL is a name (suanli list models), the path of a config.json, or its folder.
    What is left out is chosen or defaulted, and the report says which and why;
    a layout option also takes a list to search over, such as --tensor 2,4,8.
    """,
    examples=(
        "suanli train llama-65b --on dgx-a100 -n 2048 --tokens 1.4T",
        "suanli train ./config.json --on atlas-800t-a2 -n 64 --sequence 4k --recompute full",
        "suanli train mixtral-8x7b --on h100 -n 64 --expert 8 --tensor 1,2,4 --price-per-hour 2.5",
        "suanli train llama-3-8b --on a100 -n 8 --method full --global-batch 64 --format json",
    ),
)
