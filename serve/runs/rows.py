"""The trajectories of a run as a table to look things up in: one line each, what became of it beside it, no message read.

A hundred thousand rows lie in some thousands of shards, whose footers alone take a second to read: what was read is kept in a cache
file, and a reader who cannot wait gets what there is so far (`RowIndex.read`). One trajectory is then read from its own shard.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agents.curate.judge import compare
from agents.curate.verdict import Verdict
from agents.records import CurateCause, TrainingRow, Trajectory
from engine.errors import InputError
from engine.records import derive_id, from_table, sorted_unique
from serve.runs.flat import joined, leaf, plain
from serve.runs.shards import FlatShards, Layout, read_place

ACCEPTED = "accepted"
"""Fate of a trajectory that became a training row; others have the cause for which they did not, or none yet."""
NUMBERS = ("prompt_tokens", "completion_tokens", "model_calls", "tool_calls", "tool_errors")
_TEXT, _TEXTS, _NUMBER = pa.string(), pa.list_(pa.string()), pa.int64()


class RowIndex:
    """The index of one run. Safe to use from several threads."""

    def __init__(self, run: Path, cache: Path | None = None) -> None:
        """Args:
        cache: folder for files that spare the reading when the run is opened again.
        """
        self._run, self._lock = run, threading.Lock()
        self._shards = {name: FlatShards(run, layout, cache) for name, layout in LAYOUTS.items()}
        self._table: pa.Table | None = None
        self.is_whole = False
        """Whether all that the run has was read, as of the last `read`."""

    def read(self, seconds: float = math.inf) -> pa.Table:
        """The table, sorted by id, each trajectory once, with what can be read in so many seconds.

        Columns: id, row_id, question_id, question, answer, given, paradigm, hops, rollout, policy, stop_reason, guidance, the numbers
        of its usage, tools and faults (`flat.joined`), tags, outcome (`Verdict`), fate (`ACCEPTED`, a cause, or ""), detail, judged,
        tokens, compression, shard, place.
        """
        with self._lock:
            until = time.monotonic() + seconds
            changed = [shards.read(until) for shards in self._shards.values()]
            self.is_whole = not any(shards.missing for shards in self._shards.values())
            if any(changed) or self._table is None:
                self._table = _together(*(shards.table for shards in self._shards.values()))
                if self.is_whole:
                    for shards in self._shards.values():
                        shards.save()
            return self._table

    @property
    def now(self) -> pa.Table:
        """The table as it was read last."""
        return self._table if self._table is not None else self.read()

    @property
    def damaged(self) -> list[str]:
        """Shards that cannot be read."""
        return sorted(name for shards in self._shards.values() for name in shards.damaged)

    def trajectory(self, own: str) -> Trajectory:
        """One trajectory, whole.

        Raises:
            InputError: none of that id was read.
        """
        table = self.now
        place = pc.index(table["id"], own).as_py() if len(table) else -1
        if place < 0:
            raise InputError(own[:100], f"is no trajectory of {self._run.name}", "choose one from the list")
        shard = self._shards["trajectories"].names[table["shard"][place].as_py()]
        return from_table(read_place(self._run / shard, table["place"][place].as_py()), Trajectory)[0]

    def trajectories(self, ids: Sequence[str]) -> list[Trajectory]:
        """Those of `ids` that were read, whole, sorted by id."""
        return sorted_unique(from_table(self._shards["trajectories"].pick(ids), Trajectory))

    def training_rows(self, ids: Sequence[str]) -> list[TrainingRow]:
        """The training rows of those of `ids` (their own, not the trajectories') that were read, sorted by id."""
        return sorted_unique(from_table(self._shards["rows"].pick(ids), TrainingRow))


def _trajectories(raw: pa.Table) -> pa.Table:
    """What a trajectory's own shard tells."""
    texts = ("id", "question_id", "question", "answer", "paradigm", "policy", "stop_reason", "guidance")
    columns = {name: plain(raw, name, _TEXT) for name in texts} | {"given": plain(raw, "final_answer", _TEXT)}
    columns |= {name: plain(raw, name, _NUMBER) for name in ("hops", "rollout")}
    usage = plain(raw, "usage", pa.struct([(name, _NUMBER) for name in NUMBERS]))
    columns |= {name: pc.struct_field(usage, name) for name in NUMBERS}
    columns["tools"] = joined(len(raw), *leaf(raw, "messages", "tool_calls", "name"))
    struck, kinds = leaf(raw, "faults", "kind")
    ends = pc.if_else(leaf(raw, "faults", "recovered")[1], "recovered", "not_recovered") if len(kinds) else kinds
    columns["faults"] = joined(len(raw), np.concatenate([struck, struck]), pa.concat_arrays([kinds, ends]))
    columns["tags"] = plain(raw, "tags", _TEXTS)
    columns["row_id"] = pa.array([derive_id(own, "curate") for own in columns["id"].to_pylist()], _TEXT)
    columns["compared"] = _compared(columns, plain(raw, "answer_aliases", _TEXTS), plain(raw, "certified", pa.bool_()))
    return pa.table(columns)


def _compared(columns: dict[str, pa.Array], aliases: pa.Array, certified: pa.Array) -> pa.Array:
    """What comparing the texts tells of an answer, as a `Verdict`; null where it takes more. Most are the same letter by letter."""
    given, answer = (pc.fill_null(columns[name], "") for name in ("given", "answer"))
    same = pc.and_(pc.equal(given, answer), pc.not_equal(given, "")).to_numpy(zero_copy_only=False)
    found: list[str | None] = [Verdict.RIGHT.value] * len(same)
    for place in np.flatnonzero(~same).tolist():
        closed, names = bool(certified[place].as_py()), aliases[place].as_py() or ()
        told = compare(given[place].as_py(), answer[place].as_py(), names, closed=closed)
        found[place] = told.verdict.value if told else None
    return pa.array(found, _TEXT)


def _chosen(**kinds: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    """Flat columns as they are."""
    return lambda raw: pa.table({name: plain(raw, name, kind) for name, kind in kinds.items()})


_ENDINGS = _chosen(input_id=_TEXT, cause=_TEXT, detail=_TEXT)
LAYOUTS = {
    "trajectories": Layout(
        "trajectories",
        "",
        (
            *("id", "question_id", "question", "answer", "answer_aliases", "certified", "paradigm", "policy", "stop_reason", "guidance"),
            *("final_answer", "hops", "rollout", "usage", "tags", "faults.list.element.kind", "faults.list.element.recovered"),
            "messages.list.element.tool_calls.list.element.name",
        ),
        _trajectories,
    ),
    "rows": Layout(
        "rows",
        "",
        ("id", "judged", "tokens", "compression"),
        _chosen(id=_TEXT, judged=_TEXT, tokens=_NUMBER, compression=pa.float64()),
    ),
    "rejections": Layout("rejections", "curate-", ("input_id", "cause", "detail"), _ENDINGS),
    "doubles": Layout("rejections", "deduplicate", ("input_id", "cause", "detail"), _ENDINGS),
    "failures": Layout("failures", "curate-", ("input_id", "cause", "detail"), _ENDINGS),
    "graded": Layout(
        "graded",
        "",
        ("id", "verdict", "judged_by", "reason"),
        _chosen(id=_TEXT, verdict=_TEXT, judged_by=_TEXT, reason=_TEXT),
    ),
}


def _together(own: pa.Table, rows: pa.Table, rejected: pa.Table, doubled: pa.Table, failed: pa.Table, graded: pa.Table) -> pa.Table:
    """The trajectories, each with its fate. What was dropped by the last barrier, or failed before it came right, has a row too."""
    if not len(own):
        return pa.table({})
    own = own.take(pc.sort_indices(own["id"]))
    firsts = np.unique(own["id"].combine_chunks().to_numpy(zero_copy_only=False), return_index=True)[1]
    own = own.take(pa.array(firsts)) if len(firsts) < len(own) else own
    fate, detail = pa.nulls(len(own), _TEXT), pa.nulls(len(own), _TEXT)
    kept = _beside(own["row_id"], rows, "id")
    doubles = _beside(own["row_id"], doubled, "input_id")
    fate = pc.coalesce(doubles("cause", _TEXT), pc.if_else(pc.is_valid(kept("id", _TEXT)), ACCEPTED, fate))
    detail = doubles("detail", _TEXT)
    for endings in (rejected, failed):
        ended = _beside(own["id"], endings, "input_id")
        detail = pc.if_else(pc.is_valid(fate), detail, ended("detail", _TEXT))
        fate = pc.coalesce(fate, ended("cause", _TEXT))
    verdicts = _beside(_grade_ids(own, graded), graded, "id")
    by_fate = pc.if_else(pc.equal(fate, CurateCause.WRONG_ANSWER), Verdict.WRONG.value, pa.scalar(None, _TEXT))
    judged = kept("judged", _TEXT)
    accepted = pc.if_else(pc.starts_with(judged, Verdict.RIGHT.value), Verdict.RIGHT.value, pa.scalar(None, _TEXT))
    outcome = pc.coalesce(verdicts("verdict", _TEXT), accepted, own["compared"], by_fate, Verdict.UNKNOWN.value)
    told = pc.binary_join_element_wise(verdicts("verdict", _TEXT), verdicts("judged_by", _TEXT), " by ")
    added = {
        "outcome": outcome,
        "fate": pc.fill_null(fate, ""),
        "detail": pc.coalesce(detail, verdicts("reason", _TEXT), ""),
        "judged": pc.coalesce(told, judged, ""),
        "tokens": kept("tokens", _NUMBER),
        "compression": kept("compression", pa.float64()),
    }
    own = own.drop_columns(["compared"])
    for name, column in added.items():
        own = own.append_column(name, column)
    return own


def _grade_ids(own: pa.Table, graded: pa.Table) -> pa.ChunkedArray | pa.Array:
    """Ids of the grades of trajectories; derived only for runs that have grades."""
    if not len(graded):
        return own["id"]
    return pa.array([derive_id(each, "grade") for each in own["id"].to_pylist()], _TEXT)


def _beside(keys: pa.ChunkedArray, table: pa.Table, key: str) -> Callable[[str, pa.DataType], pa.Array]:
    """Looks up columns of a table by its key; null where it has none."""
    if not len(table):
        return lambda name, kind: pa.nulls(len(keys), kind)
    places = pc.index_in(keys, table[key].combine_chunks())
    return lambda name, kind: table[name].take(places)
