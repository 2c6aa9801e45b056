"""Serving stages: cache, memory, prefill, decode and a batch that stays together."""
