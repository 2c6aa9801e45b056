"""The conformance kit as a pytest plugin; loaded in every test run, so it imports nothing at the top but pytest.

Options: ``--suanli-plugin NAME`` (repeatable); in a vendor's ``pyproject.toml``::

    [tool.pytest.ini_options]
    suanli_plugins = ["acme"]
    suanli_expected_failures = ["acme/accelerator/acme-one/figures_are_plausible: fixed in 0.2"]

An expected failure is strict: one that passes is an error, and so is one that names no check.
"""

from __future__ import annotations

from typing import Any

import pytest

FIXTURE = "suanli_pair"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and settings of the kit."""
    group = parser.getgroup("suanli", "suanli's conformance kit")
    group.addoption(
        "--suanli-plugin",
        action="append",
        default=[],
        metavar="NAME",
        help="hold this plugin, or folder of catalog files, to the conformance checks (repeatable)",
    )
    parser.addini("suanli_plugins", "plugins held to the conformance checks", type="args", default=[])
    parser.addini("suanli_expected_failures", "checks known to fail, each as 'id: reason'", type="linelist", default=[])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each thing a plugin gives and each check."""
    if FIXTURE not in metafunc.fixturenames:
        return
    from suanli.errors import SuanliError
    from suanli.testing.checks.running import pairs_of

    config = metafunc.config
    plugins = [*config.getoption("--suanli-plugin"), *config.getini("suanli_plugins")]
    if not plugins:
        raise pytest.UsageError("name the plugin to check: --suanli-plugin NAME, or suanli_plugins in the settings")
    expected = _expected(config)
    marked: list[Any] = []
    for plugin in dict.fromkeys(plugins):
        try:
            pairs = pairs_of(plugin)
        except SuanliError as exc:
            raise pytest.UsageError(str(exc)) from None
        for pair in pairs:
            why = expected.pop(pair.id, None)
            marks = [pytest.mark.xfail(reason=why, strict=True)] if why is not None else []
            marked.append(pytest.param(pair, id=pair.id, marks=marks))
    if expected:
        raise pytest.UsageError(f"suanli_expected_failures: no such check: {', '.join(expected)}")
    metafunc.parametrize(FIXTURE, marked)


def _expected(config: pytest.Config) -> dict[str, str]:
    found = {}
    for line in config.getini("suanli_expected_failures"):
        id_, colon, why = line.partition(":")
        if not colon or not why.strip():
            raise pytest.UsageError(f"suanli_expected_failures: {line!r}: write 'id: reason'")
        found[id_.strip()] = why.strip()
    return found
