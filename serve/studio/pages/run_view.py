"""One run: what came of it so far, how fast it goes, what it costs, why attempts gave nothing; stop it, take it up again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from nicegui import ui

from serve.runs.material import MAKES, Loss, Step
from serve.runs.reading import printable
from serve.runs.timeline import Line
from serve.studio.frame import noted
from serve.studio.launch import RunState, launch_of, start, stop
from serve.studio.orders import command
from serve.studio.pages.run_form import show_command
from serve.studio.watching import Calls, RunWatch, View
from serve.studio.words import Words
from serve.studio.workspace import RunFolder, RunKind

LOOK_S = 1.0
FLUSH_S = 0.05
"""What was shown goes out to the browser before more is read, which may keep the interpreter busy."""
TOP_CAUSES = 3
COLOURS = ("#245e8f", "#a35a00", "#2e7d32", "#7b4fa0", "#b3261e", "#4b6a58")
"""Of the stages, in the order of `MAKES`."""
CALLS = {"calls": "#245e8f", "failed": "#b3261e"}
"""Curves of model calls."""


class RunView:
    """Built once, then brought up to date in place."""

    def __init__(self, words: Words, opened: RunFolder) -> None:
        self._words, self._name, self._folder, self._kind = words, opened.name, opened.path, opened.kind
        self._watch, self._state = RunWatch(opened.path), RunState.RUNNING
        self._shown_losses: Sequence[Loss] | None = None
        self._facts: dict[str, ui.label] = {}
        self._boxes: dict[str, ui.column] = {}
        self._busy = False

    def show(self) -> None:
        """Build it; it keeps itself up to date while the run is alive."""
        self._show_head()
        with ui.element("div").classes("run-halves"):
            with ui.column().classes("run-half"):
                self._show_funnel()
                self._show_losses()
            with ui.column().classes("run-half"):
                self._show_calls()
                self._show_log()
        self._timer = ui.timer(LOOK_S, self._refresh)

    def _show_head(self) -> None:
        words = self._words
        with ui.column().classes("studio-panel"):
            with ui.row().classes("items-center"):
                ui.link(words("run.all_runs"), "/run")
                ui.label(self._name).classes("studio-title")
                ui.label(words(f"run.kind_{self._kind.value}")).classes("studio-soft")
                self._told_state = ui.label().classes("run-state").props("role=status data-test=state")
                ui.space()
                self._stop = ui.button(words("run.stop"), on_click=self._ask_to_stop).props("outline no-caps color=negative")
                self._again = ui.button(words("run.resume"), on_click=self._resume).props("no-caps")
                if self._kind is not RunKind.SYNTHESIS:
                    ui.link(words("run.to_scores"), f"/scores?name={self._name}")
                else:
                    ui.link(words("run.to_read"), f"/read?run={self._name}")
            self._stop.set_visibility(False)
            self._again.set_visibility(False)
            if launch := launch_of(self._folder):
                show_command(words, command(launch.overrides, launch.module))
            else:
                ui.label(words("run.elsewhere")).classes("studio-soft")
            self._trouble = ui.label().classes("studio-error").props("role=alert")
            self._trouble.set_visibility(False)

    def _show_funnel(self) -> None:
        words = self._words
        numbers = ("attempts", "rows", "rejected", "failed")
        columns: list[dict[str, Any]] = [{"name": "step", "label": words("run.step"), "field": "step", "align": "left"}]
        columns += [{"name": name, "label": words(f"run.n_{name}"), "field": name, "align": "right"} for name in numbers[:1]]
        columns += [{"name": "makes", "label": "→", "field": "makes", "align": "left"}]
        columns += [{"name": name, "label": words(f"run.n_{name}"), "field": name, "align": "right"} for name in numbers[1:]]
        columns += [{"name": "causes", "label": words("run.causes"), "field": "causes", "align": "left", "classes": "run-causes"}]
        with ui.column().classes("studio-panel"):
            ui.label(words("run.funnel")).classes("studio-title")
            self._funnel = ui.table(columns=columns, rows=[], row_key="step").props("flat dense hide-bottom").classes("run-table")
            self._nothing = ui.label().classes("studio-soft")
            self._chart = ui.echart(_chart([], words)).classes("run-chart")

    def _show_calls(self) -> None:
        words = self._words
        with ui.column().classes("studio-panel"):
            ui.label(words("run.speed")).classes("studio-title")
            with ui.element("div").classes("run-facts"):
                for name in ("elapsed", "eta", "per_s", "in_flight", "waiting", "overloaded", "calls_failed", "replayed", "tokens", "cost"):
                    with ui.column().classes("run-fact") as self._boxes[name]:
                        ui.label(words(f"run.{name}")).classes("studio-soft")
                        self._facts[name] = ui.label("–").props(f"data-test={name}")
            self._bar = ui.linear_progress(0, show_value=False, size="8px").props(f'aria-label="{words("run.cost")}"')
            self._bar.set_visibility(False)
            self._call_chart = ui.echart(_chart([], words)).classes("run-chart run-calls")
            self._no_calls = ui.label(words("run.no_calls")).classes("studio-soft")

    def _show_losses(self) -> None:
        with ui.column().classes("studio-panel"):
            ui.label(self._words("run.losses")).classes("studio-title")
            self._losses = ui.column().classes("run-losses")
            with self._losses:
                ui.spinner()

    def _show_log(self) -> None:
        with ui.column().classes("studio-panel"):
            ui.label(self._words("run.log")).classes("studio-title")
            empty = self._words("run.no_log" if launch_of(self._folder) else "run.its_terminal")
            with ui.scroll_area().classes("run-log").props("tabindex=0") as self._log_area:
                self._log = ui.label(empty).classes("studio-code").props("data-test=log")

    async def _refresh(self) -> None:
        """One look, and what it shows; a slow one is not overtaken by the next."""
        if self._busy:
            return
        self._busy = True
        try:
            view = await asyncio.to_thread(self._watch.look)
            self._show_view(view)
            await asyncio.sleep(FLUSH_S)
            self._show_steps(await asyncio.to_thread(self._watch.steps))
            await asyncio.sleep(FLUSH_S)
            await self._refresh_losses()
            self._timer.active = view.state.is_alive
        finally:
            self._busy = False

    def _show_view(self, view: View) -> None:
        words = self._words
        self._state = view.state
        self._told_state.text = words(f"run.{view.state.value}")
        self._told_state.classes(replace=f"run-state run-{view.state.value}")
        ours = launch_of(self._folder)
        self._stop.set_visibility(view.state.is_alive and ours is not None and ours.is_alive)
        self._stop.text = words("run.stop_now") if view.state is RunState.STOPPING else words("run.stop")
        self._again.set_visibility(not view.state.is_alive and ours is not None)
        self._again.text = words("run.again") if view.state is RunState.FINISHED else words("run.resume")
        self._show_figures(view)
        for chart, curves in ((self._chart, view.curves), (self._call_chart, view.call_curves)):
            if curves:
                chart.options.update(_chart(curves, words))
                chart.update()
            chart.set_visibility(bool(curves))
        if view.log and printable(view.log) != self._log.text:
            self._log.text = printable(view.log)
            self._log_area.scroll_to(percent=1.0)
        self._trouble.set_visibility(view.state is RunState.FAILED)
        self._trouble.text = printable(_last_words(view.log)) or words("run.no_log")

    def _show_figures(self, view: View) -> None:
        told = _figures(view, self._words)
        for name, label in self._facts.items():
            label.text = told.get(name, "")
            self._boxes[name].set_visibility(name in told)
        self._no_calls.set_visibility(view.calls is None)
        self._bar.set_visibility(bool(view.budget_usd))
        if view.budget_usd:
            self._bar.value = min(1.0, view.spent_usd / view.budget_usd)

    def _show_steps(self, steps: Sequence[Step]) -> None:
        self._funnel.rows = [_funnel_row(step, self._words) for step in steps]
        self._nothing.set_visibility(not steps)
        self._nothing.text = self._words("run.nothing_yet" if self._state.is_alive else "run.nothing")

    async def _refresh_losses(self) -> None:
        losses = await asyncio.to_thread(self._watch.losses)
        if losses is self._shown_losses:
            return
        self._shown_losses = losses
        self._show_steps(await asyncio.to_thread(self._watch.steps))
        self._losses.clear()
        with self._losses:
            if not losses:
                ui.label(self._words("run.no_losses")).classes("studio-soft")
            for loss in losses:
                self._show_loss(loss)

    def _show_loss(self, loss: Loss) -> None:
        kind = self._words("run.rejection" if loss.final else "run.failure")
        with ui.expansion().props("dense").classes("run-loss") as told:
            with told.add_slot("header"), ui.row().classes("items-center run-loss-head"):
                ui.label(f"{loss.count:,}").classes("run-count")
                ui.label(f"{loss.step}: {loss.cause}")
                ui.label(kind).classes("studio-soft")
            for example in loss.examples:
                ui.label(printable(example.detail) or "–").classes("studio-code")
                ui.label(f"{example.input_id[:12]} · {example.stage}").classes("studio-soft")

    async def _ask_to_stop(self) -> None:
        with noted():
            await asyncio.to_thread(stop, self._folder)
        await self._refresh()

    async def _resume(self) -> None:
        with noted():
            launch = launch_of(self._folder)
            if launch is not None:
                await asyncio.to_thread(start, self._folder, launch.overrides, launch.module)
                self._watch, self._shown_losses = RunWatch(self._folder), None
        await self._refresh()


def _funnel_row(step: Step, words: Words) -> dict[str, object]:
    causes = sorted(step.causes.items(), key=lambda item: (-item[1], item[0]))[:TOP_CAUSES]
    return {
        "step": step.name,
        "attempts": f"{step.attempts:,}",
        "makes": words(f"run.makes_{step.name}") if step.name in MAKES else "",
        "rows": f"{step.rows:,}",
        "rejected": f"{step.rejected:,}",
        "failed": f"{step.failed:,}",
        "causes": ", ".join(f"{cause} {count:,}" for cause, count in causes),
    }


def _figures(view: View, words: Words) -> Mapping[str, str]:
    """Name → value, of those that are known."""
    told = {"elapsed": clock(view.elapsed_s)}
    told |= {"eta": "–"} if view.state.is_alive else {}
    if view.eta_s is not None:
        told["eta"] = words("run.eta_second" if view.second_leg else "run.eta_first", time=clock(view.eta_s))
    calls: Calls | None = view.calls
    if calls is None:
        return told
    alive = view.state.is_alive
    told |= {"per_s": f"{calls.per_s:.1f}", "in_flight": f"{calls.in_flight:,}", "waiting": f"{calls.waiting:,}"} if alive else {}
    told |= {"overloaded": f"{calls.overloaded:,}", "calls_failed": f"{calls.failed:,}", "replayed": f"{calls.replayed:,}"}
    told["tokens"] = f"{calls.prompt_tokens:,} + {calls.completion_tokens:,}"
    told["cost"] = f"${view.spent_usd:,.4f}" + ("" if view.budget_usd is None else words("run.of_budget", most=f"${view.budget_usd:,.2f}"))
    return told


def _chart(curves: Sequence[Line], words: Words) -> dict[str, Any]:
    """So many per second over working time. Legends and tips are drawn, never parsed as HTML."""
    order = list(MAKES)
    series = [
        {
            "name": words(f"run.curve_{curve.name}") if curve.name in CALLS else curve.name,
            "type": "line",
            "showSymbol": False,
            "color": COLOURS[order.index(curve.name) % len(COLOURS)] if curve.name in order else CALLS.get(curve.name, COLOURS[-1]),
            "data": [[round(x, 2), None if y is None else round(y, 3)] for x, y in curve.points],
        }
        for curve in sorted(curves, key=lambda curve: order.index(curve.name) if curve.name in order else len(order))
    ]
    per_second = words("run.calls_per_second" if any(curve.name in CALLS for curve in curves) else "run.per_second")
    return {
        "animation": False,
        "grid": {"left": 48, "right": 16, "top": 34, "bottom": 30},
        "legend": {"top": 0, "right": 8, "icon": "roundRect", "itemHeight": 4},
        "tooltip": {"trigger": "axis", "renderMode": "richText"},
        "xAxis": {"type": "value", "name": "s", "nameGap": 6, "minInterval": 1},
        "yAxis": {"type": "value", "name": per_second, "nameTextStyle": {"align": "left"}},
        "series": series,
    }


def clock(seconds: float) -> str:
    """`1:02:03`."""
    return str(timedelta(seconds=round(seconds)))


def _last_words(log: str) -> str:
    """The error a run ended with, or its last lines."""
    lines = log.rstrip().splitlines()
    begins = [place for place, line in enumerate(lines) if line.startswith("error:")]
    return "\n".join(lines[begins[-1] :] if begins else lines[-6:])
