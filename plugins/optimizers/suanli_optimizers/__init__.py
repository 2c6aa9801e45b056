"""Optimizer rules: states, FLOPs and traffic."""
