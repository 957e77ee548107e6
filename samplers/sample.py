"""The stage that draws subgraphs around a seed."""

from __future__ import annotations

import random

from engine.errors import RejectedError
from engine.records import derive_id
from engine.shared import Shared
from engine.stage import Stage
from samplers.config import SamplerConfig
from samplers.graph.store import Graph
from samplers.records import SampleCause, Seed, Subgraph
from samplers.strategies import find_strategy

SMALLEST = 3
"""Entities below which no question of two hops fits."""


class SampleStage(Stage[Seed, Subgraph]):
    """`per_seed` attempts per seed, each a fresh draw.

    Raises:
        ConfigError: the strategy is unknown.
    """

    name = "sample"
    takes = Seed
    makes = Subgraph

    def __init__(self, graph: Shared[Graph], config: SamplerConfig) -> None:
        self._shared, self._config = graph, config
        self._strategy = find_strategy(config.strategy)
        self._graph: Graph | None = None
        self.fan_out = config.per_seed

    async def open(self) -> None:
        """Map the graph once per actor."""
        self._graph = self._shared.get()

    async def attempt(self, record: Seed, ordinal: int, rng: random.Random) -> Subgraph:
        """Find the seed's entity, draw, and write the draw in ids. Of several bearers of a name the best connected comes first."""
        graph = self._graph or self._shared.get()
        bearers = bearers_of(graph, record.name)
        start = bearers[ordinal % len(bearers)]
        draw = self._strategy.draw(graph, start, self._config.size, self._config.hub_degree, rng)
        if len(draw.nodes) < SMALLEST:
            raise RejectedError(SampleCause.SEED_TOO_ISOLATED, f"'{graph.name(start)}' reaches {len(draw.nodes) - 1} other entities")
        clues = {relation for code, relation in enumerate(graph.relations) if graph.clue_relation(code)}
        return Subgraph(
            id=derive_id(record.id, self.name, ordinal),
            trace_id=record.trace_id,
            seed_name=record.name,
            seed_entity=graph.entity(start),
            strategy=draw.strategy,
            nodes=tuple(graph.entity(node) for node in draw.nodes),
            edges=tuple(edge for edge in graph.edges_between(draw.nodes) if edge.relation in clues),
            backbone=tuple(graph.entity(node) for node in draw.backbone),
            tags=record.tags,
        )


def bearers_of(graph: Graph, name: str) -> list[int]:
    """Entities that a seed may stand for, the best connected first.

    Raises:
        RejectedError: `unknown_seed` (nobody bears the name; names the nearest), `seed_too_isolated` (nobody who may be a clue).
    """
    found = graph.find(name)
    if not found:
        near = ", ".join(f"'{other}'" for other in graph.nearest_names(name)) or "none"
        raise RejectedError(SampleCause.UNKNOWN_SEED, f"no entity is called '{name}'; nearest names: {near}")
    usable = [index for index in found if graph.usable(index)]
    if not usable:
        raise RejectedError(SampleCause.SEED_TOO_ISOLATED, f"the schema says that '{name}' is never a clue")
    return sorted(usable, key=lambda index: (-graph.degree(index), index))
