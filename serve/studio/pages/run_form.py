"""The form that starts a run, and the command it comes to."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlencode

from nicegui import events, ui

from engine.errors import InputError
from samplers.config import QuestionConfig
from samplers.strategies import STRATEGIES
from serve.studio.frame import noted
from serve.studio.launch import start
from serve.studio.orders import Order, command, overrides_of, upload
from serve.studio.studio import Studio
from serve.studio.uploads import keep
from serve.studio.words import Words

DIFFICULTIES = ("any", "easy", "medium", "hard")
TEXTS = ("name", "model", "base_url", "key_env", "more")
WHOLE = ("max_seeds", "rollouts", "concurrency")
"""Fields that hold whole numbers."""


class RunForm:
    """Its fields are those of `Order`."""

    def __init__(self, words: Words, studio: Studio, seeds: str) -> None:
        self._words, self._studio, self._seeds, self._given = words, studio, "", seeds
        self._fields: dict[str, Any] = {}

    def show(self) -> None:
        """Build it."""
        words = self._words
        with ui.column().classes("studio-panel run-form"):
            ui.label(words("run.new")).classes("studio-title")
            self._fields["name"] = ui.input(words("run.name"), value=self._free_name()).props("dense outlined")
            self._show_seeds()
            with ui.element("div").classes("run-pair"):
                self._number("max_seeds", 1)
                self._number("rollouts", 1)
                self._choice("strategy", {name: name for name in ("mixed", *sorted(name for name in STRATEGIES if name != "mixed"))})
                paradigms = {"": words("run.any_paradigm")} | {name: name for name in QuestionConfig().paradigms}
                self._choice("paradigm", paradigms)
                self._choice("difficulty", {name: words(f"run.{name}") for name in DIFFICULTIES})
                self._number("fault_rate", 0, 0.05)
            self._show_policy()
            with ui.expansion(words("run.limits")).props("dense").classes("run-more"), ui.element("div").classes("run-pair"):
                for name in ("qps", "concurrency", "budget_usd"):
                    self._number(name, 0)
            with ui.expansion(words("run.more")).props("dense").classes("run-more"):
                self._fields["more"] = (
                    ui.textarea(words("run.more_hint"), placeholder="sampler.size=12")
                    .props("dense outlined autogrow")
                    .classes("studio-code")
                )
            with ui.row():
                self._button = ui.button(words("run.start"), on_click=self._start).props("no-caps")
                ui.button(words("run.show_command"), on_click=self._show_command).props("flat no-caps")
            self._told = ui.column().classes("run-told")

    def _show_seeds(self) -> None:
        words = self._words
        most = self._studio.config.max_upload_mb
        self._chooser = chooser = ui.upload(auto_upload=True, max_file_size=most << 20, on_upload=self._uploaded)
        chooser.props('accept=".csv,.tsv,.txt,.json,.jsonl,.parquet"').classes("run-upload")
        chooser.on("rejected", lambda: ui.notify(words("run.too_large", most=most), type="negative"))
        with ui.row().classes("items-center run-seeds"):
            self._which = ui.label().classes("studio-soft").props("data-test=seeds")
            self._clear = ui.button(words("run.all_seeds"), on_click=lambda: self._take("")).props("flat dense no-caps")
            ui.space()
            choose = ui.button(words("run.seeds_file")).props("outline dense no-caps").tooltip(words("run.seeds_kinds"))
            choose.on("click", js_handler=f"() => runMethod({chooser.id}, 'pickFiles', [])")
        self._take(self._given)

    def _show_policy(self) -> None:
        words = self._words
        who = {"scripted": words("run.scripted"), "llm": words("run.by_model")}
        self._policy = ui.toggle(who, value="scripted").props("dense no-caps unelevated")
        with ui.element("div").classes("run-pair").bind_visibility_from(self._policy, "value", value="llm"):
            self._fields["base_url"] = ui.input(words("run.base_url"), value="http://127.0.0.1:8000/v1").props("dense outlined")
            self._fields["model"] = ui.input(words("run.model"), value="default").props("dense outlined")
            self._fields["key_env"] = ui.input(words("run.key_env"), placeholder="OPENAI_API_KEY").props("dense outlined")
            self._number("usd_per_1m_input", 0)
            self._number("usd_per_1m_output", 0)

    def _number(self, name: str, least: float, step: float | None = None) -> None:
        self._fields[name] = ui.number(self._words(f"run.{name}"), min=least, step=step).props("dense outlined clearable")

    def _choice(self, name: str, options: dict[str, str]) -> None:
        field = ui.select(options, label=self._words(f"run.{name}"), value=next(iter(options)))
        self._fields[name] = field.props("dense outlined options-dense")

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        with noted():
            content = await event.file.read()
            self._take(await asyncio.to_thread(keep, self._studio.workspace, event.file.name, content))
        self._chooser.reset()

    def _take(self, name: str) -> None:
        """Use an upload, or the graph's own entities."""
        with noted():
            self._seeds = upload(self._studio.workspace, name).name if name else ""
        self._which.text = self._words("run.seeds_of_file", name=self._seeds) if self._seeds else self._words("run.seeds_of_graph")
        self._clear.set_visibility(bool(self._seeds))

    def _order(self) -> Order:
        """What the fields say.

        Raises:
            InputError: a model is wanted and not named.
        """
        values: dict[str, Any] = {name: field.value for name, field in self._fields.items()}
        for name, value in values.items():
            if isinstance(value, str):
                values[name] = value.strip()
            elif name in WHOLE and value is not None:
                values[name] = int(value)
        if self._policy.value == "scripted":
            values |= {"model": "", "base_url": "", "key_env": ""}
        elif not values["model"] or not values["base_url"]:
            raise InputError(self._words("run.model"), "has no name or no address", "give both, or let the script play")
        told: dict[str, Any] = {name: value or "" if name in TEXTS else value for name, value in values.items()}
        return Order(**told, seeds=self._seeds)

    async def _overrides(self) -> list[str]:
        self._button.props("loading")
        try:
            return await asyncio.to_thread(
                overrides_of, self._order(), self._studio.config.graph, self._studio.workspace, self._studio.compose
            )
        finally:
            self._button.props(remove="loading")

    async def _show_command(self) -> None:
        with noted():
            overrides = await self._overrides()
            self._told.clear()
            with self._told:
                show_command(self._words, command(overrides))

    async def _start(self) -> None:
        with noted():
            overrides, name = await self._overrides(), self._order().name
            folder = self._studio.workspace.place(name)
            if any(folder.glob("*")):
                raise InputError(name, "holds a run already", "open it to take it up again, or choose another name")
            await asyncio.to_thread(start, folder, overrides)
            ui.navigate.to(f"/run?{urlencode({'name': name})}")

    def _free_name(self) -> str:
        day = time.strftime("%m%d")
        number = next(number for number in range(1, 10_000) if not (self._studio.workspace.root / f"run-{day}-{number}").exists())
        return f"run-{day}-{number}"


def show_command(words: Words, text: str) -> None:
    """A command, to copy."""
    with ui.row().classes("run-command"):
        ui.label(text).classes("studio-code").props("data-test=command")
        copy = ui.button(icon="content_copy", on_click=lambda: ui.clipboard.write(text)).props("flat dense size=sm")
        copy.props(f'aria-label="{words("run.copy")}"').tooltip(words("run.copy"))
