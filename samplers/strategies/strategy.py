"""What a strategy is, and what one draw may see of the graph."""

from __future__ import annotations

import random
from collections.abc import Container
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from samplers.graph.store import Graph


@dataclass(frozen=True, slots=True)
class Draw:
    """A sampled subgraph, entities as indices."""

    nodes: tuple[int, ...]
    """The start first, each once, joined by clue edges among themselves."""
    backbone: tuple[int, ...]
    """A simple chain inside `nodes`; only its ends may be hubs."""
    strategy: str


class Strategy(Protocol):
    """A way to choose a connected piece of the graph around a seed.

    Every strategy returns exactly `size` nodes wherever that many can be reached from `start` over clue relations and
    usable entities, breaks ties by `rng` alone, and reads O(size) entities whatever the size of the graph.
    """

    name: str

    def draw(self, graph: Graph, start: int, size: int, hub_degree: int, rng: random.Random) -> Draw:
        """Sample around `start`; entities with more than `hub_degree` edges are never walked through."""


class Neighbourhood:
    """The part of a graph that one draw has read, in an order shuffled once by `rng`.

    A hub is read only in part: enough random neighbours that `fill` can always reach `size`.
    """

    def __init__(self, graph: Graph, size: int, hub_degree: int, rng: random.Random) -> None:
        self.rng = rng
        self._graph, self._hub_degree, self._hub_sample = graph, hub_degree, hub_degree + size
        self._neighbours: dict[int, tuple[int, ...]] = {}
        self._degrees: dict[int, int] = {}

    def degree(self, node: int) -> int:
        """Edges of any relation."""
        if node not in self._degrees:
            self._degrees[node] = self._graph.degree(node)
        return self._degrees[node]

    def is_hub(self, node: int) -> bool:
        """Whether the entity may only end a chain."""
        return self.degree(node) > self._hub_degree

    def neighbours(self, node: int) -> tuple[int, ...]:
        """Usable entities joined to `node` by a clue relation; of a hub, a random part."""
        if node not in self._neighbours:
            found = self._graph.clue_neighbours(node, self._hub_sample if self.is_hub(node) else None, self.rng)
            order = found.tolist()
            self.rng.shuffle(order)
            self._degrees.update(zip(order, self._graph.degrees(np.array(order, dtype=np.int32)).tolist(), strict=True))
            self._neighbours[node] = tuple(order)
        return self._neighbours[node]

    def steps(self, node: int) -> tuple[int, ...]:
        """Where a walk may go on from `node`: nowhere from a hub."""
        return () if self.is_hub(node) else self.neighbours(node)

    def fill(self, nodes: list[int], size: int) -> None:
        """Grow `nodes` in place to `size`: breadth first, one neighbour of each in turn; neighbours that lead on come first, hubs last.

        Entities of a hub are added only when nothing else is left: first of the start, should it be a hub, then of others.
        """
        inside = set(nodes)

        def rank(node: int) -> int:
            return 0 if not self.is_hub(node) else 1 if node == nodes[0] else 2

        ranks: list[list[int]] = [[node for node in nodes if rank(node) == place] for place in range(3)]
        while len(nodes) < size and (waiting := next(filter(None, ranks), None)):
            node = waiting.pop(0)
            fresh = [other for other in self.neighbours(node) if other not in inside]
            if fresh:
                chosen = min(fresh, key=lambda other: (self.is_hub(other), self.degree(other) < 2))
                inside.add(chosen)
                nodes.append(chosen)
                ranks[rank(chosen)].append(chosen)
                waiting.append(node)


PATIENCE = 8
"""Steps a search for a chain may take per entity of the chain: enough to back out of dead ends, few enough to stay local."""


def lengthened(near: Neighbourhood, path: list[int], length: int, allowed: Container[int] | None = None) -> list[int]:
    """`path` made as long as a bounded search finds, at both ends, up to `length` entities.

    Args:
        allowed: entities the chain may use; None for all.
    """
    first = near.rng.randint((len(path) + length) // 2, length)  # where the given path comes to lie differs from draw to draw
    for goal in (first, length, length):
        path = _arm(near, path, goal, allowed)[::-1]
    return path


def _arm(near: Neighbourhood, path: list[int], length: int, allowed: Container[int] | None) -> list[int]:
    """Depth-first search from the last entity of `path`; prefers steps that lead on and make no short cut to the path so far."""
    if len(path) >= length or (len(path) > 1 and near.is_hub(path[-1])):
        return path
    root, best = len(path), path
    walk = list(path)
    choices = [_onward(near, walk, allowed)]
    for _ in range(PATIENCE * length):
        if not choices[-1]:
            choices.pop()
            walk.pop()
            if len(walk) < root:
                break
            continue
        walk.append(choices[-1].pop())
        choices.append([] if near.is_hub(walk[-1]) else _onward(near, walk, allowed))
        if len(walk) > len(best):
            best = list(walk)
        if len(best) == length:
            break
    return best


def _onward(near: Neighbourhood, walk: list[int], allowed: Container[int] | None) -> list[int]:
    """Steps from the end of `walk`, best last."""
    short_cuts = {other for node in walk[:-1] for other in near.steps(node)}
    steps = [other for other in near.neighbours(walk[-1]) if other not in walk and (allowed is None or other in allowed)]
    return sorted(steps, key=lambda other: (near.is_hub(other), near.degree(other) < 2, other in short_cuts), reverse=True)
