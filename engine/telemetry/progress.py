"""The display of one leg: a live table on a terminal, plain lines elsewhere, and `metrics.jsonl` beside the rows."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from engine.storage import Storage
from engine.telemetry.board import Tally
from engine.telemetry.calls import CallSite, CallTally
from engine.telemetry.latency import percentiles

METRICS_S = 0.5
"""Least seconds between two lines of `metrics.jsonl`; they spread out to `every_s`, so that short and long legs have a curve."""

METRICS_SHARE = 1 / 60
"""Of the time a leg has taken: the next line is written after so much more of it."""

WINDOW_S = 3.0
"""Calls per second are told over at least so long: workers report once a second, and shorter spans would flicker."""

NO_CALLS: Mapping[CallSite, CallTally] = {}


def eta_seconds(stages: Sequence[str], tallies: dict[str, Tally], total: int, elapsed: float) -> float | None:
    """Seconds left in a leg, from the share of expected inputs each stage has finished; None before there is a basis.

    A later stage's expected inputs are its predecessor's expected inputs times the yield seen so far.
    """
    expected, done_share = float(total), 0.0
    for stage in stages:
        seen = tallies.get(stage, Tally())
        if not seen.inputs or not expected:
            return None
        done_share += min(1.0, seen.inputs / expected) / len(stages)
        expected *= seen.rows / seen.inputs
    return elapsed * (1.0 - done_share) / done_share


class Progress:
    """Shows one leg: a live table on a terminal, one plain line every few seconds otherwise."""

    def __init__(self, console: Console, storage: Storage, stages: Sequence[str], total: int, every_s: float) -> None:
        self._console, self._storage, self._stages, self._total, self._every_s = console, storage, stages, total, every_s
        self._begun = self._last_line = time.monotonic()
        self._written_s, self._call_rate = 0.0, 0.0
        self._window = deque([(0.0, CallTally())])
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Progress:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        if self._live:
            self._live.__exit__(*exc_info)

    def show(self, tallies: dict[str, Tally], calls: Mapping[CallSite, CallTally] = NO_CALLS, *, last: bool = False) -> None:
        """Bring the display up to date; plain lines are spaced `every_s` apart, metrics closer at first; the last ones always come."""
        elapsed = time.monotonic() - self._begun
        if last or elapsed - self._written_s >= min(self._every_s, max(METRICS_S, elapsed * METRICS_SHARE)):
            self._storage.append("metrics.jsonl", (json.dumps(self._metrics(tallies, calls, elapsed), sort_keys=True) + "\n").encode())
        if self._live:
            self._live.update(self._table(tallies, calls, elapsed))
        elif last or time.monotonic() - self._last_line >= self._every_s:
            self._last_line = time.monotonic()
            self._console.print(self._line(tallies, calls, elapsed), soft_wrap=True, highlight=False)

    def _line(self, tallies: dict[str, Tally], calls: Mapping[CallSite, CallTally], elapsed: float) -> str:
        parts = [f"{stage} {_brief(tallies.get(stage, Tally()), elapsed)}" for stage in self._stages]
        parts += [_spoken(_summed(calls), self._call_rate)] if calls else []
        return f"[{elapsed:5.0f} s] " + " · ".join(parts) + f" · ETA {_clock(eta_seconds(self._stages, tallies, self._total, elapsed))}"

    def _table(self, tallies: dict[str, Tally], calls: Mapping[CallSite, CallTally], elapsed: float) -> Table:
        eta = _clock(eta_seconds(self._stages, tallies, self._total, elapsed))
        caption = _spoken(_summed(calls), self._call_rate) if calls else None
        table = Table(
            title=f"{self._total} inputs · {elapsed:.0f} s · ETA {eta}", title_justify="left", caption=caption, caption_justify="left"
        )
        for heading in ("stage", "inputs", "rows", "rejected", "failed", "rows/s", "top cause"):
            table.add_column(heading, justify="left" if heading in ("stage", "top cause") else "right")
        for stage in self._stages:
            seen = tallies.get(stage, Tally())
            causes = (seen.rejections + seen.failures).most_common(1)
            cells = (seen.inputs, seen.rows, seen.rejections.total(), seen.failures.total(), f"{seen.rows / max(elapsed, 1e-9):.1f}")
            table.add_row(stage, *map(str, cells), f"{causes[0][0]} ({causes[0][1]})" if causes else "")
        return table

    def _metrics(self, tallies: dict[str, Tally], calls: Mapping[CallSite, CallTally], elapsed: float) -> dict[str, Any]:
        """One line: totals of the leg so far; of the calls also rate and latency in the last `WINDOW_S` or more."""
        self._written_s = elapsed
        stages = {stage: seen.as_dict() for stage, seen in tallies.items()}
        eta = eta_seconds(self._stages, tallies, self._total, elapsed)
        line: dict[str, Any] = {"time": time.time(), "elapsed_s": round(elapsed, 3), "total": self._total, "stages": stages}
        line["eta_s"] = None if eta is None else round(eta, 1)
        if calls:
            now = _summed(calls)
            while len(self._window) > 1 and self._window[1][0] <= elapsed - WINDOW_S:
                self._window.popleft()
            then, before = self._window[0]
            self._window.append((elapsed, now))
            self._call_rate = (now.calls - before.calls) / max(elapsed - then, 1e-9)
            line["calls"] = [
                {"role": site.role, "stage": site.stage, "model": site.model} | calls[site].as_dict() for site in sorted(calls)
            ]
            line["period"] = {"calls_per_s": round(self._call_rate, 3), "latency_s": percentiles(now.latency - before.latency)}
        return line


def _summed(calls: Mapping[CallSite, CallTally]) -> CallTally:
    return sum(calls.values(), CallTally())


def _spoken(calls: CallTally, rate: float) -> str:
    """Model calls in one line; what has not happened is left out."""
    parts = [f"{calls.calls:,} calls ({rate:.1f}/s)", f"{calls.in_flight} in flight"]
    lost = calls.failures.total() - calls.overloads
    told = ((calls.waiting, "waiting"), (calls.replayed, "replayed"), (calls.overloads, "overloaded"), (lost, "failed"))
    parts += [f"{number:,} {what}" for number, what in told if number]
    return ", ".join([*parts, f"${calls.usd:,.4f}"] if calls.usd else parts)


def _brief(seen: Tally, elapsed: float) -> str:
    lost = seen.rejections.total() + seen.failures.total()
    return f"{seen.inputs} in, {seen.rows} rows ({seen.rows / max(elapsed, 1e-9):.1f}/s), {lost} rejected or failed"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
