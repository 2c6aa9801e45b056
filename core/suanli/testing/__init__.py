"""For authors of plugins and of tests: make-believe plugins, stages run by hand, hypothesis strategies.

``suanli.testing.strategies`` needs hypothesis; nothing else of suanli imports it, nor pytest.
"""

from suanli.testing.fakes import installed_plugins, make_plugin
from suanli.testing.runs import resolved, run_many, run_one, steps

__all__ = ["installed_plugins", "make_plugin", "resolved", "run_many", "run_one", "steps"]
