"""How a model learned: the curves of a training, and of a whole tour with the scores of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nicegui import ui

from serve.runs.learning import Curve, TourScores
from serve.studio.scoring import Interval, curve_chart, group_chart
from serve.studio.words import Words

Curves = Mapping[str, Sequence[Curve]]


def show_curves(words: Words, name: str, panels: Curves) -> None:
    """Of one training."""
    _head(words, name)
    _panels(words, "", panels)


def show_tour(words: Words, name: str, scores: TourScores | None, trainings: Mapping[str, Curves]) -> None:
    """Of a tour: what each model scores, and how it came to that."""
    _head(words, name)
    if scores is None:
        ui.label(words("scores.not_scored")).classes("studio-soft")
    else:
        _scores(words, scores)
    for part, panels in trainings.items():
        _panels(words, part.upper(), panels)


def _head(words: Words, name: str) -> None:
    with ui.column().classes("studio-panel"), ui.row().classes("items-center"):
        ui.link(words("scores.evaluations"), "/scores")
        ui.label(name).classes("studio-title")


def _scores(words: Words, scores: TourScores) -> None:
    groups = {
        model: [Interval(name, share.value, *share.interval) for name, share in found.items()] for model, found in scores.groups.items()
    }
    with ui.column().classes("studio-panel"):
        ui.label(words("scores.held_out")).classes("studio-title")
        ui.label("; ".join(reversed(scores.sentences))).props("data-test=sentence")
        with ui.element("div").classes("run-halves"):
            ui.echart(group_chart(groups)).classes("scores-curve")
            with ui.element("table").classes("scores-grid"):
                with ui.element("tr"):
                    for head in ("", *groups):
                        with ui.element("th").props("scope=col"):
                            ui.label(head)
                for place, group in enumerate(next(iter(scores.groups.values()))):
                    with ui.element("tr"):
                        with ui.element("td"):
                            count = next(iter(scores.groups.values()))[group].count
                            ui.label(f"{group} (n={count:,})")
                        for rows in groups.values():
                            with ui.element("td"):
                                ui.label(_spelled(rows[place]))
        ui.label(words("scores.held_out_note")).classes("studio-soft")


def _spelled(found: Interval) -> str:
    return f"{100 * found.value:.1f} ({100 * (found.low or 0):.0f}–{100 * (found.high or 0):.0f})"


def _panels(words: Words, title: str, panels: Curves) -> None:
    if not panels:
        return
    with ui.element("div").classes("scores-panels"):
        for panel, curves in panels.items():
            names = {curve.name: words(f"scores.curve_{curve.name}") for curve in curves}
            with ui.column().classes("studio-panel"):
                ui.label(f"{title} {words(f'scores.panel_{panel}')}".strip()).classes("studio-title")
                ui.echart(curve_chart(curves, names)).classes("scores-curve")
