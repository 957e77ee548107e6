"""Explore: an entity and its surroundings, what the graph says of each, and the subgraph that a sampler draws there."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request
from nicegui import events, ui

from engine.records import Ending
from samplers.graph.store import Graph
from samplers.records import Subgraph
from samplers.seeds import FORMATS
from serve.guard import MEBIBYTE
from serve.studio.address import BOUNDS, CHOICES, Address
from serve.studio.canvas import BACK, Canvas
from serve.studio.drawing import FEW, LINES, NOTHING, lit_by, picture
from serve.studio.ego import Ego, surroundings
from serve.studio.finding import Nobody, entity_of, suggest
from serve.studio.frame import frame, noted, told
from serve.studio.layout import arrange
from serve.studio.panel import dot, show_entity
from serve.studio.posing import sampled
from serve.studio.studio import Studio
from serve.studio.uploads import keep, listed, seeds_of
from serve.studio.words import Words

SHOWN_SEEDS = 500
"""Of an uploaded file; a run takes all of them."""


def register(studio: Studio) -> None:
    """Put the page on its path."""

    @ui.page("/")
    @ui.page("/explore")
    async def show(request: Request) -> None:
        with frame(request, studio, "explore") as words:
            await _Explore(studio, words, Address.of(request.query_params)).show()


class _Explore:
    """One open page: knobs at the left, the drawing in the middle, an entity at the right."""

    ego: Ego

    def __init__(self, studio: Studio, words: Words, address: Address) -> None:
        self.studio, self.words, self.address = studio, words, address
        self.one_at_a_time = asyncio.Lock()

    async def show(self) -> None:
        """The page first, then what takes time."""
        with ui.element("div").classes("explore-grid"):
            with ui.column().classes("studio-panel explore-side"):
                self._seed_form()
                self._sample_form()
                self.uploaded = ui.column().classes("explore-list")
            with ui.column().classes("studio-panel explore-middle"):
                self.status = ui.column().classes("explore-status")
                self.canvas = Canvas(self.words("explore.canvas"), self._picked)
                self.busy = ui.spinner(size="lg").classes("explore-busy")
            with ui.column().classes("studio-panel explore-side"):
                self.panel = ui.column().classes("explore-list")
                self.drawn = ui.column().classes("explore-list")
        await ui.context.client.connected()
        ui.run_javascript(BACK)
        with told():
            await self._list_uploaded()
        await self._draw()

    def _seed_form(self) -> None:
        words = self.words
        self.seed = ui.input(words("explore.seed"), value=self.address.seed, on_change=self._suggest).props("outlined dense list=names")
        self.seed.on("keydown.enter", self._go)
        self.names = ui.element("datalist").props("id=names")
        with ui.row(wrap=False).classes("explore-row"):
            self.radius, self.size = self._number("radius"), self._number("size", step=50)
        ui.button(words("explore.show"), on_click=self._go).props("unelevated no-caps")
        self.upload = ui.upload(
            label=words("explore.upload"),
            auto_upload=True,
            max_file_size=self.studio.config.max_upload_mb * MEBIBYTE,
            on_upload=self._upload,
            on_rejected=self._refused,
        )
        self.upload.props(f"flat bordered accept={','.join(FORMATS)}").classes("explore-upload").on("failed", self._refused, [])

    def _sample_form(self) -> None:
        words = self.words
        ui.label(words("explore.sample_title")).classes("studio-title").props("role=heading aria-level=2")
        self.strategy = ui.select(list(CHOICES["strategy"]), value=self.address.strategy, label=words("explore.strategy"))
        self.strategy.props("outlined dense")
        with ui.row(wrap=False).classes("explore-row"):
            self.nodes = self._number("nodes")
            self.number = ui.number(words("explore.draw"), value=max(0, self.address.draw), min=0, precision=0).props("outlined dense")
        ui.button(words("explore.sample"), on_click=self._sample).props("unelevated no-caps color=accent")
        self.ask = ui.button(words("explore.ask"), on_click=lambda: ui.navigate.to(self.address.url("ask"))).props("outline no-caps")
        self.ask.set_visibility(False)

    def _number(self, name: str, step: int = 1) -> ui.number:
        least, most = BOUNDS[name]
        field = ui.number(self.words(f"explore.{name}"), value=getattr(self.address, name), min=least, max=most, step=step, precision=0)
        return field.props("outlined dense")

    @property
    def graph(self) -> Graph:
        """At once, after `Studio.read_graph`."""
        return self.studio.graph()

    async def _suggest(self, event: events.ValueChangeEventArguments[str | None]) -> None:
        await self.studio.read_graph()
        typed = event.value or ""
        found = await asyncio.to_thread(suggest, self.graph, typed) if len(typed) > 1 else []
        if typed == self.seed.value:  # nobody typed on meanwhile
            self.names.clear()
            with self.names:
                for item in found:
                    option = ui.element("option")
                    option.props["value"], option.props["label"] = item.spelling, self.graph.kind(item.entity)

    async def _upload(self, event: events.UploadEventArguments) -> None:
        content = await event.file.read()
        self.upload.reset()
        with noted():
            kept = await asyncio.to_thread(keep, self.studio.workspace, event.file.name, content)
            self.address = self.address.changed(seeds=kept)
            ui.navigate.history.push(self.address.url("explore"))
            await self._list_uploaded()

    def _refused(self) -> None:
        ui.notify(self.words("explore.refused", most=self.studio.config.max_upload_mb), type="negative")

    async def _go(self) -> None:
        await self._move(seed=self._typed, at="", draw=-1)

    async def _sample(self) -> None:
        at = self.address.at if self._typed == self.address.seed else ""
        await self._move(seed=self._typed, at=at, draw=int(self.number.value or 0))

    @property
    def _typed(self) -> str:
        return (self.seed.value or "").strip()

    async def _move(self, **changes: Any) -> None:
        """Another address: what the knobs say, and the changes."""
        knobs = {name: int(getattr(self, name).value or BOUNDS[name][0]) for name in ("radius", "size", "nodes")}
        self.address = self.address.changed(**(knobs | {"strategy": self.strategy.value} | changes))
        ui.navigate.history.push(self.address.url("explore"))
        self.seed.value = self.address.seed
        with noted():
            await self._draw()

    async def _draw(self) -> None:
        """The drawing, the words above it and the lists, as the address says."""
        async with self.one_at_a_time:
            for part in (self.status, self.panel, self.drawn):
                part.clear()
            self.ask.set_visibility(False)
            self.busy.set_visibility(True)
            try:
                await self.studio.read_graph()
                start = await asyncio.to_thread(entity_of, self.graph, self.address.seed)
                if isinstance(start, Nobody):
                    self._tell_nobody(start)
                else:
                    await self._draw_around(start)
            finally:
                self.busy.set_visibility(False)

    def _tell_nobody(self, nobody: Nobody) -> None:
        self.canvas.clear()
        with self.status:
            ui.label(nobody.why or self.words("explore.begin")).classes("studio-error" if nobody.why else "").props("role=status")
            with ui.row().classes("explore-row"):
                for name in nobody.instead:
                    ui.link(name, self.address.url("explore", seed=name, at="", draw=-1))

    async def _draw_around(self, start: int) -> None:
        address, shared = self.address, self.studio.shared_graph()
        made = await asyncio.to_thread(sampled, shared, address) if address.draw >= 0 else None
        subgraph = made if isinstance(made, Subgraph) else None
        self.ego, options = await asyncio.to_thread(self._pictured, start, subgraph)
        with self.status:
            self._tell_size()
            if isinstance(made, Ending):
                ui.label(f"{made.cause}: {made.detail}").classes("studio-error").props("role=alert")
        self.ask.set_visibility(subgraph is not None)
        if subgraph is not None:
            self._list_drawn(subgraph)
        self._tell(self._at(start))
        await self.canvas.draw(options)

    def _pictured(self, start: int, subgraph: Subgraph | None) -> tuple[Ego, dict[str, Any]]:
        also = [self.graph.index(node) for node in subgraph.nodes] if subgraph else []
        ego = surroundings(self.graph, start, self.address.radius, self.address.size, also)
        lit = lit_by(self.graph, ego, subgraph) if subgraph else NOTHING
        places = arrange(len(ego.nodes), ego.pairs, ego.steps, sorted(lit.nodes) if len(ego.nodes) <= FEW else ())
        return ego, picture(self.graph, ego, places, lit)

    def _tell_size(self) -> None:
        pairs, words = len(self.ego.pairs), self.words
        text = words("explore.shown", shown=f"{len(self.ego.nodes):,}", pairs=f"{pairs:,}", radius=self.address.radius)
        text += words("explore.lines", lines=f"{LINES:,}") if pairs > LINES else ""
        text += words("explore.beyond", beyond=f"{self.ego.beyond:,}") if self.ego.beyond else ""
        ui.label(text).classes("studio-soft").props("role=status")

    def _at(self, start: int) -> int:
        try:
            return self.graph.index(self.address.at) if self.address.at else start
        except KeyError:
            return start

    async def _picked(self, place: int) -> None:
        self._turn_to(int(self.ego.nodes[place]))

    def _turn_to(self, entity: int) -> None:
        """Tell of another entity; the drawing stays."""
        self.address = self.address.changed(at=self.graph.entity(entity))
        ui.navigate.history.replace(self.address.url("explore"))
        self._tell(entity)
        places = (self.ego.nodes == entity).nonzero()[0]
        if len(places):
            self.canvas.pick(int(places[0]))

    def _tell(self, entity: int) -> None:
        self.panel.clear()
        with self.panel:
            show_entity(self.graph, entity, self.words, self._turn_to)
            name = self.graph.name(entity)
            ui.button(self.words("explore.centre"), on_click=lambda: self._move(seed=name, at="", draw=-1)).props("outline dense no-caps")

    def _list_drawn(self, subgraph: Subgraph) -> None:
        """The sampled entities, the backbone first and in its order."""
        chain = list(subgraph.backbone)
        with self.drawn:
            ui.label(self.words("explore.drawn", strategy=subgraph.strategy)).classes("explore-phrase")
            for node in [*chain, *(node for node in subgraph.nodes if node not in chain)]:
                entity = self.graph.index(node)
                with ui.row(wrap=False).classes("explore-entity"):
                    dot(self.graph.schema, self.graph.kind(entity))
                    link = ui.button(self.graph.name(entity), on_click=lambda entity=entity: self._turn_to(entity))
                    colour = "accent" if node in chain else "primary"
                    link.props(f"flat dense no-caps color={colour}").classes(
                        "explore-link" + (" explore-backbone" if node in chain else "")
                    )

    async def _list_uploaded(self) -> None:
        self.uploaded.clear()
        if not self.address.seeds:
            return
        await self.studio.read_graph()
        seeds = await asyncio.to_thread(seeds_of, self.studio.workspace, self.address.seeds)
        rows = await asyncio.to_thread(listed, self.graph, seeds)
        known = sum(row.known for row in rows)
        with self.uploaded:
            ui.label(self.words("explore.uploaded", known=f"{known:,}", count=f"{len(rows):,}")).classes("explore-phrase")
            ui.link(self.words("explore.run"), f"/run?seeds={self.address.seeds}")
            for row in rows[:SHOWN_SEEDS]:
                link = ui.button(row.name, on_click=lambda name=row.name: self._move(seed=name, at="", draw=-1))
                link.props(f"flat dense no-caps color={'primary' if row.known else 'grey-7'}")
                link.classes("explore-link" + ("" if row.known else " explore-unknown"))
