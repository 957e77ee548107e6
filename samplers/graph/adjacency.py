"""The adjacency of a graph as flat arrays (compressed sparse rows over half-edges)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Codes = NDArray[np.int16 | np.int32]


@dataclass(frozen=True, slots=True)
class Adjacency:
    """Every edge twice, once from each end, sorted by (node, code, neighbour).

    A *code* names relation and direction: `2 * relation` where the node is the subject, `2 * relation + 1` where it is the object.
    """

    indptr: NDArray[np.int64]
    """n + 1: the half-edges of node i are `indptr[i]:indptr[i + 1]`."""
    code: Codes
    neighbour: Ints
    edge: Ints
    """Number of the edge that the half-edge belongs to."""
    bearers: Ints
    """Nodes that have a code, sorted within each code."""
    bearers_indptr: NDArray[np.int64]
    """2 * relations + 1: bounds of each code in `bearers`."""

    @classmethod
    def build(cls, nodes: int, relations: int, source: Ints, relation: Codes, target: Ints) -> Adjacency:
        """From edge columns without duplicates, O(E log E)."""
        code_type = code_dtype(relations)
        edges = np.arange(len(source), dtype=np.int32)
        node = np.concatenate((source, target))
        code: Codes = np.concatenate((relation * 2, relation * 2 + 1)).astype(code_type)
        neighbour = np.concatenate((target, source))
        order = np.lexsort((neighbour, code, node))
        node, code = node[order], code[order]
        fresh = np.ones(len(node), dtype=bool)
        fresh[1:] = (node[1:] != node[:-1]) | (code[1:] != code[:-1])
        by_code = np.argsort(code[fresh], kind="stable")
        return cls(
            indptr=_bounds(node, nodes),
            code=code,
            neighbour=neighbour[order],
            edge=np.concatenate((edges, edges))[order],
            bearers=node[fresh][by_code],
            bearers_indptr=_bounds(code[fresh], 2 * relations),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays together."""
        return sum(array.nbytes for array in self.arrays())

    def arrays(self) -> tuple[np.ndarray, ...]:
        """All arrays, for freezing and counting."""
        return self.indptr, self.code, self.neighbour, self.edge, self.bearers, self.bearers_indptr


def code_dtype(relations: int) -> type[np.int16 | np.int32]:
    """The smallest type that holds every code."""
    return np.int16 if 2 * relations < np.iinfo(np.int16).max else np.int32


def _bounds(values: np.ndarray, size: int) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(np.bincount(values, minlength=size)))).astype(np.int64)
