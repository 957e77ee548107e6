"""Run: all runs, a form that starts another, and one run to watch, stop and take up again (`/run?name=…`)."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlencode

from fastapi import Request
from nicegui import ui

from serve.studio.frame import frame
from serve.studio.pages.run_form import RunForm
from serve.studio.pages.run_view import RunView
from serve.studio.studio import Studio
from serve.studio.watching import Listed, listed, opened
from serve.studio.words import Words

LIST_S = 3.0
"""Between two looks at all runs."""


def register(studio: Studio) -> None:
    """Put the page on its path."""

    @ui.page("/run")
    def show(request: Request, name: str = "", seeds: str = "") -> None:
        with frame(request, studio, "run") as words:
            if name:
                RunView(words, opened(studio.workspace, name)).show()
                return
            with ui.element("div").classes("run-columns"):
                RunForm(words, studio, seeds).show()
                RunList(words, studio).show()


class RunList:
    """All runs, the latest first."""

    def __init__(self, words: Words, studio: Studio) -> None:
        self._words, self._studio = words, studio

    def show(self) -> None:
        """Build it; it keeps itself up to date."""
        words = self._words
        columns = [
            {"name": "name", "label": words("run.name"), "field": "name", "align": "left", "sortable": True},
            {"name": "kind", "label": words("run.kind"), "field": "kind", "align": "left", "sortable": True},
            {"name": "state", "label": words("run.state"), "field": "told", "align": "left", "sortable": True},
            {"name": "rows", "label": words("run.rows"), "field": "rows", "align": "right", "sortable": True},
            {"name": "when", "label": words("run.when"), "field": "when", "align": "left", "sortable": True},
        ]
        with ui.column().classes("studio-panel run-list"):
            ui.label(words("run.all_runs")).classes("studio-title")
            self._table = ui.table(columns=columns, rows=[], row_key="name", pagination=20).props("flat dense").classes("run-table")
            self._table.add_slot("body-cell-name", '<q-td :props="props"><a :href="props.row.link">{{ props.value }}</a></q-td>')
            state = '<q-td :props="props"><span :class="`run-state run-${props.row.state}`">{{ props.value }}</span></q-td>'
            self._table.add_slot("body-cell-state", state)
            self._table.add_slot("no-data", f"<span>{words('run.no_runs')}</span>")
        ui.timer(LIST_S, self._refresh)

    async def _refresh(self) -> None:
        self._table.rows = [self._line(found) for found in await asyncio.to_thread(listed, self._studio.workspace)]

    def _line(self, found: Listed) -> dict[str, object]:
        return {
            "name": found.name,
            "link": f"/run?{urlencode({'name': found.name})}",
            "kind": self._words(f"run.kind_{found.kind.value}"),
            "state": found.state.value,
            "told": self._words(f"run.{found.state.value}"),
            "rows": "–" if found.rows is None else f"{found.rows:,}",
            "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(found.modified)),
        }
