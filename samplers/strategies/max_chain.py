"""max_chain: the longest simple chain around the seed."""

from __future__ import annotations

import random

from samplers.graph.store import Graph
from samplers.strategies.strategy import Draw, Neighbourhood, lengthened


class MaxChain:
    """Bounded depth-first search both ways from the seed; hubs end a chain and never shorten it."""

    name = "max_chain"

    def draw(self, graph: Graph, start: int, size: int, hub_degree: int, rng: random.Random) -> Draw:
        """The chain is the backbone; where it is shorter than `size`, its surroundings fill up."""
        near = Neighbourhood(graph, size, hub_degree, rng)
        backbone = lengthened(near, [start], size)
        nodes = [start, *(node for node in backbone if node != start)]
        near.fill(nodes, size)
        return Draw(tuple(nodes), tuple(backbone), self.name)
