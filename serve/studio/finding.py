"""From what somebody types to an entity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from engine.errors import RejectedError
from samplers.config import SamplerConfig
from samplers.graph.names import normalise
from samplers.graph.store import Graph
from samplers.records import SampleCause
from samplers.sample import bearers_of

SUGGESTED, NEAREST = 12, 5


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
    """Names to begin with: of each kind the entity with most edges that is not yet a hub, in the order of the kinds."""
    found = []
    for kind in sorted(graph.schema.kinds):
        members = graph.of_kind(kind)
        degrees = np.where(graph.columns.usable[members], graph.degrees(members), 0)
        degrees[degrees > SamplerConfig.hub_degree] = 0
        if degrees.any():
            found.append(graph.name(int(members[degrees.argmax()])))
    return found


@dataclass(frozen=True, slots=True)
class Nobody:
    """A seed that stands for no entity."""

    why: str
    """Empty where no seed was given."""
    instead: list[str]
    """Names to go on with."""


def entity_of(graph: Graph, seed: str) -> int | Nobody:
    """The entity that a sampler starts from, of several bearers of the name the best connected."""
    if not seed:
        return Nobody("", examples(graph))
    try:
        return bearers_of(graph, seed)[0]
    except RejectedError as error:
        return Nobody(error.detail, graph.nearest_names(seed, NEAREST) if error.cause == SampleCause.UNKNOWN_SEED else [])


def _spelling(graph: Graph, key: str, entity: int) -> str:
    return next((name for name in (graph.name(entity), *graph.aliases(entity)) if normalise(name) == key), graph.name(entity))


def _rank(item: Suggestion, wanted: str) -> tuple[bool, int, str, int]:
    key = normalise(item.spelling)
    return not key.startswith(wanted), len(key), key, item.entity
