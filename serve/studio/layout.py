"""Where the entities of a graph are drawn: forces, worked out here so that the browser only has to paint."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from samplers.graph.adjacency import Ints

Places = NDArray[np.float32]
"""n × 2."""
ROUNDS = 120
"""Of moving; a graph of n entities gets fewer beyond `FULL`, since each costs n²."""
FULL, LEAST_ROUNDS = 800, 24
STRIDE = 0.12
"""Of the picture's width: how far an entity moves in the first round; the last round moves nothing."""
SOFT = 0.01
"""Of the wanted distance, squared: two entities in one place push each other away with a finite force."""
GRAVITY = 0.4
"""Pull to the middle against the pull of a neighbour: keeps loose ends on the page."""

BLOCK = 16
"""Rows worked on at once."""
ROOM = 8
"""How much harder than others those push who get more room."""
CROWD, INWARD = 50, 0.75
"""With more entities than that, the power to which their distance to the middle is raised."""


def arrange(nodes: int, pairs: Ints, steps: Ints, apart: Collection[int] = ()) -> Places:
    """Places in about a unit square around (0, 0), the first entity near the middle; always the same for the same graph.

    Fruchterman & Reingold, "Graph drawing by force-directed placement" (1991): all push each other away by k²/d, edges pull by d²/k,
    and the moves become smaller. Two things from ForceAtlas2 (Jacomy et al. 2014, sections 2.2 and 2.4): entities with many edges
    push harder, and gravity. Starts from rings around the first entity, so that near ones come to lie near.

    Args:
        pairs: m × 2, places that are joined.
        steps: n, the ring of each.
        apart: entities that get more room.
    """
    if nodes < 2:
        return np.zeros((nodes, 2), dtype=np.float32)
    places = _rings(steps)
    wanted = np.float32(1 / np.sqrt(nodes))
    degree = np.bincount(pairs.ravel(), minlength=nodes).astype(np.float32)
    push = wanted**2 * (1 + np.log1p(degree))
    push[list(apart)] *= ROOM
    rounds = max(LEAST_ROUNDS, min(ROUNDS, int(ROUNDS * (FULL / nodes) ** 2)))
    for turn in range(rounds):
        force = _pushed(places, push, wanted) - GRAVITY * places * (1 + degree[:, None])
        force += _pulled(places, pairs, wanted)
        length = np.linalg.norm(force, axis=1, keepdims=True) + np.float32(1e-9)
        places += force / length * np.minimum(length, STRIDE * (1 - turn / rounds))
    return _levelled(places)


def _levelled(places: Places) -> Places:
    """Turned so that the picture is wider than high, and in the middle; what is far out comes nearer, for the crowd is inside."""
    places = places - places.mean(axis=0)
    if len(places) > CROWD:
        places *= np.power(np.linalg.norm(places, axis=1, keepdims=True) + np.float32(1e-6), INWARD - 1)
    _, axes = np.linalg.eigh(places.T @ places)
    turned = places @ axes[:, ::-1]
    turned -= (turned.min(axis=0) + turned.max(axis=0)) / 2
    level: Places = turned.astype(np.float32)
    return level


def _rings(steps: Ints) -> Places:
    """Each ring a circle, its entities evenly around it in their order; the golden angle keeps neighbours on two rings apart."""
    ring = np.where(steps < 0, steps.max() + 1, steps)
    count = np.bincount(ring)
    turn = np.arange(len(ring)) - np.searchsorted(np.sort(ring), ring)
    angle = 2 * np.pi * turn / count[ring] + 2.399963 * ring
    radius = ring / (2 * max(1, int(ring.max())))
    return np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1).astype(np.float32)


def _pushed(places: Places, push: NDArray[np.float32], wanted: np.float32) -> Places:
    """Σ over all others of push · (p − q) / |p − q|², over blocks of rows that stay in the processor's cache.

    Not as matrix products: of small ones the threads of a linear algebra library spend more time waiting than working.
    """
    least, (x, y) = SOFT * wanted**2, np.ascontiguousarray(places.T)
    moved = np.empty_like(places)
    for start in range(0, len(places), BLOCK):
        rows = slice(start, start + BLOCK)
        across, along = x[rows, None] - x, y[rows, None] - y
        near = across * across
        near += along * along
        near += least
        np.divide(push, near, out=near)
        moved[rows, 0] = np.einsum("ij,ij->i", near, across)
        moved[rows, 1] = np.einsum("ij,ij->i", near, along)
    return moved


def _pulled(places: Places, pairs: Ints, wanted: np.float32) -> Places:
    """Σ over neighbours of (q − p) · |p − q| / wanted."""
    ends = places[pairs[:, 1]] - places[pairs[:, 0]]
    pull = ends * (np.linalg.norm(ends, axis=1, keepdims=True) / wanted)
    total = np.zeros_like(places)
    np.add.at(total, pairs[:, 0], pull)
    np.add.at(total, pairs[:, 1], -pull)
    return total
