"""The model as author: a proved question in its words, if they stand the check of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nicegui import ui

from engine.config import EndpointConfig
from engine.records import Ending
from samplers.records import Question, WordedBy
from serve.runs.reading import printable
from serve.studio.frame import noted
from serve.studio.orders import key_variable
from serve.studio.words import Words

LOCAL = "http://127.0.0.1:8000/v1"


class AuthorPanel:
    """Where the model is found, a button, and what became of its words."""

    def __init__(self, words: Words, reword: Callable[[EndpointConfig], Question | Ending], take: Callable[[str], object]) -> None:
        """`reword` runs in a thread of its own; `take` gets words that passed."""
        self._words, self._reword, self._take = words, reword, take

    def show(self) -> None:
        """Build it."""
        words = self._words
        with ui.expansion(words("ask.author")).props("dense").classes("w-full"), ui.column().classes("explore-list"):
            ui.label(words("ask.author_how")).classes("studio-soft")
            with ui.row(wrap=False).classes("explore-row"):
                self._address = ui.input(words("run.base_url"), value=LOCAL).props("outlined dense")
                self._model = ui.input(words("run.model"), value="default").props("outlined dense")
                self._key = ui.input(words("run.key_env"), placeholder="OPENAI_API_KEY").props("outlined dense")
            self._go = ui.button(words("ask.author_go"), on_click=self._run).props("outline no-caps").classes("self-start")
            self._said = ui.column().classes("explore-list").props("aria-live=polite")

    async def _run(self) -> None:
        self._said.clear()
        self._go.props("loading")
        try:
            with noted():
                address, model, key = ((field.value or "").strip() for field in (self._address, self._model, self._key))
                if key:
                    key_variable(key)
                endpoint = EndpointConfig(base_url=address, model=model, api_key_env=key or None)
                self._tell(await asyncio.to_thread(self._reword, endpoint))
        finally:
            self._go.props(remove="loading")

    def _tell(self, made: Question | Ending) -> None:
        with self._said:
            if isinstance(made, Ending):
                ui.label(printable(f"{made.cause}: {made.detail}")).classes("studio-error").props("role=alert")
            elif made.worded_by is WordedBy.LLM:
                self._take(made.text)
                ui.label(self._words("ask.author_taken")).classes("ask-good").props("role=status")
            else:
                ui.label(self._words("ask.author_kept", why=printable(made.wording_note))).props("role=status")
