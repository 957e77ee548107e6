"""mixed: one of the other strategies, chosen anew for each draw."""

from __future__ import annotations

import random

from samplers.graph.store import Graph
from samplers.strategies.augmented_chain import AugmentedChain
from samplers.strategies.community_core_path import CommunityCorePath
from samplers.strategies.dual_core_bridge import DualCoreBridge
from samplers.strategies.max_chain import MaxChain
from samplers.strategies.strategy import Draw, Strategy

CHOICES: tuple[Strategy, ...] = (AugmentedChain(), CommunityCorePath(), DualCoreBridge(), MaxChain())


class Mixed:
    """All four with equal chances; the draw names the one that made it."""

    name = "mixed"

    def draw(self, graph: Graph, start: int, size: int, hub_degree: int, rng: random.Random) -> Draw:
        """See the strategy drawn."""
        return rng.choice(CHOICES).draw(graph, start, size, hub_degree, rng)
