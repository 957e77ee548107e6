"""Two evaluations of the same questions side by side: a paired test, and the questions that flipped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nicegui import ui

from serve.evals.comparison import SMALL, Comparison
from serve.evals.evaluated import read_evaluated
from serve.evals.report import percent
from serve.evals.sides import Side, apart, attempt, flipped, marks, paired, rows, shared
from serve.evals.statistics import CONFIDENCE, clusters_needed
from serve.studio.pages.score_view import to_read
from serve.studio.scoring import Interval, interval_chart
from serve.studio.words import Words
from serve.studio.workspace import RunFolder

SHOWN = 20
LONGEST = 500


async def show_pair(words: Words, first: RunFolder, second: RunFolder) -> None:
    """Build it; the second is told against the first.

    Raises:
        InputError: one of them has not ended, or they share no question.
    """
    sides, pair = await asyncio.to_thread(_read, first, second)
    with ui.column().classes("studio-panel"):
        with ui.row().classes("items-center"):
            ui.link(words("scores.evaluations"), "/scores")
            ui.label(words("scores.against", second=second.name, first=first.name)).classes("studio-title")
        ui.label(sentence(words, pair)).props("data-test=sentence")
        told = words("scores.better_worse", better=f"{len(pair.better):,}", worse=f"{len(pair.worse):,}")
        ui.label(f"{told}{apart(*sides)}").classes("studio-soft")
        _both(words, sides)
    with ui.column().classes("studio-panel"):
        ui.label(words("scores.flipped")).classes("studio-title")
        keys = flipped(*sides)
        if not keys:
            ui.label(words("scores.none_flipped")).classes("studio-soft")
        for key in keys[:SHOWN]:
            _flip(words, sides, key)
        if len(keys) > SHOWN:
            ui.label(words("scores.more_questions", count=f"{len(keys) - SHOWN:,}")).classes("studio-soft")


def sentence(words: Words, pair: Comparison) -> str:
    """What the test says, for a reader who knows no statistics."""
    found, points = pair.difference, 100 * pair.difference.value
    values = {
        "first": pair.first, "second": pair.second, "questions": f"{found.observations:,}", "clusters": f"{found.clusters:,}",
        "points": f"{points:+.1f}", "p": f"{pair.p_value:.3g}",
    }  # fmt: skip
    if found.low is None or found.high is None:
        return words("scores.too_few", **values)
    values |= {"low": f"{100 * found.low:+.1f}", "high": f"{100 * found.high:+.1f}"}
    if pair.p_value < 1 - CONFIDENCE:
        return words("scores.differ", **values)
    needed = clusters_needed(found, SMALL)
    more = f" {words('scores.needed', points=f'{100 * SMALL:.0f}', clusters=f'{needed:,}')}" if needed else ""
    return words("scores.alike", **values) + more


def _read(first: RunFolder, second: RunFolder) -> tuple[tuple[Side, Side], Comparison]:
    one, other = (Side(run.name, read_evaluated(str(run.path))) for run in (first, second))
    return (one, other), paired(one, other)


def _both(words: Words, sides: Sequence[Side]) -> None:
    common = shared(sides)
    means = [(side.name, side.found.mean({key: side.found.shares[key] for key in common})) for side in sides]
    points = [Interval(name, found.value, found.low, found.high) for name, found in means if found]
    ui.label(words("scores.on_shared", count=f"{len(common):,}")).classes("studio-soft")
    ui.echart(interval_chart(points, words("scores.right"))).style("height:96px").classes("scores-chart")
    with ui.element("table").classes("scores-grid"):
        with ui.element("tr"):
            for head in ("run_model", "right", "interval", "error", "questions", "clusters"):
                with ui.element("th").props("scope=col"):
                    ui.label(words(f"scores.{head}"))
        for line in rows(sides):
            with ui.element("tr"):
                for cell in line:
                    with ui.element("td"):
                        ui.label(cell)


def _flip(words: Words, sides: tuple[Side, Side], key: str) -> None:
    question = next(row for row in sides[0].run.questions if row.id == key)
    gain = sides[1].found.shares[key] - sides[0].found.shares[key]
    with ui.element("article").classes("scores-flip").props("data-test=flip"):
        with ui.row(wrap=False).classes("items-start"):
            ui.label("▲" if gain > 0 else "▼").classes("scores-up" if gain > 0 else "scores-down")
            ui.label(question.text if len(question.text) <= LONGEST else f"{question.text[:LONGEST]} …")
        ui.label(words("scores.gold_is", answer=question.answer)).classes("studio-soft")
        with ui.element("div").classes("run-pair"):
            for side in sides:
                _side(words, side, key)


def _side(words: Words, side: Side, key: str) -> None:
    shown = attempt(side, key)
    with ui.column().classes("scores-side"):
        with ui.row().classes("items-center"):
            ui.link(side.name, to_read(side.name, key))
            ui.label(f"{percent(side.found.shares[key])} · {marks(side, key)}").classes("studio-soft")
        if shown is None:
            ui.label(words("scores.means_refused")).classes("studio-soft")
            return
        ui.label(shown.given or words("scores.nothing"))
        ending = words("scores.was_right") if shown.is_right else words(f"scores.{shown.error.value}") if shown.error else ""
        ui.label(f"{ending}; {shown.reason[:200]}" if shown.reason else ending).classes("studio-soft")
