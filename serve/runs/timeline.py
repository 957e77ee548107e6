"""`metrics.jsonl` as curves over working time: the legs of a run one after another, pauses between sessions left out."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.telemetry.latency import PERCENTILES, percentile

WINDOW_S = 2.0
"""Least seconds a rate is taken over: shards and reports come in lumps."""

WINDOW_SHARE = 1 / 25
"""Of a leg, for long ones: a curve then has some 25 independent points."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: (seconds, value) in order of time; None breaks the line."""

    name: str
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Leg:
    """The lines of one leg, and when it began on the clock of working time."""

    begun: float
    lines: Sequence[dict[str, Any]]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return float(self.lines[-1]["elapsed_s"])

    @property
    def stages(self) -> list[str]:
        """In the order in which they first finished something."""
        return list(dict.fromkeys(stage for line in self.lines for stage in line["stages"]))

    @property
    def window(self) -> float:
        """Seconds that rates and percentiles are taken over."""
        return max(WINDOW_S, self.seconds * WINDOW_SHARE)

    def before(self, line: dict[str, Any]) -> dict[str, Any] | None:
        """The last line at least a window earlier; None is the begin of the leg."""
        place = bisect_right(self.lines, line["elapsed_s"] - self.window, key=lambda other: float(other["elapsed_s"]))
        return self.lines[place - 1] if place else None

    def rate(self, total: Callable[[dict[str, Any]], float]) -> list[tuple[float, float | None]]:
        """Growth of a running total per second, over a window that ends at each line."""
        points: list[tuple[float, float | None]] = []
        for line in self.lines:
            before = self.before(line)
            span = line["elapsed_s"] - (before["elapsed_s"] if before else 0.0)
            growth = total(line) - (total(before) if before else 0.0)
            points.append((self.begun + line["elapsed_s"], growth / max(span, 1e-9)))
        return points


def read_legs(data: bytes) -> list[Leg]:
    """The legs in `metrics.jsonl`; a last line torn by a kill is left out."""
    lines = []
    for text in data.decode(errors="replace").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return to_legs(lines)


def to_legs(lines: Iterable[dict[str, Any]]) -> list[Leg]:
    """Lines in order of time, parted where another leg begins."""
    legs: list[Leg] = []
    current: list[dict[str, Any]] = []
    for line in lines:
        if current and (line["elapsed_s"] < current[-1]["elapsed_s"] or current[-1]["stages"].keys() - line["stages"].keys()):
            legs.append(_leg(legs, current))
            current = []
        current.append(line)
    return [*legs, _leg(legs, current)] if current else legs


def throughput(legs: Sequence[Leg]) -> list[Line]:
    """Attempts finished per second, a line per stage."""
    stages = list(dict.fromkeys(stage for leg in legs for stage in leg.stages))
    return [_curve(stage, [leg.rate(_finished(stage)) if stage in leg.stages else [] for leg in legs]) for stage in stages]


def call_rates(legs: Sequence[Leg]) -> list[Line]:
    """Calls per second: ended, and those of them that gave no usable answer."""
    asking = [leg for leg in legs if calls_of(leg.lines[-1])]
    failed = _curve("failed", [leg.rate(lambda line: sum(sum(site["failures"].values()) for site in calls_of(line))) for leg in asking])
    return [
        _curve("calls", [leg.rate(lambda line: _sum(line, "calls")) for leg in asking]),
        *([failed] if any(y for _, y in failed.points) else []),
    ]


def crowd(legs: Sequence[Leg]) -> list[Line]:
    """Calls in flight, and waiting for the limits."""
    asking = [leg for leg in legs if calls_of(leg.lines[-1])]
    return [
        _curve(name, [[(leg.begun + line["elapsed_s"], _sum(line, key)) for line in leg.lines] for leg in asking])
        for name, key in (("in flight", "in_flight"), ("waiting", "waiting"))
    ]


def spending(legs: Sequence[Leg]) -> Line:
    """US dollars so far, over all legs."""
    points, spent = [], 0.0
    for leg in legs:
        points += [(leg.begun + line["elapsed_s"], spent + _sum(line, "usd")) for line in leg.lines if calls_of(line)]
        spent += _sum(leg.lines[-1], "usd")
    return Line("cost", points)


def latencies(legs: Sequence[Leg]) -> list[Line]:
    """Percentiles of the calls that ended shortly before each moment."""
    asking = [leg for leg in legs if calls_of(leg.lines[-1])]
    return [_curve(f"p{round(100 * share)}", [_percentile_points(leg, share) for leg in asking]) for share in PERCENTILES]


def call_totals(legs: Sequence[Leg]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(role, stage, model) → totals over all legs, `failures` and `latency` as counters."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for leg in legs:
        for site in calls_of(leg.lines[-1]):
            total = found.setdefault((site["role"], site["stage"], site["model"]), {"failures": Counter(), "latency": Counter()})
            for name in ("calls", "replayed", "prompt_tokens", "completion_tokens", "usd"):
                total[name] = total.get(name, 0) + site[name]
            total["failures"].update(site["failures"])
            total["latency"].update(_histogram([site]))
    return found


def calls_of(line: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The call sites of a line; none where no model was used."""
    return line.get("calls", []) if line else []


def _leg(before: Sequence[Leg], lines: list[dict[str, Any]]) -> Leg:
    return Leg(before[-1].begun + before[-1].seconds if before else 0.0, lines)


def _finished(stage: str) -> Callable[[dict[str, Any]], float]:
    def total(line: dict[str, Any]) -> float:
        seen = line["stages"].get(stage)
        return float(seen["rows"] + sum(seen["rejections"].values()) + sum(seen["failures"].values())) if seen else 0.0

    return total


def _curve(name: str, parts: Sequence[list[tuple[float, float | None]]]) -> Line:
    """One line with a gap between legs."""
    points: list[tuple[float, float | None]] = []
    for part in parts:
        points += [*part, (part[-1][0], None)] if part else []
    return Line(name, points)


def _sum(line: dict[str, Any], name: str) -> float:
    return float(sum(site[name] for site in calls_of(line)))


def _histogram(sites: Sequence[dict[str, Any]]) -> Counter[int]:
    found = Counter[int]()
    for site in sites:
        found.update({int(bucket): number for bucket, number in site["latency"].items()})
    return found


def _percentile_points(leg: Leg, share: float) -> list[tuple[float, float | None]]:
    return [
        (leg.begun + line["elapsed_s"], percentile(_histogram(calls_of(line)) - _histogram(calls_of(leg.before(line))), share))
        for line in leg.lines
    ]
