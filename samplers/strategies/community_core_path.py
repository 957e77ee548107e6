"""community_core_path: a dense local community and the longest path through its core."""

from __future__ import annotations

import random
from collections import Counter, deque

from samplers.graph.store import Graph
from samplers.strategies.strategy import Draw, Neighbourhood, lengthened

TELEPORT = 0.15
"""Chance that the walk restarts at the seed; the customary value of personalised PageRank."""
TOLERANCE = 1e-3
"""Residual mass per edge below which an entity is not pushed."""
PUSHES = 4
"""Entities pushed at most, per entity wanted."""


class CommunityCorePath:
    """Personalised PageRank by local pushes (Andersen, Chung and Lang 2006, Local Graph Partitioning), then k-core, then path."""

    name = "community_core_path"

    def draw(self, graph: Graph, start: int, size: int, hub_degree: int, rng: random.Random) -> Draw:
        """The backbone is the longest path found inside the community that goes through its densest core."""
        near = Neighbourhood(graph, size, hub_degree, rng)
        nodes = _community(near, start, size)
        near.fill(nodes, size)
        core = _core(near, nodes)
        path = lengthened(near, [rng.choice(core)], len(core), frozenset(core))
        return Draw(tuple(nodes), tuple(lengthened(near, path, size, frozenset(nodes))), self.name)


def _community(near: Neighbourhood, start: int, size: int) -> list[int]:
    """The start and, one by one, the neighbour with most ties to what is chosen; of equals, the one of highest PageRank per edge.

    Dead ends come last: PageRank per edge alone would gather them first.
    """
    mass = _pagerank(near, start, PUSHES * size)
    nodes, ties = [start], Counter(near.neighbours(start))
    while len(nodes) < size and ties:
        best = max(ties, key=lambda node: (ties[node], near.degree(node) > 1, mass.get(node, 0.0) / near.degree(node)))
        ties.pop(best)
        nodes.append(best)
        ties.update(node for node in near.steps(best) if node not in nodes)
    return nodes


def _pagerank(near: Neighbourhood, start: int, pushes: int) -> dict[int, float]:
    """Approximate PageRank of entities around `start`; hubs take mass and pass none on."""
    mass, residual, queue = {start: 0.0}, {start: 1.0}, deque([start])
    while queue and pushes:
        node = queue.popleft()
        if residual[node] < TOLERANCE * near.degree(node) or (near.is_hub(node) and node != start):
            continue
        ahead = near.neighbours(node)
        if not ahead:
            continue
        pushes -= 1
        share = (1 - TELEPORT) * residual[node] / len(ahead)
        mass[node] = mass.get(node, 0.0) + TELEPORT * residual[node]
        residual[node] = 0.0
        for other in ahead:
            residual[other] = residual.get(other, 0.0) + share
            queue.append(other)
    return {node: mass.get(node, 0.0) + TELEPORT * rest for node, rest in residual.items()}


def _core(near: Neighbourhood, nodes: list[int]) -> list[int]:
    """Entities of the innermost k-core of the induced subgraph that are no hubs, else the start: peel the weakest until none is left."""
    joined = {node: {other for other in near.steps(node) if other in nodes} for node in nodes}
    for node in nodes:
        for other in joined[node]:
            joined[other].add(node)
    level, core = 0, [nodes[0]]
    while joined:
        weakest = min(joined, key=lambda node: len(joined[node]))
        if len(joined[weakest]) > level:
            level, core = len(joined[weakest]), [node for node in joined if not near.is_hub(node)]
        for other in joined.pop(weakest):
            joined[other].discard(weakest)
    return core or [nodes[0]]
