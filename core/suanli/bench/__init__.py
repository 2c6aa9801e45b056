"""Measuring kernels and exchanges on a real device.

Only :mod:`suanli.bench.torch_import` asks for torch, and only when a device is opened.
"""
