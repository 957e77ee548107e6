"""The display of one leg: a live table on a terminal, plain lines elsewhere, and `metrics.jsonl` beside the rows."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from engine.storage import Storage
from engine.telemetry.board import Tally


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
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Progress:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        if self._live:
            self._live.__exit__(*exc_info)

    def show(self, tallies: dict[str, Tally], *, last: bool = False) -> None:
        """Bring the display up to date; plain lines and metrics are spaced `every_s` apart, the last one always comes."""
        elapsed = time.monotonic() - self._begun
        if self._live:
            self._live.update(self._table(tallies, elapsed))
        if last or time.monotonic() - self._last_line >= self._every_s:
            self._last_line = time.monotonic()
            if not self._live:
                self._console.print(self._line(tallies, elapsed), soft_wrap=True, highlight=False)
            self._storage.append("metrics.jsonl", (json.dumps(self._metrics(tallies, elapsed), sort_keys=True) + "\n").encode())

    def _line(self, tallies: dict[str, Tally], elapsed: float) -> str:
        parts = [f"{stage} {_brief(tallies.get(stage, Tally()), elapsed)}" for stage in self._stages]
        return f"[{elapsed:5.0f} s] " + " · ".join(parts) + f" · ETA {_clock(eta_seconds(self._stages, tallies, self._total, elapsed))}"

    def _table(self, tallies: dict[str, Tally], elapsed: float) -> Table:
        eta = _clock(eta_seconds(self._stages, tallies, self._total, elapsed))
        table = Table(title=f"{self._total} inputs · {elapsed:.0f} s · ETA {eta}", title_justify="left")
        for heading in ("stage", "inputs", "rows", "rejected", "failed", "rows/s", "top cause"):
            table.add_column(heading, justify="left" if heading in ("stage", "top cause") else "right")
        for stage in self._stages:
            seen = tallies.get(stage, Tally())
            causes = (seen.rejections + seen.failures).most_common(1)
            cells = (seen.inputs, seen.rows, seen.rejections.total(), seen.failures.total(), f"{seen.rows / max(elapsed, 1e-9):.1f}")
            table.add_row(stage, *map(str, cells), f"{causes[0][0]} ({causes[0][1]})" if causes else "")
        return table

    def _metrics(self, tallies: dict[str, Tally], elapsed: float) -> dict[str, Any]:
        return {"time": time.time(), "elapsed_s": round(elapsed, 3), "stages": {stage: seen.as_dict() for stage, seen in tallies.items()}}


def _brief(seen: Tally, elapsed: float) -> str:
    lost = seen.rejections.total() + seen.failures.total()
    return f"{seen.inputs} in, {seen.rows} rows ({seen.rows / max(elapsed, 1e-9):.1f}/s), {lost} rejected or failed"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
