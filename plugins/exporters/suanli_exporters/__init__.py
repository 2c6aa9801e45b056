"""Exporters: a page for people, launch arguments for Megatron-LM and vLLM."""
