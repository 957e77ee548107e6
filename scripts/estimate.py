"""What a whole run would cost, from a pilot on its first seeds: `run.estimate=true`.

Seeds are worked on in the order of their ids, which are hashes, so the first ones are a random sample; the pilot's rows
are kept, and the whole run goes on from them.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from agents.records import Trajectory
from engine.config import EndpointConfig

PILOT_SEEDS = 20
"""Seeds of a pilot: enough for an interval, few enough to be paid without a thought."""

Z95 = 1.96
"""Normal quantile of a 95 % interval. With 20 seeds it is a little too narrow; the seeds' spread is told beside it."""


@dataclass(frozen=True)
class Expectation:
    """A total over the whole run, with its 95 % interval (normal approximation over seeds)."""

    what: str
    unit: str
    mean: float
    low: float
    high: float


def expect(
    trajectories: Sequence[Trajectory], pilot: Sequence[str], total: int, endpoint: EndpointConfig, seconds: float
) -> list[Expectation]:
    """Expected calls, tokens, money and time of a run over `total` seeds.

    Args:
        pilot: trace ids of the seeds that the pilot worked on; a seed without a trajectory counts as zero.
        seconds: what the pilot took, start-up of Ray not counted.
    """
    of_seed: dict[str, list[Trajectory]] = defaultdict(list)
    for trajectory in trajectories:
        of_seed[trajectory.trace_id].append(trajectory)

    def scaled(what: str, unit: str, value: Callable[[Trajectory], float]) -> Expectation:
        per_seed = [sum(value(row) for row in of_seed[seed]) for seed in pilot]
        mean = statistics.fmean(per_seed)
        spread = statistics.stdev(per_seed) / math.sqrt(len(per_seed)) if len(per_seed) > 1 else math.inf
        return Expectation(what, unit, total * mean, max(0.0, total * (mean - Z95 * spread)), total * (mean + Z95 * spread))

    time = total / len(pilot) * seconds
    return [
        scaled("trajectories", "", lambda row: 1),
        scaled("model calls", "", lambda row: row.usage.model_calls),
        scaled("prompt tokens", "", lambda row: row.usage.prompt_tokens),
        scaled("completion tokens", "", lambda row: row.usage.completion_tokens),
        scaled("cost", "USD", lambda row: _usd(row, endpoint)),
        Expectation("time at the pilot's pace", "s", time, time / 2, 2 * time),
    ]


def print_expectations(console: Console, expectations: Sequence[Expectation], pilot: int, total: int) -> None:
    """The table, and what to do next."""
    table = Table(title=f"expected for {total:,} seeds, from a pilot of {pilot}", title_justify="left")
    for heading in ("what", "expected", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for line in expectations:
        digits = 2 if line.unit == "USD" else 0
        unit = f" {line.unit}" if line.unit else ""
        table.add_row(line.what, f"{line.mean:,.{digits}f}{unit}", f"{line.low:,.{digits}f} – {line.high:,.{digits}f}")
    console.print(table)
    console.print(
        "The time is within a factor of two; more rows in flight make it shorter. Run without run.estimate to go on.", highlight=False
    )


def _usd(row: Trajectory, endpoint: EndpointConfig) -> float:
    prompt, completion = row.usage.prompt_tokens, row.usage.completion_tokens
    return (prompt * endpoint.usd_per_1m_input + completion * endpoint.usd_per_1m_output) / 1e6
