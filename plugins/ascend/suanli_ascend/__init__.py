"""Huawei Ascend accelerators and systems."""
