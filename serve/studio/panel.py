"""One entity in words, beside the drawing: kind, other names, attributes, and its facts both ways, each with where it comes from."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from samplers.graph.schema import GraphSchema
from samplers.graph.store import Graph
from serve.studio.drawing import colour_of
from serve.studio.entity import Fact, Facts, Told, tell
from serve.studio.words import Words

AT_FIRST, AT_MOST = 12, 300
"""Facts per relation and direction, before and after somebody asks for more."""


def show_entity(graph: Graph, index: int, words: Words, go: Callable[[int], object]) -> None:
    """Into the element that is open.

    Args:
        go: what a click on another entity does.
    """
    told = tell(graph, index, AT_MOST)
    with ui.row(wrap=False).classes("items-center gap-2"):
        dot(graph.schema, graph.kind(index))
        ui.label(told.name).classes("studio-title").props("role=heading aria-level=2")
    ui.label(" · ".join([told.noun, words("explore.facts", count=f"{told.degree:,}"), told.id])).classes("studio-soft")
    _also(told, words)
    for facts in told.facts:
        _group(graph, facts, words, go)


def dot(schema: GraphSchema, kind: str) -> None:
    """The colour of a kind."""
    ui.element("span").classes("explore-dot").style(f"background:{colour_of(schema, kind)}")


def _also(told: Told, words: Words) -> None:
    rows = [(words("explore.aliases"), ", ".join(told.aliases))] if told.aliases else []
    for name, value in [*rows, *told.attributes]:
        with ui.element("div").classes("explore-attribute"):
            ui.label(name).classes("studio-soft")
            ui.label(value)


def _group(graph: Graph, facts: Facts, words: Words, go: Callable[[int], object]) -> None:
    with ui.element("div").classes("explore-facts"):
        ui.label(facts.phrase).classes("explore-phrase")
        rows = ui.element("ul")

        def fill(most: int) -> None:
            rows.clear()
            with rows:
                for fact in facts.rows[:most]:
                    _row(graph, fact, go)
            more.set_visibility(most < len(facts.rows))

        more = ui.button(words("explore.more", count=f"{len(facts.rows) - AT_FIRST:,}"), on_click=lambda: fill(AT_MOST))
        more.props("flat dense no-caps").classes("explore-link")
        fill(AT_FIRST)
        if facts.left_out:
            ui.label(words("explore.left_out", count=f"{facts.left_out:,}")).classes("studio-soft")


def _row(graph: Graph, fact: Fact, go: Callable[[int], object]) -> None:
    with ui.element("li"):
        dot(graph.schema, graph.kind(fact.other))
        link = ui.button(graph.name(fact.other), on_click=lambda: go(fact.other)).props("flat dense no-caps").classes("explore-link")
        link.props["title"] = graph.kind(fact.other)
        ui.label(fact.provenance).classes("explore-source")
