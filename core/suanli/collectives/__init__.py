"""Exchanges among ranks: what each one sends, over which tiers, and how long that takes.

A group is described by its size and its stride, the distance between neighbours in rank order,
so its placement on the tiers of a system is known: ranks inside a node use the inner tier, the rest reach further.
"""

from suanli.collectives.base import OPERATIONS, CollectiveModel
from suanli.collectives.fabric import FabricEfficiency
from suanli.collectives.formulas import ranks_inside
from suanli.collectives.hierarchical import NETWORK, Hierarchical, fabric_of

__all__ = ["NETWORK", "OPERATIONS", "CollectiveModel", "FabricEfficiency", "Hierarchical", "fabric_of", "ranks_inside"]
