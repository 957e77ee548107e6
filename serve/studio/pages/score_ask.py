"""A question, a model, and what it thinks, calls, reads and answers as it comes."""

from __future__ import annotations

import asyncio

from nicegui import background_tasks, ui

from engine.config import EndpointConfig
from engine.errors import RejectedError, TroubleError, UserError
from serve.runs.reading import printable
from serve.studio.live_ask import MOST_QUESTION, Answered, Asker
from serve.studio.studio import Studio
from serve.studio.words import Words

SHOWN = 600
"""Characters of a result that are shown at once; a click shows the rest."""


class AskPanel:
    """See `Audience`: what it is told appears below the question."""

    def __init__(self, words: Words, studio: Studio, asker: Asker, question: str) -> None:
        self._words, self._studio, self._asker, self._question = words, studio, asker, question[:MOST_QUESTION]
        self._task: asyncio.Task[None] | None = None

    def show(self) -> None:
        """Build it."""
        words = self._words
        with ui.column().classes("studio-panel scores-ask"):
            ui.label(words("scores.ask")).classes("studio-title")
            self._text = ui.textarea(words("scores.ask_question"), value=self._question).props("dense outlined autogrow")
            with ui.element("div").classes("run-pair"):
                self._address = ui.input(words("run.base_url"), value="http://127.0.0.1:8000/v1").props("dense outlined")
                self._model = ui.input(words("run.model"), value="default").props("dense outlined")
                self._key = ui.input(words("run.key_env"), placeholder="OPENAI_API_KEY").props("dense outlined")
            with ui.row().classes("items-center"):
                self._go = ui.button(words("scores.ask_go"), on_click=self._begin).props("no-caps")
                self._halt = ui.button(words("run.stop"), on_click=self._stop).props("outline no-caps color=negative")
                self._halt.set_visibility(False)
                self._busy = ui.spinner()
                self._busy.set_visibility(False)
            self._steps = ui.column().classes("scores-steps").props("data-test=steps aria-live=polite")
            self._client = ui.context.client
        self._client.on_disconnect(self._stop)

    def thinks(self, text: str) -> None:
        """See `Audience`."""
        with self._steps:
            ui.label(printable(text)).classes("scores-thought")

    def calls(self, tool: str, arguments: str) -> None:
        """See `Audience`."""
        with self._steps:
            ui.label(f"→ {tool} {printable(arguments)}").classes("studio-code scores-call")

    def reads(self, tool: str, text: str, *, failed: bool) -> None:
        """See `Audience`."""
        whole = printable(text)
        with self._steps:
            if failed:
                ui.label(whole).classes("studio-code scores-failed")
            elif len(whole) <= SHOWN:
                ui.label(whole).classes("studio-code scores-result")
            else:
                with ui.expansion(f"{whole[:SHOWN]} …").props("dense").classes("studio-code scores-result"):
                    ui.label(whole)

    def _begin(self) -> None:
        question = (self._text.value or "").strip()
        if question and self._task is None:
            self._task = background_tasks.create(self._run(question), name="ask")

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self, question: str) -> None:
        self._working(True)
        with self._client:
            self._steps.clear()
        try:
            address, model, key = ((field.value or "").strip() for field in (self._address, self._model, self._key))
            endpoint = EndpointConfig(base_url=address, model=model, api_key_env=key or None)
            await asyncio.to_thread(self._asker.prepare)
            self._end(await self._asker.ask(question, endpoint, self))
        except (UserError, TroubleError, RejectedError) as error:
            self._note(str(error), "studio-error")
        except asyncio.CancelledError:
            self._note(self._words("run.stopped"), "studio-soft")
            raise
        finally:
            self._task = None
            self._working(False)

    def _working(self, yes: bool) -> None:
        self._busy.set_visibility(yes)
        self._halt.set_visibility(yes)
        self._go.set_enabled(not yes)

    def _end(self, ended: Answered) -> None:
        self._note(ended.answer or self._words("scores.no_answer", stop=ended.stop.value), "scores-answer")
        if ended.spent.sources:
            self._note(" · ".join(ended.spent.sources), "studio-soft")
        self._note(ended.spent.told, "studio-soft")

    def _note(self, text: str, look: str) -> None:
        with self._steps:
            ui.label(printable(text)).classes(look).props("data-test=answer" if look == "scores-answer" else "")
