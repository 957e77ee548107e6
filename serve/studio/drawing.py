"""A graph as ECharts draws it. Names reach the page as text on a canvas and in ECharts' own tooltip, which escapes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from samplers.graph.phrases import noun
from samplers.graph.schema import GraphSchema
from samplers.graph.store import Graph
from samplers.records import Subgraph
from serve.studio.ego import Ego
from serve.studio.layout import Places

COLOURS = (
    "#2f6db3", "#d9822b", "#3c8d5a", "#b5483f", "#7a5aa6", "#8a6a4f", "#c2679b", "#5f6b76",
    "#a39a1f", "#2a9aa8", "#5a7fd6", "#9b7d2b", "#6fae3a", "#d0705a", "#4a5a9c", "#b08bc9",
)  # fmt: skip
"""One per kind, in the order of the kinds' names; after sixteen kinds they repeat."""
INK, EDGE, PALE_EDGE, TIE, BACKBONE = "#1c2530", "#cfd7df", "#edf0f3", "#5b6875", "#d35400"
PALE = 0.8
"""How much white there is in what does not belong to the subgraph."""
WIDTH = 330
"""Of the picture, in units of its own; the browser fits it to the page."""
ALL_LABELLED = 40
"""Up to so many entities all names are shown, beyond that those of the best connected; the pointer shows any."""
LABELLED = 15
FEW = 400
"""Up to so many entities the pointer lights up an entity's neighbours; with thousands that would stutter."""
LABEL_CHARS = 28
LINES = 2500
"""More lines than that are a grey sheet, and every move of the picture would paint them all."""
_HALO = {"textBorderColor": "#ffffff", "textBorderWidth": 3}
"""Around letters, so that lines do not cross them."""


@dataclass(frozen=True, slots=True)
class Lit:
    """A part of the drawing that stands out; the rest turns pale."""

    nodes: frozenset[int]
    """Places in `Ego.nodes`."""
    backbone: tuple[int, ...] = ()
    ties: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """Pair of places, the smaller first → what joins them."""


NOTHING = Lit(frozenset())


def colour_of(schema: GraphSchema, kind: str) -> str:
    """The colour of a kind, the same wherever one is drawn."""
    return COLOURS[sorted(schema.kinds).index(kind) % len(COLOURS)]


def lit_by(graph: Graph, ego: Ego, subgraph: Subgraph) -> Lit:
    """A sampled subgraph: its entities, what joins them, and the chain at its heart."""
    place = dict(zip((graph.entity(int(node)) for node in ego.nodes), range(len(ego.nodes)), strict=True))
    ties: dict[tuple[int, int], str] = {}
    for edge in subgraph.edges:
        pair = sorted((place[edge.source], place[edge.target]))
        ties.setdefault((pair[0], pair[1]), edge.relation.replace("_", " "))
    return Lit(frozenset(place[node] for node in subgraph.nodes), tuple(place[node] for node in subgraph.backbone), ties)


def picture(graph: Graph, ego: Ego, places: Places, lit: Lit = NOTHING, labels: Mapping[int, str] | None = None) -> dict[str, Any]:
    """ECharts options.

    Args:
        places: see `layout.arrange`.
        labels: place in `ego.nodes` → text shown for its name, always visible.
    """
    few = len(ego.nodes) <= FEW
    kinds = sorted({graph.kind(int(node)) for node in ego.nodes})
    series = {
        "type": "graph",
        "layout": "none",
        "roam": True,
        "draggable": True,
        "preserveAspect": True,
        "scaleLimit": {"min": 0.4, "max": 20},
        "selectedMode": "single",
        "select": {"itemStyle": {"borderColor": INK, "borderWidth": 3}, "lineStyle": {"color": TIE}},
        "emphasis": {"label": {"show": True}, "lineStyle": {"width": 2}, "focus": "adjacency"} if few else {"disabled": True},
        "label": {"position": "bottom", "color": INK, "fontSize": 11, "width": 150, "overflow": "truncate", **_HALO},
        **({"labelLayout": {"hideOverlap": True}} if lit is NOTHING else {}),
        "edgeLabel": {"color": TIE, "fontSize": 10, "rotate": 0, **_HALO},
        "lineStyle": {"color": EDGE if lit is NOTHING else PALE_EDGE, "width": 1, "opacity": 1},
        "categories": [{"name": noun(graph.schema, kind), "itemStyle": {"color": colour_of(graph.schema, kind)}} for kind in kinds],
        "data": _nodes(graph, ego, places, kinds, lit, labels or {}),
        "links": _links(chosen([(int(one), int(other)) for one, other in ego.pairs], lit), lit),
        "left": 60,
        "right": 60,
        "top": 50,
        "bottom": 30,
    }
    legend = {"top": 0, "left": 0, "type": "scroll", "itemWidth": 12, "itemHeight": 12, "textStyle": {"fontSize": 12}}
    return {"animation": False, "tooltip": {"confine": True}, "legend": legend, "series": [series]}


def _nodes(graph: Graph, ego: Ego, places: Places, kinds: Sequence[str], lit: Lit, labels: Mapping[int, str]) -> list[dict[str, Any]]:
    degrees = graph.degrees(ego.nodes).tolist()
    small = len(degrees) > FEW
    best = sorted(range(len(degrees)), key=lambda place: (-degrees[place], place))[
        : len(degrees) if len(degrees) <= ALL_LABELLED else LABELLED
    ]
    named = lit.nodes | labels.keys() if lit.nodes else {0, *best, *labels}
    drawn = []
    for place, (node, (x, y)) in enumerate(zip(ego.nodes.tolist(), places.tolist(), strict=True)):
        kind = graph.kind(node)
        item: dict[str, Any] = {
            "id": str(place),
            "name": labels.get(place) or graph.name(node),
            "x": round(x * WIDTH, 1),
            "y": round(y * WIDTH, 1),
            "category": kinds.index(kind),
            "symbolSize": round(_size(degrees[place], small, place in lit.nodes, bool(lit.nodes)), 1),
        }
        if place in named:
            item["label"] = {"show": True, "fontWeight": "bold" if place == 0 or place in lit.nodes else "normal"}
        if place == 0:
            item["itemStyle"] = {"borderColor": INK, "borderWidth": 2}
        elif lit.nodes and place not in lit.nodes:
            item["itemStyle"] = {"color": _pale(colour_of(graph.schema, kind))}
        drawn.append(item)
    return sorted(drawn, key=lambda item: int(item["id"]) in lit.nodes)


def _size(degree: int, small: bool, is_lit: bool, any_lit: bool) -> float:
    """Diameter in pixels; what does not belong to the subgraph makes room for it."""
    plain = (3 if small else 7) + 2.2 * math.log1p(degree)
    return plain + 4 if is_lit else plain * (0.6 if any_lit else 1)


def chosen(pairs: Sequence[tuple[int, int]], lit: Lit) -> list[tuple[int, int]]:
    """Pairs that get a line, at most `LINES` and those of the subgraph: first one for each entity, to one nearer to the centre."""
    first = {target: (source, target) for source, target in reversed(pairs)}
    must = {*first.values(), *lit.ties}
    others = [pair for pair in pairs if pair not in must]
    kept = {*must, *others[: max(0, LINES - len(must))]}
    return [pair for pair in pairs if pair in kept]


def _links(pairs: Sequence[tuple[int, int]], lit: Lit) -> list[dict[str, Any]]:
    chain = {(min(pair), max(pair)) for pair in zip(lit.backbone, lit.backbone[1:], strict=False)}
    links = []
    for source, target in pairs:
        link: dict[str, Any] = {"source": str(source), "target": str(target)}
        if (source, target) in lit.ties:
            backbone = (source, target) in chain
            link["lineStyle"] = {"color": BACKBONE if backbone else TIE, "width": 3 if backbone else 1.5}
            if backbone or not chain:
                link["label"] = {"show": True, "formatter": lit.ties[source, target][:LABEL_CHARS]}
        links.append(link)
    return sorted(links, key=lambda link: "lineStyle" in link)


def _pale(colour: str) -> str:
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(255 * PALE + part * (1 - PALE)):02x}" for part in parts)
