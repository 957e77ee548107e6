"""A run directory with a handful of trajectories that ended in every way, committed as a run commits them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from agents.curate.judge import Judgement
from agents.curate.stage import to_row
from agents.curate.verdict import Verdict
from agents.records import CurateCause, Fault, FaultKind, GuidanceLevel, StopReason, TrainingRow, Trajectory
from engine.ledger import Ledger, parquet_bytes
from engine.records import Record, Rejection, derive_id, to_table
from engine.stage import Outcomes
from engine.storage import Storage
from tests.agents.worlds import call, conversation, trajectory

FAULTS = (Fault(call_id="call_0_0", tool="search", kind=FaultKind.TIMEOUT, recovered=True),)


def rollouts() -> list[Trajectory]:
    """Accepted; another rollout of its question, a double; wrong; unverified and struck by a fault; without an answer; not yet curated."""
    graph = dataclasses.replace(conversation()[2], tool_calls=(call("call_0_0", "graph"),))
    return [
        trajectory(id="a1", question_id="q1", tags=("specialty:cardiology",)),
        trajectory(id="a2", question_id="q1", rollout=1),
        trajectory(id="b1", question_id="q2", final="LMNA", hops=3, guidance=GuidanceLevel.FULL),
        trajectory(id="c1", question_id="q3", certified=False, final="something else", faults=FAULTS, hops=1),
        trajectory(id="d1", question_id="q4", final=None, stop_reason=StopReason.MAX_TURNS, messages=conversation()[:2]),
        trajectory(id="e1", question_id="q5", messages=(*conversation()[:2], graph)),
    ]


def shelve(folder: Path, per_shard: int = 2) -> Path:
    """Write the run; its folder."""
    storage = Storage(str(folder))
    storage.write("config.yaml", b"run: {name: shelf}\n")
    rows = rollouts()
    ledger = Ledger(storage)
    for start in range(0, len(rows), per_shard):
        part = rows[start : start + per_shard]
        ledger.commit("rollout", "trajectories", Trajectory, [_made(row.question_id + row.id, [row]) for row in part])
    right = Judgement(verdict=Verdict.RIGHT, by="match", reason="the same name")
    ended = [_made(row.id, [to_row(row, 100, right)]) for row in rows[:2]]
    refused = {"b1": CurateCause.WRONG_ANSWER, "c1": CurateCause.UNVERIFIED_ANSWER, "d1": CurateCause.NO_FINAL_ANSWER}
    ended += [_refused(row, refused[row.id]) for row in rows[2:5]]
    ledger.commit("curate", "rows", TrainingRow, ended)
    double = Rejection.at_barrier(to_row(rows[1], 100, right), "deduplicate", CurateCause.DUPLICATE, "same as another")
    storage.write("rejections/deduplicate.parquet", parquet_bytes(to_table([double], Rejection)))
    return folder


def _made(input_id: str, rows: Sequence[Record]) -> Outcomes[Record]:
    return Outcomes(input_id=input_id, rows=tuple(rows), rejections=(), failures=())


def _refused(row: Trajectory, cause: CurateCause) -> Outcomes[Record]:
    own = derive_id(row.id, "curate", "rejection")
    told = Rejection(id=own, trace_id=row.trace_id, stage="curate", cause=cause, detail=f"because {cause}", input_id=row.id, ordinal=0)
    return Outcomes(input_id=row.id, rows=(), rejections=(told,), failures=())
