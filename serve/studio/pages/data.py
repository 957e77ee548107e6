"""Data: the questions of a run as a table, in figures, beside another set, and as an export (`/data?run=…&view=…`)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
from fastapi import Request
from fastapi.responses import FileResponse, PlainTextResponse, Response
from nicegui import app, ui
from nicegui.events import GenericEventArguments

from engine.errors import UserError
from samplers.questions.difficulty import BANDS
from serve.runs.export import download
from serve.runs.figures import options
from serve.runs.opened import OpenRun
from serve.runs.selection import MARKS
from serve.runs.sets import SOLVED, SORTS, QuestionSelection, choose_questions, in_order
from serve.studio.frame import frame, noted
from serve.studio.library import Library, library
from serve.studio.pages.data_export import ExportPanel
from serve.studio.pages.data_tags import TagPanel
from serve.studio.pages.data_view import ComparePanel, FiguresPanel, LeakagePanel
from serve.studio.studio import Studio
from serve.studio.words import Words
from serve.studio.words import table as all_words

VIEWS = ("table", "figures", "compare", "leakage", "export")
CONDITIONS = ("paradigm", "kind", "hops", "difficulty", "tag", "solved", "rows", "mark")
"""Of a selection, in the order of the page."""
PER_PAGE = 20
FIRST_S, MORE_S = 0.4, 2.5
"""Reading of trajectories before the page shows what there is, and of each later step."""
NUMBERS = ("hops", "difficulty", "rollouts", "right", "kept")


def register(studio: Studio) -> None:
    """Put the page, and the way to the files of exports, on their paths."""

    @ui.page("/data")
    async def show(request: Request) -> None:
        with frame(request, studio, "data") as words:
            await DataPage(words, studio, dict(request.query_params)).show()

    @app.get("/download")
    def send(run: str, file: str) -> Response:
        """A file of an export, and nothing else."""
        try:
            path = download(library(studio.workspace.root).open(run), file)
        except UserError as error:
            return PlainTextResponse(f"{error}\n", 404)
        return FileResponse(path, filename=f"{run}-{file}".replace("/", "-"), media_type="application/octet-stream")


class DataPage:
    """What somebody looks at in one run. All of it stands in the address."""

    def __init__(self, words: Words, studio: Studio, query: dict[str, str]) -> None:
        self._words, self._studio = words, studio
        self._library: Library = library(studio.workspace.root)
        self._name, self._other = query.get("run", ""), query.get("other", "")
        self._view = query["view"] if query.get("view") in VIEWS else VIEWS[0]
        self._sort, self._down = (query["sort"] if query.get("sort") in SORTS else "id"), query.get("down") == "1"
        self._page = max(1, int(query["page"])) if query.get("page", "").isdecimal() and len(query["page"]) < 8 else 1
        self._selection = QuestionSelection.of(query)
        self._table: pa.Table = pa.table({})
        self._places = np.zeros(0, np.int64)

    async def show(self) -> None:
        """Build the page, then read."""
        names = await asyncio.to_thread(self._library.browsable)
        if not names:
            ui.label(self._words("data.no_runs")).classes("studio-soft").props("data-test=empty")
            return
        self._name = self._name or names[0]
        self._run: OpenRun = await asyncio.to_thread(self._library.open, self._name)
        self._names = names
        self._bar()
        self._panel = ui.column().classes("studio-panel data-panel").props("data-test=panel")
        with self._panel:
            ui.spinner(size="md")
        await ui.context.client.connected()
        await self._read(FIRST_S)
        self._follow = ui.timer(FIRST_S, lambda: self._read(MORE_S), active=not self._run.rows.is_whole)

    async def _read(self, seconds: float) -> None:
        """What the run has; while more is to come, this is called again."""
        with noted():
            self._table = await asyncio.to_thread(self._run.told, seconds)
            self._filter_row()
            await self.refresh()
            if hasattr(self, "_follow"):
                self._follow.active = not self._run.rows.is_whole

    def _bar(self) -> None:
        words = self._words
        with ui.column().classes("studio-panel read-bar"):
            with ui.row().classes("read-line items-center"):
                known = self._names if self._name in self._names else [self._name, *self._names]
                chosen = ui.select(known, value=self._name, label=words("data.run"), on_change=lambda event: self._leave(event.value))
                chosen.props("dense outlined options-dense").classes("read-run")
                text = ui.input(words("data.search"), value=self._selection.text, on_change=lambda event: self._ask("text", event.value))
                text.props("dense outlined clearable debounce=300").classes("read-search")
                self._count = ui.label().classes("studio-soft read-count").props("role=status data-test=count")
            self._filters = ui.row().classes("read-filters")
            with ui.tabs(on_change=lambda event: self._turn(event.value)).props("dense align=left no-caps").classes("data-tabs") as tabs:
                found = {view: ui.tab(view, words(f"data.view_{view}")) for view in VIEWS}
            tabs.set_value(found[self._view])

    def _filter_row(self) -> None:
        found = options(self._table)
        found |= {"difficulty": dict.fromkeys([band for band in BANDS if band != "any"], -1), "mark": dict.fromkeys(MARKS, -1)}
        found |= {"solved": dict.fromkeys(SOLVED, -1), "rows": {"some": -1, "none": -1}}
        self._filters.clear()
        with self._filters:
            for name in CONDITIONS:
                chosen = getattr(self._selection, name)
                told = {value: self._told(name, value) + (f" ({count:,})" if count >= 0 else "") for value, count in found[name].items()}
                told |= {chosen: chosen} if chosen and chosen not in told else {}
                box = ui.select(told, value=chosen or None, label=self._words(f"data.{name}"), clearable=True)
                box.on_value_change(lambda event, name=name: self._ask(name, event.value))
                box.props("dense outlined options-dense").classes("read-condition")

    def _told(self, name: str, value: str) -> str:
        """What is ours in words; names of kinds, tags and paradigms as they are."""
        key = f"read.mark_{value}" if name == "mark" else f"data.{name}_{value}"
        return self._words(key) if key in all_words() else value

    async def _ask(self, name: str, value: str | None) -> None:
        self._selection, self._page = replace(self._selection, **{name: (value or "").strip()}), 1
        await self.refresh()

    async def _turn(self, view: str) -> None:
        if view != self._view:
            self._view = view
            await self.refresh()

    async def refresh(self, reread: bool = False) -> None:
        """Choose the questions that are meant, and show the view again. `reread`: tags or marks are others now."""
        with noted():
            if reread:
                self._table = await asyncio.to_thread(self._run.told, FIRST_S)
            self._places = await asyncio.to_thread(self._choose)
        found, total = len(self._places), len(self._table)
        key = "data.count" if self._run.rows.is_whole else "data.count_so_far"
        self._count.text = self._words(key, found=f"{found:,}", total=f"{total:,}")
        self._address()
        self._panel.clear()
        with self._panel, noted():
            await self._draw()

    def _choose(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        rows, marked = self._run.rows.now, self._run.marks.read()
        places = choose_questions(self._table, self._selection, marked, rows)
        return in_order(self._table, places, self._sort, self._down)

    async def _draw(self) -> None:
        words = self._words
        if self._view == "table":
            self._questions()
            TagPanel(words, self._run, self._selection, len(self._places), self.refresh).show()
        elif self._view == "figures":
            await FiguresPanel(words, self._run).show(self._table, self._places)
        elif self._view == "compare":
            panel = ComparePanel(words, self._library, self._run, self._names, self._other, self._beside)
            await panel.show(self._table.take(pa.array(self._places)))
        elif self._view == "leakage":
            await LeakagePanel(words, self._studio, self._run).show(self._table.take(pa.array(self._places)))
        else:
            ExportPanel(words, self._studio, self._library, self._run, self._names, self._selection).show()

    def _questions(self) -> None:
        columns = [
            {"name": name, "label": self._words(f"data.column_{name}"), "field": name, "sortable": name in SORTS}
            | ({"align": "right"} if name in NUMBERS else {"align": "left"})
            for name in ("question", "answer", "paradigm", *NUMBERS, "tags")
        ]
        first = (min(self._page, 1 + max(0, len(self._places) - 1) // PER_PAGE) - 1) * PER_PAGE
        lines = self._table.take(pa.array(self._places[first : first + PER_PAGE])).to_pylist() if len(self._places) else []
        place: dict[str, object] = {"page": first // PER_PAGE + 1, "rowsPerPage": PER_PAGE, "rowsNumber": len(self._places)}
        place |= {"sortBy": self._sort, "descending": self._down}
        table = ui.table(columns=columns, rows=[self._line(line) for line in lines], row_key="id", pagination=place)
        table.props("flat dense binary-state-sort wrap-cells").classes("data-table")
        table.props["rows-per-page-options"] = [PER_PAGE]
        table.add_slot("body-cell-question", '<q-td :props="props"><a :href="props.row.link">{{ props.value }}</a></q-td>')
        table.add_slot("no-data", f"<span>{self._words('data.none')}</span>")
        table.on("request", self._requested)

    def _line(self, line: dict[str, object]) -> dict[str, object]:
        link = f"/read?{urlencode({'run': self._name, 'text': str(line['id'])})}"
        told = {name: line[name] for name in ("id", "question", "answer", "paradigm", "hops", "rollouts", "right", "kept")}
        tags = line["tags"] if isinstance(line["tags"], list) else []
        difficulty = f"{line['difficulty']:.2f}" if line["difficulty"] is not None else "–"
        return told | {"difficulty": difficulty, "tags": ", ".join(map(str, tags)), "link": link}

    async def _requested(self, event: GenericEventArguments) -> None:
        asked = event.args["pagination"]
        sort = asked.get("sortBy")
        self._sort, self._down = (sort if sort in SORTS else "id"), bool(asked.get("descending"))
        self._page = max(1, int(asked.get("page") or 1))
        await self.refresh()

    def _beside(self, other: str) -> None:
        self._other = other
        self._address()

    def _address(self) -> None:
        ui.navigate.history.replace(self._url(self._name))

    def _leave(self, name: str) -> None:
        ui.navigate.to(self._url(name))

    def _url(self, name: str) -> str:
        query = {"run": name, "view": self._view if self._view != VIEWS[0] else "", **self._selection.query()}
        if name == self._name:
            place = {"sort": self._sort if self._sort != "id" else "", "down": "1" if self._down else "", "page": str(self._page)}
            query |= {"other": self._other} | (place if self._view == "table" else {})
        return f"/data?{urlencode({key: value for key, value in query.items() if value and (key, value) != ('page', '1')})}"
