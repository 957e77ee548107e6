"""augmented_chain: a chain plus the neighbours that constrain it."""

from __future__ import annotations

import random
from collections import Counter

from samplers.graph.store import Graph
from samplers.strategies.strategy import Draw, Neighbourhood, lengthened

CHAIN_SHARE = 0.6
"""Share of the entities that form the chain; the rest hang on it as constraints."""


class AugmentedChain:
    """Entities attached to two places of the chain pin it down best and come first."""

    name = "augmented_chain"

    def draw(self, graph: Graph, start: int, size: int, hub_degree: int, rng: random.Random) -> Draw:
        """A chain of about `CHAIN_SHARE` of `size`, then constraints, spread evenly over the chain."""
        near = Neighbourhood(graph, size, hub_degree, rng)
        backbone = lengthened(near, [start], max(3, round(size * CHAIN_SHARE)))
        nodes = [start, *(node for node in backbone if node != start)]
        nodes += _constraints(near, backbone, size - len(nodes))
        near.fill(nodes, size)
        return Draw(tuple(nodes), tuple(backbone), self.name)


def _constraints(near: Neighbourhood, chain: list[int], count: int) -> list[int]:
    attached = Counter(other for node in chain for other in near.steps(node) if other not in chain)
    shared = [other for other, times in attached.items() if times > 1 and not near.is_hub(other)]
    shared.sort(key=lambda other: -attached[other])  # stable: ties keep the shuffled order
    chosen = dict.fromkeys(shared[:count])
    queues = [[other for other in near.steps(node) if other in attached and not near.is_hub(other)] for node in chain]
    while len(chosen) < count and any(queues):
        for queue in near.rng.sample(queues, len(queues)):
            if queue and len(chosen) < count:
                chosen.setdefault(queue.pop())
    return list(chosen)
