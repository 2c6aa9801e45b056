"""The plugin itself: quick to import, the same twice, and without faults of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from suanli.catalogs import KINDS
from suanli.errors import SuanliError
from suanli.testing.checks.registry import PLUGIN, Faults, Subject, check

HEAVY = ("torch", "torch_npu", "tensorflow", "jax", "transformers", "triton", "vllm", "pandas", "scipy", "matplotlib")
IMPORT_TIMEOUT_S = 60.0


@check(PLUGIN, rule="importing a plugin loads nothing heavy and touches no network (INTERFACE)")
def import_is_light(subject: Subject) -> Faults:
    """In a fresh interpreter that refuses sockets, importing an installed plugin loads no framework."""
    if not subject.provider.distribution:
        return
    program = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise RuntimeError('a plugin must not open sockets')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        f"import {subject.provider.module.partition(':')[0]}\n"
        f"print(*[m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=IMPORT_TIMEOUT_S,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        yield f"cannot be imported: {said[-1]}"
    elif done.stdout.strip():
        yield f"importing it loads {done.stdout.strip()}; import inside the function that needs it"


@check(PLUGIN, rule="hooks return the same each time (hookspecs)")
def hooks_return_the_same_twice(subject: Subject) -> Faults:
    """A hook is called once in each workspace; two workspaces must agree."""
    if subject.value is None:
        return
    for name in subject.workspace.catalog().plugins.hooks_of(subject.provider):
        if name == "suanli_check":
            continue
        hook = getattr(subject.value, name)
        first, second = list(hook()), list(hook())
        if first != second:
            yield f"{name} gives something else the second time"


@check(PLUGIN, rule="a plugin's hooks give values of their kind, under names nobody else has (hookspecs)")
def catalog_takes_everything(subject: Subject) -> Faults:
    """Everything it gives is taken into the catalog without a fault."""
    catalog = subject.workspace.catalog()
    for kind in KINDS:
        try:
            catalog.entries(kind)
        except SuanliError as exc:
            yield str(exc)
    if subject.provider.error:
        yield subject.provider.error
    yield from (f for f in catalog.plugins.faults if f.startswith(f"plugin {subject.provider}:"))


@check(PLUGIN, rule="a plugin gives something (hookspecs)")
def plugin_gives_something(subject: Subject) -> Faults:
    """A plugin without a hook is a misspelt one."""
    if subject.value is not None and not subject.workspace.catalog().plugins.hooks_of(subject.provider):
        yield "implements no hook; mark its functions with @hookimpl and name them as in suanli.hookspecs"
