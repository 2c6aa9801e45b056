"""NVIDIA accelerators and systems."""
