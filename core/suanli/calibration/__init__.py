"""Fitting the kernel models to measurements: what is fitted, how, how wrong it is on rows not fitted, and the file.

The calibrations that are shipped and those of `suanli calibrate` come from the same fit. scipy is needed, an extra.
"""
