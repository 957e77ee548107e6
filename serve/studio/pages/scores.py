"""Scores: all evaluations, one of them, two side by side, learning curves, and a model asked live. What is shown stands in the address:

`/scores` · `?name=EVALUATION` · `?name=EVALUATION&with=ANOTHER` · `?training=RUN` · `?tour=RUN`
"""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlencode

from fastapi import Request
from nicegui import ui

from serve.evals.report import percent
from serve.runs.learning import read_curves, read_tour
from serve.studio.frame import frame
from serve.studio.live_ask import Asker
from serve.studio.pages.score_ask import AskPanel
from serve.studio.pages.score_learning import show_curves, show_tour
from serve.studio.pages.score_pair import show_pair
from serve.studio.pages.score_view import show_evaluation
from serve.studio.scoring import Evaluation, evaluations, training, trainings
from serve.studio.studio import Studio
from serve.studio.words import Words
from serve.studio.workspace import RunKind


def register(studio: Studio) -> None:
    """Put the page on its path."""
    asker = Asker(studio)

    @ui.page("/scores")
    async def show(request: Request) -> None:
        query = dict(request.query_params)
        with frame(request, studio, "scores") as words:
            await ScoresPage(words, studio, asker).show(query)


class ScoresPage:
    """What the address asks for."""

    def __init__(self, words: Words, studio: Studio, asker: Asker) -> None:
        self._words, self._studio, self._workspace, self._asker = words, studio, studio.workspace, asker

    async def show(self, query: dict[str, str]) -> None:
        """Build it.

        Raises:
            UserError: a name is none.
        """
        words, workspace = self._words, self._workspace
        if "training" in query:
            folder = training(workspace, query["training"])
            show_curves(words, query["training"], await asyncio.to_thread(read_curves, folder))
        elif "tour" in query:
            folder = workspace.open(query["tour"]).path
            curves = {part: await asyncio.to_thread(read_curves, folder / part) for part in ("sft", "grpo")}
            show_tour(words, query["tour"], await asyncio.to_thread(read_tour, folder), curves)
        elif "with" in query:
            await show_pair(words, workspace.open(query.get("name", "")), workspace.open(query["with"]))
        elif "name" in query:
            await self._show_one(query["name"])
        else:
            await self._show_all(query.get("question", ""))

    async def _show_one(self, name: str) -> None:
        """An evaluation; a tour or a training where the name is of one."""
        run = self._workspace.open(name)
        if run.kind is RunKind.TOUR:
            await self.show({"tour": name})
        elif run.kind is RunKind.EVALUATION:
            others = [each.name for each in await asyncio.to_thread(evaluations, self._workspace) if each.name != name]
            await show_evaluation(self._words, run, others)
        else:
            await self.show({"training": name})

    async def _show_all(self, question: str) -> None:
        found = await asyncio.to_thread(evaluations, self._workspace)
        tours = [run.name for run in self._workspace.runs() if run.kind is RunKind.TOUR]
        self._list(found)
        with ui.element("div").classes("scores-columns"):
            AskPanel(self._words, self._studio, self._asker, question).show()
            self._learning(tours, await asyncio.to_thread(trainings, self._workspace))

    def _list(self, found: list[Evaluation]) -> None:
        words = self._words
        columns = [
            {"name": name, "label": words(f"scores.{name}"), "field": name, "align": side, "sortable": True}
            for name, side in (
                ("name", "left"), ("title", "left"), ("model", "left"), ("pass1", "right"), ("interval", "right"),
                ("questions", "right"), ("rollouts", "right"), ("when", "left"),
            )
        ]  # fmt: skip
        with ui.column().classes("studio-panel"):
            with ui.row().classes("items-center"):
                ui.label(words("scores.evaluations")).classes("studio-title")
                ui.space()
                compare = ui.button(words("scores.compare")).props("outline no-caps")
            rows = [_line(each) for each in found]
            table = ui.table(columns=columns, rows=rows, row_key="name", selection="multiple", pagination=12)
            table.props("flat dense hide-selected-banner").classes("run-table")
            table.add_slot("body-cell-name", '<q-td :props="props"><a :href="props.row.link">{{ props.value }}</a></q-td>')
            table.add_slot("no-data", f"<span>{words('scores.none')}</span>")
            compare.on_click(lambda: self._compare(table))
            compare.bind_enabled_from(table, "selected", lambda chosen: len(chosen) == 2)
            ui.label(words("scores.choose_two")).classes("studio-soft")

    def _compare(self, table: ui.table) -> None:
        """The older one first: the other is told against it."""
        names = [row["name"] for row in table.rows if row["name"] in {chosen["name"] for chosen in table.selected}]
        if len(names) == 2:
            ui.navigate.to(f"/scores?{urlencode({'name': names[1], 'with': names[0]})}")

    def _learning(self, tours: list[str], found: list[str]) -> None:
        words = self._words
        with ui.column().classes("studio-panel"):
            ui.label(words("scores.learning")).classes("studio-title")
            if not tours and not found:
                ui.label(words("scores.no_training")).classes("studio-soft")
            with ui.row().classes("scores-links"):
                for name in tours:
                    ui.link(words("scores.tour_of", name=name), f"/scores?{urlencode({'tour': name})}")
                for name in found:
                    ui.link(name, f"/scores?{urlencode({'training': name})}")


def _line(each: Evaluation) -> dict[str, object]:
    found = each.score["accuracy"]
    known = bool(found) and found["low"] is not None
    return {
        "name": each.name,
        "link": f"/scores?{urlencode({'name': each.name})}",
        "title": each.title,
        "model": each.model[:60],
        "pass1": percent(found["value"]) if found else "–",
        "interval": f"{percent(found['low'])} – {percent(found['high'])}" if known else "–",
        "questions": f"{each.score['questions']:,}",
        "rollouts": f"{each.score['rollouts']:,}",
        "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(each.modified)),
    }
