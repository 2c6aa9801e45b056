"""What this plugin gives: a report as a page, and as launch arguments."""

from __future__ import annotations

from collections.abc import Iterable

from suanli import Exporter, hookimpl
from suanli_exporters import html, megatron, vllm


@hookimpl
def suanli_exporters() -> Iterable[Exporter]:
    """A self-contained HTML page; the arguments of Megatron-LM and of ``vllm serve``."""
    return (html.EXPORTER, megatron.EXPORTER, vllm.EXPORTER)
