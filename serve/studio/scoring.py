"""What the page of scores lists, and the pictures it draws."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import InputError
from serve.runs.learning import Curve, is_training
from serve.studio.workspace import RunKind, Workspace

COLOURS = ("#245e8f", "#a35a00", "#2e7d32", "#7b4fa0", "#b3261e", "#4b6a58")
PALE = "#a9c6de"
TRAINING_DEPTH = 2
LONGEST_NAME = 28
"""Characters of a name beside a chart."""

SHOWN = {"model", "dataset", "accuracy", "questions", "rollouts"}
"""What the list shows of a score; a file without them is something else."""

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A line in the list of evaluations."""

    name: str
    title: str
    """Of the benchmark."""
    model: str
    score: Figures
    """What `score.json` holds."""
    modified: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the ends of its interval, where there is one; shares from 0 to 1."""

    name: str
    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, name: str, found: Figures) -> Interval:
        """From an estimate as `score.json` tells it."""
        return cls(name, found["value"], found["low"], found["high"])


def evaluations(workspace: Workspace) -> list[Evaluation]:
    """All that have ended, the latest first."""
    found = []
    for run in workspace.runs():
        score = read_score(run.path) if run.kind is RunKind.EVALUATION else None
        if score and score.keys() >= SHOWN:
            model = score["model"]["fingerprint"] or score["model"]["policy"]
            found.append(Evaluation(run.name, score["dataset"]["title"], model, score, run.modified))
    return found


def read_score(folder: Path) -> Figures | None:
    """What an evaluation says of itself; None until it has ended."""
    return _json(folder / "score.json")


def read_speed(folder: Path) -> Figures:
    """The part of it that a rerun does not repeat."""
    return _json(folder / "speed.json") or {"calls": {}}


def trainings(workspace: Workspace) -> list[str]:
    """Names of runs that are, or hold, the training of a model, the latest first."""
    found = [
        path.parent for depth in range(1, TRAINING_DEPTH + 1) for path in workspace.root.glob("/".join(["*"] * depth + ["metrics.jsonl"]))
    ]
    folders = sorted((folder for folder in found if is_training(folder)), key=lambda folder: -folder.stat().st_mtime)
    return [folder.relative_to(workspace.root).as_posix() for folder in folders]


def training(workspace: Workspace, name: str) -> Path:
    """Where the training of that name lies.

    Raises:
        InputError: there is none.
    """
    folder = workspace.place(name)
    if not is_training(folder):
        raise InputError(name, "is no training that has begun", "choose one of the list")
    return folder


def interval_chart(rows: Sequence[Interval], label: str) -> dict[str, Any]:
    """A point and its interval per row, from the top down. Everything is drawn on a canvas: no name becomes HTML."""
    names = [row.name if len(row.name) <= LONGEST_NAME else f"{row.name[:LONGEST_NAME]}…" for row in rows]
    lows = [_percent(row.value if row.low is None else row.low) for row in rows]
    spans = [0 if row.low is None or row.high is None else round(_percent(row.high) - _percent(row.low), 2) for row in rows]
    bar: dict[str, Any] = {"type": "bar", "stack": "interval", "barWidth": 5, "silent": True, "animation": False}
    return {
        "grid": {"left": 8, "right": 24, "top": 8, "bottom": 24, "containLabel": True},
        "xAxis": {"type": "value", "min": 0, "max": 100, "axisLabel": {"formatter": "{value} %"}},
        "yAxis": {"type": "category", "data": names, "inverse": True, "axisTick": {"show": False}},
        "tooltip": {"trigger": "item", "renderMode": "richText"},
        "series": [
            {**bar, "data": lows, "itemStyle": {"color": "transparent"}},
            {**bar, "data": spans, "itemStyle": {"color": PALE, "borderRadius": 3}},
            {
                "name": label, "type": "scatter", "symbolSize": 10, "animation": False, "color": COLOURS[0],
                "data": [_percent(row.value) for row in rows],
            },
        ],
    }  # fmt: skip


def group_chart(groups: Mapping[str, Sequence[Interval]]) -> dict[str, Any]:
    """Several models over the same groups: points side by side, each with its interval."""
    names = [row.name for row in next(iter(groups.values()), ())]
    series: list[dict[str, Any]] = []
    for number, (model, rows) in enumerate(groups.items()):
        colour, stack = COLOURS[number % len(COLOURS)], f"of {model}"
        lows = [_percent(row.low or 0.0) for row in rows]
        below = [round(_percent(row.value) - low, 2) for row, low in zip(rows, lows, strict=True)]
        above = [round(_percent(row.value if row.high is None else row.high) - _percent(row.value), 2) for row in rows]
        whole: dict[str, Any] = {"type": "bar", "stack": stack, "barMaxWidth": 22, "silent": True, "animation": False, "name": model}
        series += [
            {**whole, "data": lows, "itemStyle": {"color": colour, "opacity": 0.85}},
            {**whole, "data": below, "itemStyle": {"color": colour, "opacity": 0.55}},
            {**whole, "data": above, "itemStyle": {"color": colour, "opacity": 0.25}},
        ]
    return {
        "color": list(COLOURS),
        "grid": {"left": 44, "right": 12, "top": 34, "bottom": 26},
        "legend": {"top": 0, "data": [{"name": model, "icon": "roundRect"} for model in groups]},
        "xAxis": {"type": "category", "data": names},
        "yAxis": {"type": "value", "min": 0, "max": 100, "axisLabel": {"formatter": "{value} %"}},
        "series": series,
    }


def curve_chart(curves: Sequence[Curve], names: Mapping[str, str]) -> dict[str, Any]:
    """Quantities over steps; a noisy one is pale behind its moving average."""
    series = []
    for number, curve in enumerate(curves):
        line: dict[str, Any] = {"name": names[curve.name], "type": "line", "animation": False, "color": COLOURS[number % len(COLOURS)]}
        if curve.average:
            series.append(
                {**line, "showSymbol": False, "silent": True, "lineStyle": {"width": 1, "opacity": 0.3}, "data": _points(curve.points)}
            )
            series.append({**line, "showSymbol": False, "data": _points(curve.average)})
        else:
            series.append({**line, "symbolSize": 6, "showSymbol": len(curve.points) < 60, "data": _points(curve.points)})
    return {
        "grid": {"left": 48, "right": 16, "top": 30, "bottom": 26},
        "legend": {"top": 0, "icon": "roundRect", "itemHeight": 4},
        "tooltip": {"trigger": "axis", "renderMode": "richText"},
        "xAxis": {"type": "value", "minInterval": 1},
        "yAxis": {"type": "value", "scale": True},
        "series": series,
    }


def count_chart(counts: Mapping[str, int]) -> dict[str, Any]:
    """A bar per name, from the top down."""
    return {
        "grid": {"left": 8, "right": 40, "top": 4, "bottom": 4, "containLabel": True},
        "xAxis": {"type": "value", "show": False},
        "yAxis": {"type": "category", "data": list(counts), "inverse": True, "axisTick": {"show": False}, "axisLine": {"show": False}},
        "series": [
            {
                "type": "bar", "data": list(counts.values()), "color": COLOURS[0], "barMaxWidth": 16, "animation": False, "silent": True,
                "label": {"show": True, "position": "right"},
            }
        ],
    }  # fmt: skip


def _points(points: Sequence[tuple[float, float]]) -> list[list[float]]:
    return [[step, float(f"{value:.5g}")] for step, value in points]


def _percent(share: float) -> float:
    return round(100 * share, 2)


def _json(path: Path) -> Figures | None:
    try:
        found: Figures = json.loads(path.read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        return None
