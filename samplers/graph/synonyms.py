"""Synonym classes: what `same_as` edges join becomes one entity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def synonym_classes(size: int, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Union-find with path halving over `size` members; cycles and repeats are harmless.

    Returns:
        size: the same number for members of one class.
    """
    parent = np.arange(size, dtype=np.int64)

    def root(member: int) -> int:
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = int(parent[member])
        return member

    for one, other in zip(left.tolist(), right.tolist(), strict=True):
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    while not np.array_equal(parent, parent[parent]):
        parent = parent[parent]
    return parent


def representatives(classes: NDArray[np.int64], degree: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each member the member that stands for its class: the one of highest degree, the first among equals."""
    members = np.arange(len(classes))
    order = np.lexsort((members, -degree, classes))
    leads = np.ones(len(order), dtype=bool)
    leads[1:] = classes[order][1:] != classes[order][:-1]
    standing = np.empty(len(classes), dtype=np.int64)
    standing[classes[order][leads]] = order[leads]
    return standing[classes]
