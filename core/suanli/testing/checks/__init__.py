"""The conformance kit: what every plugin must keep, as plain checks that need no pytest.

>>> from suanli.testing import check_plugin
>>> [record for record in check_plugin("optimizers") if record.outcome == "failed"]
[]
"""

from suanli.testing.checks import architectures, common, costs, hardware, others, plugins
from suanli.testing.checks.registry import CHECKS, Check, Subject
from suanli.testing.checks.running import Record, check_plugin, pairs_of, run_check

__all__ = [
    "CHECKS",
    "Check",
    "Record",
    "Subject",
    "architectures",
    "check_plugin",
    "common",
    "costs",
    "hardware",
    "others",
    "pairs_of",
    "plugins",
    "run_check",
]
