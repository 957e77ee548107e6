"""From what somebody types to an entity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from samplers.config import SamplerConfig
from samplers.graph.names import normalise
from samplers.graph.store import Graph

SUGGESTED = 12


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A name or alias, and whose."""

    spelling: str
    entity: int


def suggest(graph: Graph, typed: str, count: int = SUGGESTED) -> list[Suggestion]:
    """Names and aliases that hold what was typed (in normal form): those that begin with it first, then the shortest."""
    wanted = normalise(typed)
    if not wanted:
        return []
    keys, owners = graph.columns.name_keys.keys, graph.columns.name_keys.owners
    hits = pc.indices_nonzero(pc.match_substring(keys, wanted)).to_numpy()
    texts = keys.take(hits)
    order = np.lexsort((pc.utf8_length(texts).to_numpy(), ~pc.starts_with(texts, wanted).to_numpy(zero_copy_only=False)))
    found = [(texts[int(place)].as_py(), int(owners[hits[place]])) for place in order[:count]]
    return sorted((Suggestion(_spelling(graph, key, owner), owner) for key, owner in found), key=lambda item: _rank(item, wanted))


def examples(graph: Graph) -> list[str]:
    """Names to begin with: of each kind the entity with most edges that is not yet a hub, sorted."""
    found = []
    for kind in sorted(graph.schema.kinds):
        members = [index for index in graph.of_kind(kind).tolist() if graph.usable(index)]
        known = [index for index in members if graph.degree(index) <= SamplerConfig.hub_degree]
        if known:
            found.append(graph.name(max(known, key=lambda index: (graph.degree(index), -index))))
    return found


def _spelling(graph: Graph, key: str, entity: int) -> str:
    return next((name for name in (graph.name(entity), *graph.aliases(entity)) if normalise(name) == key), graph.name(entity))


def _rank(item: Suggestion, wanted: str) -> tuple[bool, int, str, int]:
    key = normalise(item.spelling)
    return not key.startswith(wanted), len(key), key, item.entity
