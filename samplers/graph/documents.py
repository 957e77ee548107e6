"""Pages written from the graph's own facts: what a local search index holds when nobody is to be asked."""

from __future__ import annotations

import itertools
from urllib.parse import quote

from engine.web.documents import Document
from samplers.graph.phrases import attribute_phrase, listing, noun, sentence, verb_phrase, with_article
from samplers.graph.store import Graph


def documents(graph: Graph) -> list[Document]:
    """One page per entity in the order of ids; each line is one sentence and states one fact, facts of a relation stand together."""
    return [_page(graph, index) for index in range(len(graph))]


def page_url(graph: Graph, index: int) -> str:
    """`hopforge://<graph name>/<entity id>`, percent-encoded."""
    return f"hopforge://{quote(graph.schema.name, safe='')}/{quote(graph.entity(index), safe='')}"


def _page(graph: Graph, index: int) -> Document:
    name = graph.name(index)
    lines = [f"{name} is {with_article(noun(graph.schema, graph.kind(index)))}"]
    if aliases := graph.aliases(index):
        lines.append(f"{name} is also known as {listing(aliases)}")
    lines += itertools.chain(_attribute_lines(graph, index), _fact_lines(graph, index))
    return Document(
        id=graph.entity(index),
        title=name,
        url=page_url(graph, index),
        text="\n".join(sentence(line) for line in lines),
        source=graph.schema.source or graph.schema.name,
        license=graph.schema.license or "unknown",
    )


def _attribute_lines(graph: Graph, index: int) -> list[str]:
    name, lines = graph.name(index), []
    for key, attribute in sorted(graph.schema.attributes.items()):
        value = graph.attribute(index, key)
        if value is None:
            continue
        if attribute.clause:
            lines.append(f"{name} {attribute_phrase(attribute, value)}")
        else:
            printed = value if isinstance(value, str) else f"{value:,.10g} {attribute.unit}".rstrip()
            lines.append(f"the {attribute.noun or key.replace('_', ' ')} of {name} is {printed}")
    return lines


def _fact_lines(graph: Graph, index: int) -> list[str]:
    name = graph.name(index)
    codes, neighbours, _ = graph.half_edges(index)
    return [
        f"{name} {verb_phrase(graph.schema, graph.relations[code >> 1], not code & 1, graph.name(neighbour))}"
        for code, neighbour in zip(codes.tolist(), neighbours.tolist(), strict=True)
    ]
