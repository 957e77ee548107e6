"""Where somebody writes what the page Data shows as a data set of its own, and takes its files home."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlencode

from nicegui import ui

from engine.errors import InputError
from engine.storage import Storage
from serve.runs.export import HUMAN, Order, Written, downloads, export_selection
from serve.runs.opened import OpenRun
from serve.runs.sets import QuestionSelection
from serve.studio.frame import noted
from serve.studio.library import Library
from serve.studio.pages.data_view import counts_in_words
from serve.studio.studio import Studio
from serve.studio.words import Words


class ExportPanel:
    """A form, and the files of what it wrote."""

    def __init__(
        self, words: Words, studio: Studio, library: Library, run: OpenRun, names: Sequence[str], selection: QuestionSelection
    ) -> None:
        self._words, self._studio, self._library, self._run = words, studio, library, run
        self._names, self._selection = [name for name in names if name != run.name], selection

    def show(self) -> None:
        """Build it; the files of the run's own export stand below."""
        words = self._words
        ui.label(words("data.export_title")).classes("studio-title").props("role=heading aria-level=2")
        ui.label(words("data.export_told")).classes("studio-soft")
        with ui.row().classes("data-form"):
            self._name = ui.input(words("data.export_name"), value=f"{self._run.name.replace('/', '-')}-selection")
            self._name.props("dense outlined maxlength=100").classes("data-field")
            self._others = ui.select(self._names, multiple=True, label=words("data.export_others")).props(
                "dense outlined options-dense use-chips"
            )
            self._others.classes("data-field")
            told = {each: words(f"data.human_{each or 'all'}") for each in HUMAN}
            self._human = (
                ui.select(told, value="", label=words("data.export_human")).props("dense outlined options-dense").classes("data-field")
            )
            self._valid, self._test = (self._share(part) for part in ("valid", "test"))
            self._button = ui.button(words("data.export_do"), on_click=self._write).props("no-caps unelevated")
        self._files = ui.column().classes("data-panel-body").props("data-test=files")
        self._list(self._run, None)

    def _share(self, part: str) -> ui.number:
        field = ui.number(self._words(f"data.export_{part}"), value=0, min=0, max=90, step=5, precision=0, suffix="%")
        return field.props("dense outlined").classes("data-share")

    async def _write(self) -> None:
        self._button.disable()
        with noted():
            name = (self._name.value or "").strip()
            target = Storage(str(self._studio.workspace.place(name)))
            valid, test = ((field.value or 0) / 100 for field in (self._valid, self._test))
            order = Order(selection=self._selection, human=str(self._human.value), valid=valid, test=test)
            if order.valid + order.test >= 1:
                raise InputError("valid and test", "take all of it", "leave some of the questions for training")
            others = [await asyncio.to_thread(self._library.open, other) for other in self._others.value or []]
            self._files.clear()
            with self._files:
                ui.spinner(size="md")
            written = await asyncio.to_thread(export_selection, [self._run, *others], order, target, name)
            self._list(await asyncio.to_thread(self._library.open, name), written)
        self._button.enable()

    def _list(self, run: OpenRun, written: Written | None) -> None:
        words = self._words
        self._files.clear()
        with self._files:
            if written:
                counts = {"rows": f"{written.rows:,}", "questions": f"{written.questions:,}"}
                told = words("data.written", name=run.name, dropped=counts_in_words(words, written.dropped), **counts)
                ui.label(told).props("role=status data-test=written")
                ui.link(words("data.written_open"), f"/data?{urlencode({'run': run.name})}")
            found = downloads(run)
            if found:
                ui.label(words("data.files_of", name=run.name)).classes("studio-title").props("role=heading aria-level=2")
            for file, size in sorted(found.items()):
                with ui.row().classes("data-file"):
                    ui.link(file, f"/download?{urlencode({'run': run.name, 'file': file})}")
                    ui.label(words("data.kilobytes", size=f"{max(1, size // 1024):,}")).classes("studio-soft")
