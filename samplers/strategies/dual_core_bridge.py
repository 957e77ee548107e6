"""dual_core_bridge: two well-connected entities near the seed that do not know each other, and the bridge between them."""

from __future__ import annotations

import itertools
import random
from collections import Counter, deque

from samplers.graph.store import Graph
from samplers.strategies.strategy import Draw, Neighbourhood, lengthened

CONTENDERS = 12
"""Best-connected entities near the seed from which the two cores are chosen."""
FARTHEST = 2
"""Steps from the seed to a core: farther out the same few well-connected entities stand around every seed."""
READ = 3
"""Entities read around the seed, per entity wanted."""


class DualCoreBridge:
    """The bridge runs through the seed where it can, so that different seeds give different pairs."""

    name = "dual_core_bridge"

    def draw(self, graph: Graph, start: int, size: int, hub_degree: int, rng: random.Random) -> Draw:
        """Bridge first, then the neighbours of both cores in turn; where all entities know each other, the longest chain."""
        near = Neighbourhood(graph, size, hub_degree, rng)
        parent = _tree(near, start, READ * size, depth=min(FARTHEST, max(1, (size - 2) // 3)))
        pairs = _pairs(near, parent, start, size)
        if not pairs:
            backbone = lengthened(near, [start], size)
            nodes = [start, *(node for node in backbone if node != start)]
        else:
            _, backbone, stem = rng.choice(sorted(pairs, key=lambda pair: pair[0])[: 1 + len(pairs) // 2])
            nodes = list(dict.fromkeys([start, *stem, *backbone]))
            _grow_cores(near, nodes, (backbone[0], backbone[-1]), size)
        near.fill(nodes, size)
        return Draw(tuple(nodes), tuple(backbone), self.name)


def _tree(near: Neighbourhood, start: int, reads: int, depth: int) -> dict[int, int]:
    """Breadth-first tree around `start` as node → parent, the start its own; hubs are left out."""
    parent, level, queue = {start: start}, {start: 0}, deque([start])
    while queue and reads:
        node = queue.popleft()
        reads -= 1
        for other in near.neighbours(node) if level[node] < depth else ():
            if other not in parent and not near.is_hub(other):
                parent[other], level[other] = node, level[node] + 1
                queue.append(other)
    return parent


def _pairs(near: Neighbourhood, parent: dict[int, int], start: int, size: int) -> list[tuple[tuple[bool, int], list[int], list[int]]]:
    """(rank, bridge, way from the bridge to the seed) of pairs of cores that are not adjacent; the lowest rank is best."""
    usable = [node for node in parent if node != start or not near.is_hub(node)]
    cores = sorted(usable, key=lambda node: -near.degree(node))[:CONTENDERS]
    found = []
    for one, other in itertools.combinations(cores, 2):
        ways = [_to_root(parent, one), _to_root(parent, other)]
        while len(ways[0]) > 1 and len(ways[1]) > 1 and ways[0][-2] == ways[1][-2]:
            ways = [ways[0][:-1], ways[1][:-1]]
        bridge, stem = ways[0] + ways[1][-2::-1], _to_root(parent, ways[0][-1])
        short = len(bridge) + len(stem) - 1 <= size
        if short and not any(near.is_hub(node) for node in bridge[1:-1]) and other not in near.steps(one):
            strength = min(near.degree(one), near.degree(other))
            found.append(((start not in bridge, -strength), bridge, stem))
    return found


def _to_root(parent: dict[int, int], node: int) -> list[int]:
    way = [node]
    while parent[way[-1]] != way[-1]:
        way.append(parent[way[-1]])
    return way


def _grow_cores(near: Neighbourhood, nodes: list[int], cores: tuple[int, int], size: int) -> None:
    """Neighbours of both cores in turn, those with more ties to what is chosen first, hubs not at all."""
    used_up: set[int] = set()
    for core in itertools.cycle(cores):
        if len(nodes) >= size or len(used_up) == len(cores):
            return
        fresh = [other for other in near.steps(core) if other not in nodes and not near.is_hub(other)]
        if fresh:
            ties = Counter(other for node in nodes for other in near.steps(node))
            nodes.append(max(fresh, key=lambda other: ties[other]))
        else:
            used_up.add(core)
