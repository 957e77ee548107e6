"""Read: the trajectories of a run as conversations, one after another, filtered, and marked by people (`/read?run=…&row=…`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
from fastapi import Request
from nicegui import ui
from nicegui.events import KeyEventArguments

from serve.runs.opened import OpenRun
from serve.runs.selection import MARKS, Selection, choose, line_at, options
from serve.studio.frame import frame, noted
from serve.studio.library import Library, library
from serve.studio.pages.read_view import MarkPanel, show_conversation, show_proof, show_verdict
from serve.studio.studio import Studio
from serve.studio.words import Words, table

FIRST_S, MORE_S = 0.4, 2.5
"""Reading of an index before the page shows what there is, and of each later step: what is found is sorted and counted anew each time."""
NEXT, BACK = ("j", "ArrowRight"), ("k", "ArrowLeft")
CONDITIONS = ("outcome", "fate", "stop", "tool", "hops", "faults", "paradigm", "guidance", "tag", "mark")
"""Of a selection, in the order of the page; each with what it can be set to."""


def register(studio: Studio) -> None:
    """Put the page on its path."""

    @ui.page("/read")
    async def show(request: Request) -> None:
        with frame(request, studio, "read") as words:
            await ReadPage(words, library(studio.workspace.root), dict(request.query_params)).show()


class ReadPage:
    """One reader's place in one run. All of it stands in the address."""

    def __init__(self, words: Words, runs: Library, query: dict[str, str]) -> None:
        self._words, self._library = words, runs
        self._name, self._row, self._reviewer = query.get("run", ""), query.get("row", ""), query.get("reviewer", "")[:60]
        self._selection = Selection.of(query)
        self._table: pa.Table = pa.table({})
        self._places = np.zeros(0, np.int64)
        self._turn = 0

    async def show(self) -> None:
        """Build the page, then read."""
        names = await asyncio.to_thread(self._library.readable)
        if not names:
            ui.label(self._words("read.no_runs")).classes("studio-soft").props("data-test=empty")
            return
        self._name = self._name or names[0]
        self._run: OpenRun = await asyncio.to_thread(self._library.open, self._name)
        self._build(names)
        ui.keyboard(self._key, ignore=["input", "select", "textarea"])
        await ui.context.client.connected()
        await self._read()
        self._follow = ui.timer(FIRST_S, self._read, active=not self._run.rows.is_whole)

    def _build(self, names: list[str]) -> None:
        words = self._words
        with ui.column().classes("studio-panel read-bar"):
            with ui.row().classes("read-line items-center"):
                known = names if self._name in names else [self._name, *names]
                ui.select(known, value=self._name, label=words("read.run"), on_change=lambda event: self._leave(event.value)).props(
                    "dense outlined options-dense"
                ).classes("read-run")
                ui.input(words("read.search"), value=self._selection.text, on_change=lambda event: self._ask("text", event.value)).props(
                    "dense outlined clearable debounce=300"
                ).classes("read-search")
                self._count = ui.label().classes("studio-soft read-count").props("role=status data-test=count")
            self._filters = ui.row().classes("read-filters")
            self._damaged = ui.label().classes("studio-error").props("role=alert")
            self._damaged.set_visibility(False)
        with ui.element("div").classes("read-columns"):
            with ui.column().classes("studio-panel read-main"):
                self._heading()
                self._conversation = ui.column().classes("read-conversation").props("data-test=conversation")
            with ui.column().classes("read-side"):
                self._marking = MarkPanel(words, self._run.marks, self._reviewer, self._named, self._said)
                self._verdict = ui.column().classes("studio-panel read-verdict").props("data-test=verdict")
                self._proof = ui.column().classes("studio-panel read-proof").props("data-test=proof")

    def _heading(self) -> None:
        with ui.row().classes("read-heading items-center"):
            self._back = self._button("chevron_left", "read.back", -1)
            self._position = ui.label().classes("read-position").props("data-test=position")
            self._next = self._button("chevron_right", "read.next", 1)
            ui.label(self._words("read.keys")).classes("studio-soft")
            ui.space()
            self._id = ui.label().classes("studio-soft read-id")

    def _button(self, icon: str, key: str, by: int) -> ui.button:
        return ui.button(icon=icon, on_click=lambda: self._step(by)).props(f'flat dense aria-label="{self._words(key)}"')

    async def _read(self) -> None:
        """What the run has now; while more is to come, this is called again."""
        before = len(self._table)
        self._table = await asyncio.to_thread(self._run.rows_told, MORE_S if before else FIRST_S)
        if hasattr(self, "_follow"):
            self._follow.active = not self._run.rows.is_whole
        if len(self._table) != before or not before:
            self._filter_row()
        damaged = self._run.rows.damaged
        self._damaged.text = self._words("read.damaged", count=len(damaged), name=damaged[0]) if damaged else ""
        self._damaged.set_visibility(bool(damaged))
        await self._choose()

    def _filter_row(self) -> None:
        self._filters.clear()
        found = options(self._table)
        found["mark"] = dict.fromkeys(MARKS, -1)
        with self._filters:
            for name in CONDITIONS:
                chosen = getattr(self._selection, name)
                if len(found.get(name, {})) > 1 or chosen:
                    self._condition(name, found.get(name, {}), chosen)

    def _condition(self, name: str, found: dict[str, int], chosen: str) -> None:
        told = {value: self._told(name, value) + (f" ({count:,})" if count >= 0 else "") for value, count in found.items()}
        told |= {chosen: chosen} if chosen and chosen not in told else {}
        box = ui.select(told, value=chosen or None, label=self._words(f"read.{name}"), clearable=True)
        box.on_value_change(lambda event: self._ask(name, event.value))
        box.props("dense outlined options-dense").classes("read-condition")

    def _told(self, name: str, value: str) -> str:
        """What is ours in words; names of tools, tags and causes as they are."""
        return self._words(f"read.{name}_{value}") if f"read.{name}_{value}" in table() else value.replace("_", " ")

    async def _ask(self, name: str, value: str | None) -> None:
        self._selection = replace(self._selection, **{name: (value or "").strip()})
        await self._choose()

    async def _choose(self) -> None:
        """Find the lines that are meant; stay with the one that is shown if it is among them."""
        with noted():
            marked = await asyncio.to_thread(self._run.marks.read)
            self._places = await asyncio.to_thread(choose, self._table, self._selection, marked)
        total, found = len(self._table), len(self._places)
        key = "read.count" if self._run.rows.is_whole else "read.count_so_far"
        self._count.text = self._words(key, found=f"{found:,}", total=f"{total:,}")
        shown = self._at()
        place = shown if shown is not None else 0
        await self._show(place)

    def _at(self) -> int | None:
        """Where the trajectory that is shown stands among those that are meant."""
        if not self._row or not len(self._places):
            return None
        ids = self._table["id"].take(pa.array(self._places))
        place: int = ids.index(self._row).as_py()
        return place if place >= 0 else None

    async def _step(self, by: int) -> None:
        at = self._at()
        await self._show(min(max((at if at is not None else 0) + by, 0), len(self._places) - 1))

    async def _show(self, place: int) -> None:
        """The trajectory at a place among those that are meant."""
        self._turn = turn = self._turn + 1
        found = len(self._places)
        self._position.text = self._words("read.position", place=f"{min(place + 1, found):,}", found=f"{found:,}")
        self._back.enabled, self._next.enabled = place > 0, place + 1 < found
        if not found:
            self._row = ""
            self._empty()
            return
        line = line_at(self._table, int(self._places[place]))
        same, self._row = line["id"] == self._row and bool(self._id.text), line["id"]
        self._address()
        if same:
            return
        with noted():
            trajectory = await asyncio.to_thread(self._run.rows.trajectory, self._row)
            if turn != self._turn:
                return
            self._id.text = self._row[:12]
            ui.run_javascript("window.scrollTo(0, 0)")
            self._fill(self._conversation, lambda: show_conversation(self._words, trajectory))
            self._marking.show(self._row)
            self._fill(self._proof, lambda: ui.spinner(size="sm"))
            self._fill(self._verdict, lambda: show_verdict(self._words, trajectory, line, None))
            question = await asyncio.to_thread(self._run.questions.question, trajectory.question_id)
            if turn != self._turn:
                return
            self._fill(self._verdict, lambda: show_verdict(self._words, trajectory, line, question))
            self._fill(self._proof, lambda: show_proof(self._words, trajectory, question))

    def _empty(self) -> None:
        self._id.text = ""
        self._address()
        self._fill(self._conversation, lambda: ui.label(self._words("read.none")).classes("studio-soft"))
        self._marking.show("")
        for panel in (self._verdict, self._proof):
            panel.clear()

    @staticmethod
    def _fill(panel: ui.column, content: Callable[[], object]) -> None:
        panel.clear()
        with panel:
            content()

    async def _key(self, event: KeyEventArguments) -> None:
        if not event.action.keydown or event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta:
            return
        if event.key.name in NEXT:
            await self._step(1)
        elif event.key.name in BACK:
            await self._step(-1)

    def _named(self, reviewer: str) -> None:
        self._reviewer = reviewer
        self._address()

    async def _said(self) -> None:
        """A mark was made. Where marks are what is filtered by, the trajectory stays in sight until the next step."""
        if not self._selection.mark:
            await self._choose()

    def _address(self) -> None:
        query = {"run": self._name, "row": self._row, "reviewer": self._reviewer, **self._selection.query()}
        ui.navigate.history.replace(f"/read?{urlencode({key: value for key, value in query.items() if value})}")

    def _leave(self, name: str) -> None:
        kept = {"run": name, "reviewer": self._reviewer, **self._selection.query()}
        ui.navigate.to(f"/read?{urlencode({key: value for key, value in kept.items() if value})}")
