"""What the page Data tells of a set: figures, another set beside it, and what its parts and a benchmark share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from nicegui import ui
from nicegui.events import UploadEventArguments
from numpy.typing import NDArray

from engine.records import Rejection
from serve.guard import MEBIBYTE
from serve.runs.figures import COMPARABLE, Common, Figure, doubles, figures, in_common
from serve.runs.leakage import KINDS, Shared, contaminated, shared_between
from serve.runs.opened import OpenRun
from serve.studio.frame import noted
from serve.studio.library import Library
from serve.studio.studio import Studio
from serve.studio.words import Words, table

SHOWN = 20
"""Pairs and questions listed."""


def told_value(words: Words, figure: str, value: str) -> str:
    """A value in words where it is one of ours."""
    key = f"data.{figure}_{value}"
    return words(key) if key in table() else value.replace("_", " ")


class FiguresPanel:
    """How often each value occurs."""

    def __init__(self, words: Words, run: OpenRun) -> None:
        self._words, self._run = words, run

    async def show(self, questions: pa.Table, places: NDArray[np.int64]) -> None:
        """Of the questions at these places."""
        found = await asyncio.to_thread(_figures, self._run, questions.take(pa.array(places)) if len(places) else questions.slice(0, 0))
        if not found:
            ui.label(self._words("data.none")).classes("studio-soft")
        with ui.element("div").classes("data-figures"):
            for figure in found:
                with ui.column().classes("data-figure").props(f"data-test=figure-{figure.name}"):
                    ui.label(self._words(f"data.figure_{figure.name}")).classes("studio-title").props("role=heading aria-level=2")
                    _bars(self._words, figure)


def _figures(run: OpenRun, questions: pa.Table) -> list[Figure]:
    """Of some questions and their trajectories."""
    rows = run.rows.now
    own = rows.filter(pc.is_in(rows["question_id"], questions["id"].combine_chunks())) if len(rows) and len(questions) else rows.slice(0, 0)
    return figures(questions, own)


def _bars(words: Words, figure: Figure) -> None:
    most = max(figure.counts.values())
    with ui.element("div").classes("data-bars"):
        for value, count in figure.counts.items():
            ui.label(told_value(words, figure.name, value)).classes("data-value")
            with ui.element("div").classes("data-track"):
                ui.element("div").classes("data-bar").style(f"width:{100 * count / max(1, most):.1f}%")
            ui.label(f"{count:,}").classes("data-number")
            ui.label(share(count, figure.of)).classes("data-number studio-soft")
    if figure.more:
        ui.label(words("data.more_values", count=f"{figure.more:,}")).classes("studio-soft")


def share(count: int, of: int) -> str:
    """For people."""
    return f"{100 * count / of:.1f} %" if of else "–"


class ComparePanel:
    """Two sets side by side."""

    def __init__(
        self, words: Words, library: Library, run: OpenRun, names: Sequence[str], other: str, chosen: Callable[[str], None]
    ) -> None:
        """Args:
        chosen: told which run stands beside.
        """
        self._words, self._library, self._run, self._chosen = words, library, run, chosen
        self._names, self._other = [name for name in names if name != run.name], other

    async def show(self, questions: pa.Table) -> None:
        """`questions`: those of this run that are meant; of the other run all are."""
        self._questions = questions
        known = self._names if self._other in ("", *self._names) else [self._other, *self._names]
        box = ui.select(known, value=self._other or None, label=self._words("data.other"))
        box.on_value_change(lambda event: self._turn(event.value))
        box.props("dense outlined options-dense").classes("read-run")
        self._body = ui.column().classes("data-panel-body")
        if self._other:
            await self._turn(self._other)

    async def _turn(self, other: str) -> None:
        self._chosen(other)
        self._body.clear()
        with self._body:
            ui.spinner(size="md")
        with noted():
            beside = await asyncio.to_thread(self._library.open, other)
            told = await asyncio.to_thread(beside.told)
            own, others = await asyncio.to_thread(_figures, self._run, self._questions), await asyncio.to_thread(_figures, beside, told)
            common = await asyncio.to_thread(in_common, self._questions, told) if len(self._questions) and len(told) else None
            self._body.clear()
            with self._body:
                if common:
                    self._overlap(common, other)
                self._side_by_side(own, others, other)

    def _overlap(self, common: Common, other: str) -> None:
        near = self._words("data.not_compared", most=f"{COMPARABLE:,}") if common.near_duplicates is None else f"{common.near_duplicates:,}"
        facts = {
            "same_questions": f"{common.same_questions:,} ({share(common.same_questions, common.questions)})",
            "near_duplicates": near,
            "same_answers": f"{common.same_answers:,} ({share(common.same_answers, common.answers)})",
        }
        ui.label(self._words("data.overlap", other=other)).classes("studio-title").props("role=heading aria-level=2")
        with ui.element("dl").classes("read-facts data-overlap").props("data-test=overlap"):
            for name, text in facts.items():
                with ui.element("dt"):
                    ui.label(self._words(f"data.{name}"))
                with ui.element("dd"):
                    ui.label(text)

    def _side_by_side(self, own: Sequence[Figure], others: Sequence[Figure], other: str) -> None:
        first, second = ({figure.name: figure for figure in found} for found in (own, others))
        with ui.element("div").classes("data-figures"):
            for name in dict.fromkeys(figure.name for figure in chain(own, others)):
                one, two = first.get(name, Figure(name, {}, 0)), second.get(name, Figure(name, {}, 0))
                with ui.column().classes("data-figure").props(f"data-test=compare-{name}"):
                    ui.label(self._words(f"data.figure_{name}")).classes("studio-title").props("role=heading aria-level=2")
                    _pairs_of(self._words, (one, self._run.name), (two, other))


def _pairs_of(words: Words, one: tuple[Figure, str], two: tuple[Figure, str]) -> None:
    with ui.element("div").classes("data-bars data-two"):
        for heading in ("", one[1], two[1]):
            ui.label(heading).classes("data-heading")
        for value in dict.fromkeys([*one[0].counts, *two[0].counts]):
            ui.label(told_value(words, one[0].name, value)).classes("data-value")
            for figure, _ in (one, two):
                count = figure.counts.get(value, 0)
                ui.label(f"{count:,} · {share(count, figure.of)}").classes("data-number")


class LeakagePanel:
    """Questions that are alike, parts that share something, and a benchmark that is met."""

    def __init__(self, words: Words, studio: Studio, run: OpenRun) -> None:
        self._words, self._studio, self._run = words, studio, run

    async def show(self, questions: pa.Table) -> None:
        """Of the questions that are meant. Seconds where there are many: each answer comes up when it is there."""
        self._ids = questions["id"].to_pylist() if len(questions) else []
        words = self._words
        with ui.element("div").classes("data-leakage"):
            boxes = []
            for name in ("doubles", "parts", "benchmark"):
                with ui.column().classes("data-figure").props(f"data-test={name}"):
                    ui.label(words(f"data.{name}")).classes("studio-title").props("role=heading aria-level=2")
                    ui.label(words(f"data.{name}_told")).classes("studio-soft")
                    boxes.append(ui.column().classes("data-panel-body"))
        with boxes[2]:
            upload = ui.upload(
                label=words("data.benchmark_file"), auto_upload=True, on_upload=self._uploaded, on_rejected=self._refused,
                max_file_size=self._studio.config.max_upload_mb * MEBIBYTE,
            )  # fmt: skip
            upload.props("flat bordered").classes("data-upload").on("failed", self._refused, [])
            self._met = ui.column().classes("data-panel-body").props("data-test=met")
        if len(self._ids) > COMPARABLE:
            for box in boxes[:2]:
                with box:
                    ui.label(words("data.not_compared", most=f"{COMPARABLE:,}")).classes("studio-soft")
            return
        texts = questions["question"].to_pylist() if len(questions) else []
        alike = await asyncio.to_thread(doubles, texts)
        with boxes[0]:
            if alike:
                ui.label(words("data.doubles_count", count=f"{alike.questions:,}", share=share(alike.questions, len(texts))))
                for first, second, likeness in alike.pairs[:SHOWN]:
                    _quote(f"{likeness:.0%}", texts[first], texts[second])
        found = await asyncio.to_thread(self._shared)
        with boxes[1]:
            self._parts(found)

    def _shared(self) -> list[Shared]:
        return shared_between(self._run.questions.pick(self._ids))

    def _parts(self, found: Sequence[Shared]) -> None:
        if not found:
            ui.label(self._words("data.not_split"))
        for shared in found:
            named = {"first": self._words(f"data.part_{shared.first}"), "second": self._words(f"data.part_{shared.second}")}
            ui.label(self._words("data.between", **named)).classes("data-value")
            counts = " · ".join(self._words(f"data.shared_{kind}", count=f"{shared.counts[kind]:,}") for kind in KINDS)
            ui.label(counts)

    async def _uploaded(self, event: UploadEventArguments) -> None:
        content = await event.file.read()
        self._met.clear()
        with self._met, noted():
            spinner = ui.spinner(size="sm")
            found = await asyncio.to_thread(self._compare, event.file.name, content)
            spinner.delete()
            ui.label(self._words("data.met", count=f"{len(found):,}", total=f"{len(self._ids):,}", name=event.file.name[:80]))
            for row in found[:SHOWN]:
                ui.label(row.detail).classes("studio-soft data-quote")

    def _compare(self, name: str, content: bytes) -> list[Rejection]:
        """Raises: InputError: it is no file of questions."""
        path = self._studio.workspace.keep_upload(name, content)
        try:
            return contaminated(self._run.questions.pick(self._ids), path)
        finally:
            path.unlink(missing_ok=True)

    def _refused(self) -> None:
        ui.notify(self._words("data.refused", most=self._studio.config.max_upload_mb), type="negative")


def _quote(mark: str, *texts: str) -> None:
    with ui.row(wrap=False).classes("data-pair"):
        ui.label(mark).classes("data-number")
        with ui.column().classes("data-panel-body"):
            for text in texts:
                ui.label(text).classes("studio-soft data-quote")


def counts_in_words(words: Words, counts: Mapping[str, int]) -> str:
    """Causes with their counts."""
    return ", ".join(f"{cause.replace('_', ' ')} {count:,}" for cause, count in counts.items()) or words("data.nothing")
