"""One run, as its page shows it: looked at once a second, from its directory alone; and all runs, as a list."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.llm.retry import ModelCause
from serve.runs.following import MarksTail, MetricsTail, tail
from serve.runs.material import Loss, Step, told_steps
from serve.runs.timeline import Leg, Line, call_rates, call_totals, calls_of, spending, throughput, to_legs
from serve.studio.launch import LOG, RECORD, RunState, launch_of, state_of
from serve.studio.workspace import RunFolder, RunKind, Workspace

MOST_LINES = 400
"""Of the metrics that a curve is drawn from."""

LOSSES_SHARE = 10
"""Causes are read again after so many times the seconds that reading them took: they cost more than all the rest."""

SECOND_LEG = "rollout"


@dataclass(frozen=True)
class Calls:
    """Model calls: now, and over all sessions."""

    per_s: float
    in_flight: int
    waiting: int
    ended: int
    overloaded: int
    """Answered with 429 or 503."""
    failed: int
    """All others without a usable answer."""
    replayed: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class View:
    """What there is to see of a run at one moment."""

    state: RunState
    calls: Calls | None
    """None where no model was asked."""
    spent_usd: float
    budget_usd: float | None
    eta_s: float | None
    """Of the leg at work."""
    second_leg: bool
    """Trajectories are being made; else questions."""
    elapsed_s: float
    """Of work, pauses left out."""
    curves: Sequence[Line]
    """Attempts finished per second and stage."""
    call_curves: Sequence[Line]
    """Model calls per second; none where no model was asked."""
    log: str


@dataclass(frozen=True)
class Listed:
    """A line in the list of runs."""

    name: str
    kind: RunKind
    state: RunState
    rows: int | None
    """Training rows, or graded attempts; None while nobody has counted them."""
    modified: float


class RunWatch:
    """Looks at one run again and again. All of its methods read files: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._metrics, self._marks = MetricsTail(folder), MarksTail(folder)
        self._legs: Sequence[Leg] = ()
        self._curves: Sequence[Line] = ()
        self._call_curves: Sequence[Line] = ()
        self._losses: Sequence[Loss] = ()
        self._losses_due, self._stale = 0.0, True

    def look(self) -> View:
        """What has changed since the last look is read."""
        if self._metrics.refresh():
            self._legs = to_legs(line for line in self._metrics.lines if "elapsed_s" in line)
            drawn = to_legs(_thinned(self._legs))
            self._curves, self._call_curves = throughput(drawn), call_rates(drawn)
        state = state_of(self.folder)
        last = self._legs[-1].lines[-1] if self._legs else {}
        return View(
            state=state,
            calls=_calls(self._legs, last),
            spent_usd=_spent(self._legs),
            budget_usd=_budget(self.folder),
            eta_s=last.get("eta_s") if state is RunState.RUNNING else None,
            second_leg=SECOND_LEG in last.get("stages", {}),
            elapsed_s=sum(leg.seconds for leg in self._legs),
            curves=self._curves,
            call_curves=self._call_curves if any(line.points for line in self._call_curves) else (),
            log=tail(self.folder / LOG),
        )

    def steps(self) -> Sequence[Step]:
        """The funnel: of a finished run as it told it, else what is committed."""
        manifest = _manifest(self.folder) if state_of(self.folder) is RunState.FINISHED else None
        if manifest and "steps" in manifest.get("counts", {}):
            return told_steps(manifest["counts"]["steps"])
        self._marks.refresh()
        causes: dict[str, dict[str, int]] = {}
        for loss in self._losses:
            causes.setdefault(loss.step, {})[loss.cause] = loss.count
        return self._marks.steps(causes)

    def losses(self) -> Sequence[Loss]:
        """Why attempts gave no row, with examples; read again when something was committed since, of a run at work not all too often."""
        self._stale |= self._marks.refresh()
        due = time.monotonic() >= self._losses_due or not state_of(self.folder).is_alive
        if self._stale and due:
            begun = time.monotonic()
            self._losses, self._stale = self._marks.losses(), False
            self._losses_due = time.monotonic() + max(1.0, LOSSES_SHARE * (time.monotonic() - begun))
        return self._losses


def listed(workspace: Workspace) -> list[Listed]:
    """All runs, the latest first; those too that were begun here and have not come as far as a configuration."""
    found = {run.name: run for run in workspace.runs()}
    for record in workspace.root.glob(f"*/{RECORD}"):
        found.setdefault(record.parent.name, RunFolder(record.parent.name, record.parent, RunKind.SYNTHESIS, record.stat().st_mtime))
    lines = [Listed(run.name, run.kind, state_of(run.path), _made(run.path), run.modified) for run in found.values()]
    return sorted(lines, key=lambda line: (-line.modified, line.name))


def opened(workspace: Workspace, name: str) -> RunFolder:
    """The run of that name, also one that was begun a moment ago.

    Raises:
        InputError: there is none.
    """
    folder = workspace.place(name)
    if launch_of(folder) and not (folder / "config.yaml").is_file():
        return RunFolder(name, folder, RunKind.SYNTHESIS, time.time())
    return workspace.open(name)


def _thinned(legs: Sequence[Leg]) -> list[dict[str, Any]]:
    """At most about `MOST_LINES` lines; the last one of each leg stays."""
    every = 1 + sum(len(leg.lines) for leg in legs) // MOST_LINES
    return [line for leg in legs for place, line in enumerate(leg.lines, 1) if place % every == 0 or place == len(leg.lines)]


def _calls(legs: Sequence[Leg], last: Mapping[str, Any]) -> Calls | None:
    totals = call_totals(legs).values()
    if not totals:
        return None
    now = calls_of(dict(last))
    failures = sum(sum(total["failures"].values()) for total in totals)
    overloaded = sum(total["failures"][ModelCause.OVERLOADED] for total in totals)
    return Calls(
        per_s=last.get("period", {}).get("calls_per_s", 0.0),
        in_flight=sum(site["in_flight"] for site in now),
        waiting=sum(site["waiting"] for site in now),
        ended=sum(total["calls"] for total in totals),
        overloaded=overloaded,
        failed=failures - overloaded,
        replayed=sum(total["replayed"] for total in totals),
        prompt_tokens=sum(total["prompt_tokens"] for total in totals),
        completion_tokens=sum(total["completion_tokens"] for total in totals),
    )


def _spent(legs: Sequence[Leg]) -> float:
    points = spending(legs).points
    return float(points[-1][1] or 0.0) if points else 0.0


def _budget(folder: Path) -> float | None:
    try:
        found = yaml.load((folder / "config.yaml").read_bytes(), Loader=yaml.CSafeLoader)["limits"]["budget_usd"]
        return None if found is None else float(found)
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return None


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
        return found
    except (OSError, ValueError):
        return None


def _made(folder: Path) -> int | None:
    counts = (_manifest(folder) or {}).get("counts", {})
    last = counts.get("steps", {}).get("deduplicate", {}).get("rows", counts.get("attempts"))
    return None if last is None else int(last)
