"""What the graph says of one entity: the panel beside the drawing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from samplers.graph.phrases import noun, verb_phrase
from samplers.graph.store import Graph

SLOT = "…"


@dataclass(frozen=True, slots=True)
class Fact:
    """One edge, seen from the entity."""

    other: int
    provenance: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Edges of one relation in one direction."""

    phrase: str
    """About the entity, `…` for the others: `is inhibited by …`."""
    rows: tuple[Fact, ...]
    """In the order of the other ends' names."""
    left_out: int


@dataclass(frozen=True, slots=True)
class Told:
    """One entity."""

    index: int
    id: str
    name: str
    noun: str
    aliases: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    """Noun and value."""
    degree: int
    facts: tuple[Facts, ...]


def tell(graph: Graph, index: int, most: int) -> Told:
    """Everything about an entity.

    Args:
        most: facts per relation and direction; how many more there are is told.
    """
    return Told(
        index=index,
        id=graph.entity(index),
        name=graph.name(index),
        noun=noun(graph.schema, graph.kind(index)),
        aliases=graph.aliases(index),
        attributes=tuple(_attributes(graph, index)),
        degree=graph.degree(index),
        facts=tuple(_facts(graph, index, most)),
    )


def _attributes(graph: Graph, index: int) -> Iterator[tuple[str, str]]:
    for name, attribute in graph.schema.attributes.items():
        value = graph.attribute(index, name)
        if value is not None and value != "":
            year = attribute.form == "year"
            number = value if isinstance(value, str) else f"{value:.0f}" if year else f"{value:,.10g} {attribute.unit}".rstrip()
            yield attribute.noun or name.replace("_", " "), number


def _facts(graph: Graph, index: int, most: int) -> Iterator[Facts]:
    codes, neighbours, edges = graph.half_edges(index)
    for code in sorted(set(codes.tolist())):
        low, high = codes.searchsorted((code, code + 1))
        rows = [
            Fact(int(other), graph.edge(int(edge)).provenance)
            for other, edge in zip(neighbours[low : min(high, low + most)], edges[low : min(high, low + most)], strict=True)
        ]
        phrase = verb_phrase(graph.schema, graph.relations[code // 2], code % 2 == 0, SLOT)
        rows.sort(key=lambda fact: graph.name(fact.other))
        yield Facts(phrase, tuple(rows), int(high - low) - len(rows))
