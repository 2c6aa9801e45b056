"""Kernel models: how long one operation takes on an accelerator.

A kernel is held against both limits of the roofline, and against what keeps silicon from them:
tiles that fill the cores in waves, loops too short to fill a pipeline, cores that load less than they multiply,
transfers too small to use the memory. Each is a formula with a few parameters, fitted per generation.
"""

from __future__ import annotations

from suanli.kernel_models.base import KernelModel as KernelModel
from suanli.kernel_models.efficiency import Efficiency as Efficiency
from suanli.kernel_models.roofline import Roofline as Roofline
