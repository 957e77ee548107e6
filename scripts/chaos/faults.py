"""What goes wrong, when: the plan of a trial, drawn from its seed alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.records import derive_id


class Fault(StrEnum):
    """One thing that goes wrong."""

    WORKER = "worker killed"
    """SIGKILL to a stage actor, most often to one that asks the model."""
    GOVERNOR = "governor killed"
    BOARD = "board killed"
    SERVER = "model server killed"
    """And started again on the same port."""
    STALL = "worker stalled"
    """SIGSTOP, some seconds, SIGCONT."""
    DRIVER = "driver killed"
    """SIGKILL to the driver alone; what it leaves behind has to end by itself while the next run starts."""
    MACHINE = "machine killed"
    """SIGKILL to the driver and its whole Ray."""
    DISK_FULL = "disk full"
    NOTHING = "nothing"
    """The run ends by itself."""
    TORN_TAPE = "tape torn"
    TORN_SIDECAR = "sidecar torn"
    TORN_SHARD = "shard torn"
    TORN_MARK = "mark torn"


KILLS = (Fault.WORKER, Fault.GOVERNOR, Fault.BOARD, Fault.SERVER, Fault.DRIVER, Fault.MACHINE)
"""What counts as a kill."""

LOSES_CALLS = (Fault.WORKER, Fault.SERVER, Fault.DRIVER, Fault.MACHINE, Fault.DISK_FULL)
"""What may cost calls that were in flight."""

DURING = {Fault.WORKER: 11, Fault.GOVERNOR: 3, Fault.BOARD: 2, Fault.SERVER: 2, Fault.STALL: 2}
"""Weights of the faults that a run survives. Restarting is what takes time, of workers most, and they hold what can be lost."""

ENDS = {Fault.DRIVER: 5, Fault.MACHINE: 5, Fault.DISK_FULL: 2, Fault.NOTHING: 1}
"""Weights of how a disturbed run ends."""

BETWEEN = (Fault.TORN_TAPE, Fault.TORN_SIDECAR, Fault.TORN_SHARD, Fault.TORN_MARK)

CALM_S, EARLY_S = 1.2, 12.0
"""Longest pause before a fault; latest moment of an end that comes without other faults, during start-up for example."""


@dataclass(frozen=True)
class RunPlan:
    """One disturbed run."""

    faults: tuple[tuple[float, Fault], ...]
    """Seconds to wait, then what happens."""
    end: tuple[float, Fault]
    damage: tuple[Fault, ...]
    """To the files, after the run."""


@dataclass(frozen=True)
class TrialPlan:
    """Some disturbed runs; an undisturbed one follows."""

    runs: tuple[RunPlan, ...]
    server_errors: float
    unavailable: float
    dropped: float


def plan_trial(seed: int, trial: int, faults_per_run: int, runs: int) -> TrialPlan:
    """The same arguments give the same plan."""
    rng = random.Random(int(derive_id("chaos", seed, trial), 16))
    shares = (0.12, 0.02, 0.06) if rng.random() < 0.5 else (0.0, 0.0, 0.0)  # one call in five fails, in every other trial
    return TrialPlan(tuple(_plan_run(rng, faults_per_run) for _ in range(runs)), *shares)


def _plan_run(rng: random.Random, faults: int) -> RunPlan:
    damage = tuple(rng.sample(BETWEEN, rng.choice((0, 1, 2))))
    if rng.random() < 0.1:
        return RunPlan((), (rng.uniform(0.0, EARLY_S), rng.choice((Fault.DRIVER, Fault.MACHINE))), damage)
    during = tuple((rng.uniform(0.0, CALM_S), _draw(rng, DURING)) for _ in range(faults))
    return RunPlan(during, (rng.uniform(0.0, CALM_S), _draw(rng, ENDS)), damage)


def _draw(rng: random.Random, weights: dict[Fault, int]) -> Fault:
    kinds: Sequence[Fault] = list(weights)
    return rng.choices(kinds, list(weights.values()))[0]
