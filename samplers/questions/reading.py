"""What a hasty reader makes of a question: looser than the proof, and still to be answered the same.

The proof takes a relation as the graph states it. A reader goes by the words: "is correlated with" holds both ways, and who "is caused by
loss-of-function mutations in" a gene also "is caused by mutations in" it. The reader may also take a hidden entity to be a named one.
"""

from __future__ import annotations

import functools

from samplers.graph.names import tokens
from samplers.graph.store import Graph


def read_alike(graph: Graph, code: int) -> tuple[int, ...]:
    """Half-edge codes whose phrase says at least what the phrase of `code` says, `code` itself first."""
    relations = [graph.schema.relations[name] for name in graph.relations]
    return _alike(tuple(phrase for relation in relations for phrase in (relation.forward, relation.back)))[code]


@functools.lru_cache(maxsize=8)
def _alike(phrases: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    words = [tuple("{}" if word in ("object", "subject") else word for word in tokens(phrase)) for phrase in phrases]
    return tuple(
        (code, *(other for other in range(len(words)) if other != code and _holds(words[code], words[other]))) for code in range(len(words))
    )


def _holds(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    """Whether all words of `short` stand in `long`, in order."""
    rest = iter(long)
    return all(word in rest for word in short)
