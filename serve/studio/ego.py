"""The surroundings of one entity: what Explore draws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from samplers.graph.adjacency import Ints, contained, distinct
from samplers.graph.store import Graph

LARGEST = 2000
"""Entities that a browser draws and moves without stuttering."""


@dataclass(frozen=True, slots=True)
class Ego:
    """An ego network: an entity, those around it, and which of them the graph joins."""

    nodes: Ints
    """n: entities, the centre first, nearer ones before those farther off, each once."""
    steps: Ints
    """n: edges between each and the centre; -1 of entities that were added for another reason."""
    pairs: Ints
    """m × 2: places in `nodes` that some edge joins, the smaller first, sorted, each once."""
    beyond: int
    """Entities within the radius for which there was no room."""


def surroundings(graph: Graph, centre: int, radius: int, size: int, also: Iterable[int] = ()) -> Ego:
    """Breadth first, whatever the relation; where a ring has no room for all, those with most edges to what is drawn already stay.

    Args:
        radius: edges from the centre at most.
        size: entities at most, those of `also` not counted.
        also: entities that are drawn wherever they are.
    """
    nodes, ring, beyond = [np.array([centre], dtype=np.int32)], np.array([centre], dtype=np.int32), 0
    known = ring
    for _ in range(radius):
        ends = _ends(graph, ring)
        fresh, ties = np.unique(ends[~contained(ends, known, len(graph))], return_counts=True)
        room = size - sum(map(len, nodes))
        ring = np.sort(fresh[np.lexsort((fresh, -ties))[:room]])
        beyond += len(fresh) - len(ring)
        nodes.append(ring)
        known = distinct(np.concatenate(nodes), len(graph))
        if not len(ring):
            break
    others = np.array([index for index in dict.fromkeys(also) if index not in set(known.tolist())], dtype=np.int32)
    steps = np.repeat(np.array([*range(len(nodes)), -1], dtype=np.int32), [*map(len, nodes), len(others)])
    drawn = np.concatenate([*nodes, others])
    return Ego(drawn, steps, joined(graph, drawn), beyond)


def joined(graph: Graph, nodes: Ints) -> Ints:
    """m × 2: the places of `nodes` that an edge joins; see `Ego.pairs`."""
    order = np.argsort(nodes, kind="stable")
    ordered = nodes[order]
    degrees = graph.degrees(nodes)
    ends = _ends(graph, nodes)
    near = np.repeat(np.arange(len(nodes)), degrees)
    inside = contained(ends, ordered, len(graph))
    far = order[np.searchsorted(ordered, ends[inside])]
    pairs = np.stack((np.minimum(near[inside], far), np.maximum(near[inside], far)), axis=1)
    return np.unique(pairs, axis=0).astype(np.int32) if len(pairs) else np.empty((0, 2), dtype=np.int32)


def _ends(graph: Graph, nodes: Ints) -> Ints:
    """The other ends of all edges at `nodes`, with repeats, in the order of `nodes`."""
    bounds, neighbour = graph.adjacency.indptr, graph.adjacency.neighbour
    return np.concatenate([np.empty(0, np.int32), *(neighbour[bounds[node] : bounds[node + 1]] for node in nodes.tolist())])
