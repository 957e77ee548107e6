"""Ask: a proved question about a drawn subgraph, with everything that stands behind it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from fastapi import Request
from nicegui import ui

from engine.records import Ending
from samplers.graph.phrases import verb_phrase
from samplers.graph.store import Graph
from samplers.questions.build import Try
from samplers.records import Certificate, Question, Subgraph, World
from serve.runs.reading import path_in_words
from serve.studio.address import BOUNDS, CHOICES, Address
from serve.studio.canvas import BACK, Canvas
from serve.studio.frame import frame, noted
from serve.studio.pages.ask_author import AuthorPanel
from serve.studio.panel import dot
from serve.studio.posing import clues, command, formula, posed, proved_again, reworded, sampled
from serve.studio.puzzle import puzzle
from serve.studio.studio import Studio
from serve.studio.words import Words

LOOK_S = 0.1
"""Between two looks at how the tries go."""


def register(studio: Studio) -> None:
    """Put the page on its path."""

    @ui.page("/ask")
    async def show(request: Request) -> None:
        with frame(request, studio, "ask") as words:
            await _Ask(studio, words, Address.of(request.query_params)).show()


class _Ask:
    """One open page: knobs and the log at the left, question and proof in the middle, the drawing and the evidence at the right."""

    def __init__(self, studio: Studio, words: Words, address: Address) -> None:
        self.studio, self.words, self.address = studio, words, address
        self.tries: deque[Try] = deque()
        self.question: Question | None = None
        self.shown = False
        self.one_at_a_time = asyncio.Lock()

    async def show(self) -> None:
        """The page first, then what takes time."""
        with ui.element("div").classes("ask-grid"):
            with ui.column().classes("studio-panel"):
                self._form()
                ui.label(self.words("ask.log")).classes("explore-phrase")
                self.log = ui.column().classes("ask-log explore-list").props("role=log aria-live=polite")
            with ui.column().classes("ask-main"):
                self.middle = ui.column().classes("w-full")
                self.busy = ui.spinner(size="lg").classes("self-center")
            with ui.column().classes("ask-main"):
                with ui.column().classes("studio-panel w-full ask-canvas"):
                    self.canvas = Canvas(self.words("explore.canvas"), self._picked)
                self.right = ui.column().classes("w-full")
        await ui.context.client.connected()
        ui.run_javascript(BACK)
        ui.timer(LOOK_S, self._tell_tries)
        await self._ask()

    def _form(self) -> None:
        words, address = self.words, self.address
        self.seed = ui.input(words("explore.seed"), value=address.seed).props("outlined dense")
        self.seed.on("keydown.enter", self._go)
        self.strategy = self._choice("strategy", "explore")
        with ui.row(wrap=False).classes("explore-row"):
            self.nodes = self._number("nodes", "explore")
            self.draw = ui.number(words("explore.draw"), value=max(0, address.draw), min=0, precision=0).props("outlined dense")
        self.paradigm = self._choice("paradigm", "ask")
        with ui.row(wrap=False).classes("explore-row"):
            self.difficulty = self._choice("difficulty", "ask")
            self.hops = self._number("hops", "ask")
        ui.button(words("ask.ask"), on_click=self._go).props("unelevated no-caps color=accent")
        ui.button(words("ask.another"), on_click=self._another).props("outline no-caps")

    def _choice(self, name: str, page: str) -> ui.select:
        choice = ui.select(list(CHOICES[name]), value=getattr(self.address, name), label=self.words(f"{page}.{name}"))
        return choice.props("outlined dense")

    def _number(self, name: str, page: str) -> ui.number:
        least, most = BOUNDS[name]
        field = ui.number(self.words(f"{page}.{name}"), value=getattr(self.address, name), min=least, max=most, precision=0)
        return field.props("outlined dense")

    @property
    def graph(self) -> Graph:
        """At once, after `Studio.read_graph`."""
        return self.studio.graph()

    async def _another(self) -> None:
        self.draw.value = int(self.draw.value or 0) + 1
        await self._go()

    async def _go(self) -> None:
        """What the knobs say."""
        knobs: dict[str, Any] = {name: int(getattr(self, name).value or 0) for name in ("nodes", "draw", "hops")}
        knobs |= {name: getattr(self, name).value for name in ("strategy", "paradigm", "difficulty")}
        self.address = self.address.changed(**knobs, seed=(self.seed.value or "").strip())
        ui.navigate.history.push(self.address.url("ask"))
        with noted():
            await self._ask()

    async def _ask(self) -> None:
        """Subgraph, question and all about it, as the address says."""
        async with self.one_at_a_time:
            for part in (self.log, self.middle, self.right):
                part.clear()
            self.tries.clear()
            self.canvas.clear()
            self.question, self.shown = None, False
            self.busy.set_visibility(True)
            try:
                await self.studio.read_graph()
                if self.address.seed:
                    await self._make()
                else:
                    with self.middle, ui.column().classes("studio-panel w-full"):
                        ui.label(self.words("ask.begin"))
                        ui.link(self.words("ask.to_explore"), "/explore")
            finally:
                self.busy.set_visibility(False)

    async def _make(self) -> None:
        address = self.address.changed(draw=max(0, self.address.draw))
        shared = self.studio.shared_graph()
        subgraph = await asyncio.to_thread(sampled, shared, address)
        self._say_drawn(subgraph)
        made = await asyncio.to_thread(posed, shared, address, subgraph, self.tries.append) if isinstance(subgraph, Subgraph) else subgraph
        self._tell_tries()
        if isinstance(made, Ending):
            with self.middle, ui.column().classes("studio-panel w-full"):
                ui.label(self.words("ask.none")).classes("studio-title")
                ui.label(f"{made.cause}: {made.detail}").classes("studio-error").props("role=alert")
            return
        self.question = made
        self._tell(made)
        await self._draw()

    def _say_drawn(self, subgraph: Subgraph | Ending) -> None:
        if isinstance(subgraph, Subgraph):
            with self.log:
                ui.label(self.words("ask.drawn", strategy=subgraph.strategy, count=len(subgraph.nodes))).classes("studio-soft")
                ui.link(self.words("ask.see"), self.address.url("explore", draw=max(0, self.address.draw)))

    def _tell_tries(self) -> None:
        """What the thread that asks has left since the last look."""
        with self.log:
            while self.tries:
                tried = self.tries.popleft()
                said = self.words("ask.proved") if tried.ended is None else str(tried.ended)
                ui.label(f"{tried.paradigm.value}: {said}").classes(f"studio-code {'good' if tried.ended is None else 'bad'}")

    def _tell(self, question: Question) -> None:
        """Question, proof and path in the middle; who is hidden and the evidence at the right."""
        assert question.certificate
        with self.middle:
            with ui.column().classes("studio-panel w-full"):
                self._tell_question(question, question.certificate)
            with ui.column().classes("studio-panel w-full"):
                self._tell_proof(question, question.certificate)
        self._tell_secrets()

    def _tell_question(self, question: Question, certificate: Certificate) -> None:
        words = self.words
        prose = ui.label(question.text).classes("ask-question").props("role=heading aria-level=2")
        closed = certificate.world is World.CLOSED
        with ui.element("div").classes("ask-facts"):
            for fact in (
                question.paradigm.value,
                words("ask.hops_of", count=question.hops),
                words("ask.difficulty_of", value=f"{question.difficulty:.2f}"),
                words("ask.closed" if closed else "ask.open"),
                words("ask.candidates", count=certificate.min_candidates),
            ):
                ui.label(fact).classes("ask-fact")
        self.answer = ui.column().classes("explore-list")
        address, shared = self.address, self.studio.shared_graph()
        AuthorPanel(words, lambda endpoint: reworded(shared, address, question, endpoint), prose.set_text).show()

    def _tell_proof(self, question: Question, certificate: Certificate) -> None:
        words = self.words
        with ui.row().classes("items-center w-full"):
            ui.label(words("ask.proof")).classes("studio-title").props("role=heading aria-level=2")
            ui.space()
            ui.button(words("ask.again"), on_click=self._prove_again).props("outline no-caps")
        self.verdict = ui.column().classes("explore-list")
        ui.label(formula(question)).classes("studio-code")
        for _, rows in clues(question):
            _table([words("ask.clue"), words("ask.without")], [(clue.text, f"{clue.left:,}{'+' if clue.capped else ''}") for clue in rows])
        ui.label(words("ask.minimal", count=len(certificate.answers))).classes("studio-soft")
        with ui.expansion(words("ask.command")).props("dense").classes("w-full"):
            ui.label(command(self.address)).classes("studio-code")

    def _tell_secrets(self) -> None:
        """What gives the answer away, or a button that does."""
        question, words = self.question, self.words
        assert question and question.certificate
        for part in (self.answer, self.right):
            part.clear()
        with self.answer:
            if not self.shown:
                ui.button(words("ask.reveal"), on_click=self._reveal).props("outline no-caps").classes("self-start")
                return
            also = f" ({', '.join(question.answer_aliases)})" if question.answer_aliases else ""
            ui.label(question.answer + also).classes("ask-answer").props("role=status")
            ui.label(words("ask.path")).classes("explore-phrase")
            with ui.element("ol").classes("ask-path"):
                for step in path_in_words(question):
                    with ui.element("li"):
                        ui.label(step)
        with self.right:
            with ui.column().classes("studio-panel w-full"):
                ui.label(words("ask.hidden")).classes("studio-title").props("role=heading aria-level=2")
                for query, _ in clues(question):
                    for variable in query.variables:
                        entity = self.graph.index(variable.entity)
                        with ui.row(wrap=False).classes("explore-entity"):
                            dot(self.graph.schema, variable.kind)
                            ui.label(variable.name).classes("studio-code ask-term")
                            ui.link(self.graph.name(entity), self.address.url("explore", at=variable.entity))
            with ui.column().classes("studio-panel w-full"):
                ui.label(words("ask.evidence")).classes("studio-title").props("role=heading aria-level=2")
                _table(
                    [words("ask.fact"), words("ask.source")],
                    [self._evidence(edge.source, edge.relation, edge.target, edge.provenance) for edge in question.certificate.evidence],
                )

    def _evidence(self, source: str, relation: str, target: str, provenance: str) -> tuple[str, str]:
        graph = self.graph
        said = verb_phrase(graph.schema, relation, True, graph.name(graph.index(target)))
        return f"{graph.name(graph.index(source))} {said}", provenance

    async def _reveal(self) -> None:
        self.shown = True
        self._tell_secrets()
        await self._draw()

    async def _draw(self) -> None:
        if self.question:
            await self.canvas.draw(await asyncio.to_thread(puzzle, self.graph, self.question, self.shown))

    async def _picked(self, place: int) -> None:
        """Nothing: who is hidden stays hidden."""

    async def _prove_again(self) -> None:
        self.verdict.clear()
        with self.verdict:
            waiting = ui.spinner()
        with noted():
            assert self.question
            faults = await asyncio.to_thread(proved_again, self.question, self.graph, self.studio.config.graph)
            with self.verdict:
                for fault in faults:
                    ui.label(f"{fault.rule}: {fault.detail}").classes("studio-error").props("role=alert")
                if not faults:
                    ui.label(self.words("ask.holds")).classes("ask-good").props("role=status")
        waiting.delete()


def _table(heads: list[str], rows: list[tuple[str, str]]) -> None:
    """Two columns; numbers stand at the right."""
    with ui.element("table").classes("ask-table"):
        with ui.element("thead"), ui.element("tr"):
            for head in heads:
                with ui.element("th").classes("number" if head != heads[0] else ""):
                    ui.label(head)
        with ui.element("tbody"):
            for text, value in rows:
                with ui.element("tr"):
                    with ui.element("td"):
                        ui.label(text)
                    with ui.element("td").classes("number"):
                        ui.label(value)
