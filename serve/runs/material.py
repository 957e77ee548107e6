"""Everything the page tells, read from a run directory: rows shard by shard and column by column, never all at once."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.parquet as pq
import yaml

from agents.records import StopReason
from engine.ledger import REJECTIONS, Index, Ledger
from engine.records import Ending, Rejection, from_table
from engine.storage import Storage
from samplers.records import Question
from serve.runs.reading import open_run, read_columns
from serve.runs.timeline import Leg, read_legs

MAKES = {
    "import": "trajectories read",
    "sample": "subgraphs",
    "question": "proved questions",
    "reword": "worded questions",
    "select": "questions kept",
    "rollout": "trajectories",
    "curate": "accepted rows",
    "deduplicate": "training rows",
}
"""Steps of a run in order, and what each makes."""

BARRIERS = ("select", "deduplicate")
"""Steps that are no stage: what they dropped stands in one file each."""

EXAMPLES = 3
"""Examples kept per cause."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the funnel: attempts = rows + rejected + failed."""

    name: str
    attempts: int
    rows: int
    rejected: int
    failed: int
    causes: Mapping[str, int]


@dataclass(slots=True)
class Loss:
    """The attempts that ended with one cause in one step."""

    step: str
    cause: str
    final: bool
    """A rejection; else a failure, tried again on the next run."""
    count: int = 0
    examples: list[Ending] = field(default_factory=list)
    """The first by id."""


@dataclass(slots=True)
class Rollouts:
    """What the trajectories of a run are like."""

    count: int = 0
    turns: list[int] = field(default_factory=list)
    """Assistant messages per trajectory."""
    tools: Counter[str] = field(default_factory=Counter)
    """Tool → answered calls."""
    stops: Counter[str] = field(default_factory=Counter)
    calls: list[int] = field(default_factory=list)
    """Tool calls per trajectory."""
    tool_errors: int = 0
    model_calls: int = 0
    overcome: int = 0
    """Trajectories in which a tool failed, and that were answered all the same."""
    faults: Counter[str] = field(default_factory=Counter)
    """Injected faults: kind, and whether recovered → count."""
    recovered: int = 0
    """Trajectories that hold a recovered fault."""
    guidance: Counter[str] = field(default_factory=Counter)
    """Level of guidance → trajectories."""


@dataclass(slots=True)
class Rows:
    """What the accepted rows are like."""

    tokens: list[int] = field(default_factory=list)
    judged: Counter[str] = field(default_factory=Counter)
    """Verdict and who reached it → rows."""
    compression: list[float] = field(default_factory=list)
    """Of the thoughts, for rows that were rewritten."""


@dataclass(frozen=True, slots=True)
class Export:
    """A file to hand on: name relative to the run directory, bytes where known, content hash."""

    name: str
    size: int | None
    digest: str


@dataclass(frozen=True, slots=True)
class Material:
    """A run, read."""

    name: str
    """Of the folder: `run.name` unless `run.dir` was given."""
    config: Mapping[str, Any]
    graph: str
    manifest: Mapping[str, Any] | None
    """None while the run has not finished."""
    steps: Sequence[Step]
    losses: Sequence[Loss]
    questions: Sequence[Question]
    rollouts: Rollouts
    rows: Rows
    legs: Sequence[Leg]
    exports: Sequence[Export]


def read_material(run_dir: str) -> tuple[Storage, Material]:
    """Read what there is; a run that goes on or broke off is read as far as it came.

    Raises:
        InputError: the folder is no run directory.
    """
    storage, config = open_run(run_dir)
    index = Ledger(storage).index()
    questions = [row for name in storage.list("questions", ".parquet") for row in _rows(storage, name, Question)]
    manifest = json.loads(storage.read("manifest.json")) if storage.exists("manifest.json") else None
    losses = read_losses(storage, index)
    return storage, Material(
        name=PurePosixPath(storage.root).name,
        config=config,
        graph=str(yaml.safe_load(storage.read("schema.yaml")).get("name", "graph")) if storage.exists("schema.yaml") else "graph",
        manifest=manifest,
        steps=told_steps(manifest["counts"]["steps"]) if manifest else _counted_steps(index, losses, len(questions)),
        losses=losses,
        questions=questions,
        rollouts=_rollouts(storage, {question.id for question in questions}),
        rows=_accepted(storage),
        legs=read_legs(storage.read("metrics.jsonl")) if storage.exists("metrics.jsonl") else [],
        exports=[
            Export(f"export/{name}", _size(storage, f"export/{name}"), digest)
            for name, digest in (manifest or {}).get("exports", {}).items()
        ],
    )


def _rows(storage: Storage, name: str, cls: type[Any]) -> list[Any]:
    return from_table(pq.read_table(io.BytesIO(storage.read(name))), cls)


def told_steps(told: Mapping[str, Mapping[str, Any]]) -> list[Step]:
    """The funnel of a finished run, from its manifest."""
    ordered = [*(name for name in MAKES if name in told), *(name for name in told if name not in MAKES)]
    return [Step(name, **{key: told[name][key] for key in ("attempts", "rows", "rejected", "failed", "causes")}) for name in ordered]


def _counted_steps(index: Index, losses: Sequence[Loss], kept: int) -> list[Step]:
    """The funnel of an unfinished run, from what is committed."""
    steps = []
    for name in MAKES:
        ends = index.entries(name).values()
        causes = {loss.cause: loss.count for loss in losses if loss.step == name}
        rows = (kept if name == "select" else 0) if name in BARRIERS else sum(len(end.rows) for end in ends)
        rejected = sum(causes.values()) if name in BARRIERS else sum(end.rejections for end in ends)
        failed = sum(end.failures for end in ends)
        if rows + rejected + failed:
            steps.append(Step(name, rows + rejected + failed, rows, rejected, failed, causes))
    return steps


def read_losses(storage: Storage, index: Index) -> list[Loss]:
    """Why attempts gave no row; see `group_losses`."""
    endings: list[Ending] = []
    for step in MAKES:
        ids = index.entries(step)
        endings += [*index.rejections(step, ids), *index.failures(step, ids)]
        if step in BARRIERS and storage.exists(f"{REJECTIONS}/{step}.parquet"):
            endings += _rows(storage, f"{REJECTIONS}/{step}.parquet", Rejection)
    return group_losses(endings)


def group_losses(endings: Iterable[Ending]) -> list[Loss]:
    """Causes with their first examples, in the order of the steps, most frequent first."""
    found: dict[tuple[str, str], Loss] = {}
    for ending in endings:
        loss = found.setdefault((ending.stage, ending.cause), Loss(ending.stage, ending.cause, isinstance(ending, Rejection)))
        loss.count += 1
        if len(loss.examples) < EXAMPLES:
            loss.examples.append(ending)
    order = [*MAKES]
    return sorted(found.values(), key=lambda loss: (order.index(loss.step) if loss.step in order else len(order), -loss.count, loss.cause))


def _rollouts(storage: Storage, questions: set[str]) -> Rollouts:
    """Of the questions kept, or of all where they were imported; a trajectory that stands in two shards counts once."""
    told, seen = Rollouts(), set[str]()
    columns = ["id", "question_id", "stop_reason", "usage", "faults", "guidance"]
    columns += [f"messages.list.element.{name}" for name in ("role", "name")]
    for name in storage.list("trajectories", ".parquet"):
        for row in read_columns(storage, name, columns).to_pylist():
            if row["id"] not in seen and (row["question_id"] in questions or not questions):
                seen.add(row["id"])
                _add(told, row)
    told.count = len(seen)
    return told


def _add(told: Rollouts, row: Mapping[str, Any]) -> None:
    faults, errors = row.get("faults") or [], row["usage"]["tool_errors"]
    told.turns.append(sum(message["role"] == "assistant" for message in row["messages"]))
    told.tools.update(message["name"] or "unnamed" for message in row["messages"] if message["role"] == "tool")
    told.calls.append(row["usage"]["tool_calls"])
    told.stops[row["stop_reason"]] += 1
    told.tool_errors += errors
    told.model_calls += row["usage"]["model_calls"]
    told.overcome += bool(errors and row["stop_reason"] == StopReason.ANSWERED)
    told.faults.update(f"{fault['kind']}, {'recovered' if fault['recovered'] else 'not recovered'}" for fault in faults)
    told.recovered += any(fault["recovered"] for fault in faults)
    told.guidance[row.get("guidance") or "none"] += 1


def _accepted(storage: Storage) -> Rows:
    told = Rows()
    for name in storage.list("rows", ".parquet"):
        for row in read_columns(storage, name, ["tokens", "judged", "compression"]).to_pylist():
            told.tokens.append(row["tokens"])
            told.judged[row.get("judged") or "not judged"] += 1
            told.compression += [row["compression"]] if row.get("compression", 1.0) != 1.0 else []
    return told


def _size(storage: Storage, name: str) -> int | None:
    """Bytes of a file on a local disk; object stores are not asked for what is only a convenience."""
    path = Path(storage.path(name))
    return path.stat().st_size if path.is_file() else None
