"""Which trajectories of a run are meant: what is asked of a line of its index, as it stands in an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from serve.runs.flat import holds, labels
from serve.runs.marks import Marked

MOST_TEXT = 200
"""Characters of a condition."""
SOME, NONE = "any", "none"
"""Of faults: struck by one or more, or by none. Of the fate: no ending yet."""
MARKS = ("accepted", "rejected", "disputed", "noted", "marked", "unmarked")
IN_TEXT = ("question", "answer", "given")
"""Where `text` is looked for, besides beginnings of ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Texts that an address holds under the names of the fields; an empty one is no condition."""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Of an address; what it does not know is left out."""
        return cls(**{field.name: query[field.name].strip()[:MOST_TEXT] for field in fields(cls) if field.name in query})

    def query(self) -> dict[str, str]:
        """For an address."""
        return {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection(Conditions):
    """All conditions hold; an empty one asks nothing."""

    text: str = ""
    """Stands in the question, the gold answer or the answer given, or begins an id."""
    outcome: str = ""
    """A `Verdict`."""
    fate: str = ""
    """`rows.ACCEPTED`, a cause of rejection, or `NONE`."""
    stop: str = ""
    """A `StopReason`."""
    paradigm: str = ""
    hops: str = ""
    tool: str = ""
    """Was called."""
    faults: str = ""
    """A kind, `recovered`, `not_recovered`, `SOME` or `NONE`."""
    guidance: str = ""
    tag: str = ""
    mark: str = ""
    """One of `MARKS`, by all reviewers together."""


def choose(table: pa.Table, wanted: Selection, marked: Mapping[str, Marked]) -> NDArray[np.int64]:
    """The places of the lines that are meant, in their order."""
    if not len(table):
        return np.zeros(0, np.int64)
    keep = pa.array(np.ones(len(table), bool))
    for name, column in (("outcome", "outcome"), ("stop", "stop_reason"), ("paradigm", "paradigm"), ("guidance", "guidance")):
        if value := getattr(wanted, name):
            keep = pc.and_(keep, pc.equal(table[column], value))
    if wanted.fate:
        keep = pc.and_(keep, pc.equal(table["fate"], "" if wanted.fate == NONE else wanted.fate))
    if wanted.hops:
        keep = pc.and_(keep, pc.equal(pc.cast(table["hops"], pa.string()), wanted.hops))
    if wanted.tool:
        keep = pc.and_(keep, holds(table["tools"], wanted.tool))
    if wanted.faults:
        keep = pc.and_(keep, _struck(table["faults"], wanted.faults))
    if wanted.tag:
        keep = pc.and_(keep, tagged(table["tags"], wanted.tag))
    if wanted.text:
        keep = pc.and_(keep, _says(table, wanted.text))
    if wanted.mark:
        keep = pc.and_(keep, with_mark(table["id"], wanted.mark, marked))
    return np.flatnonzero(pc.fill_null(keep, False).to_numpy(zero_copy_only=False))


def line_at(table: pa.Table, place: int) -> dict[str, Any]:
    """One line, by column."""
    row: dict[str, Any] = table.slice(place, 1).to_pylist()[0]
    return row


def options(table: pa.Table) -> dict[str, dict[str, int]]:
    """Condition → what it can ask for in this table and how many lines answer it, the most frequent first; hops by number."""
    if not len(table):
        return {}
    found = {
        name: _counted(table[column])
        for name, column in (
            *(("outcome", "outcome"), ("fate", "fate"), ("stop", "stop_reason"), ("paradigm", "paradigm")),
            *(("hops", "hops"), ("guidance", "guidance")),
        )
    }
    found["hops"] = dict(sorted(found["hops"].items(), key=lambda item: int(item[0])))
    if "" in found["fate"]:
        found["fate"][NONE] = found["fate"].pop("")
    found["tool"] = {label: pc.sum(holds(table["tools"], label)).as_py() for label in labels(table["tools"])}
    struck = {label: pc.sum(holds(table["faults"], label)).as_py() for label in labels(table["faults"])}
    none = len(table) - (pc.sum(_struck(table["faults"], SOME)).as_py() or 0)
    found["faults"] = ({SOME: len(table) - none, NONE: none} | struck) if struck else {}
    found["tag"] = _counted(pc.list_flatten(table["tags"]))
    return found


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    counted = [(str(each["values"]), each["counts"]) for each in pc.value_counts(column).to_pylist() if each["values"] is not None]
    return dict(sorted(counted, key=lambda item: (-item[1], item[0])))


def _struck(column: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    if kind in (SOME, NONE):
        return pc.greater(pc.binary_length(column), 1) if kind == SOME else pc.less_equal(pc.binary_length(column), 1)
    return holds(column, kind)


def tagged(column: pa.ChunkedArray, tag: str) -> pa.Array:
    """Which rows of a column of lists hold a tag."""
    whole = column.combine_chunks()
    found = np.zeros(len(whole), bool)
    rows = pc.list_parent_indices(whole).to_numpy(zero_copy_only=False)
    found[rows[pc.fill_null(pc.equal(pc.list_flatten(whole), tag), False).to_numpy(zero_copy_only=False)]] = True
    return pa.array(found)


def _says(table: pa.Table, text: str) -> pa.ChunkedArray:
    hits = [pc.starts_with(table[name], text) for name in ("id", "question_id", "row_id")]
    hits += [pc.fill_null(pc.match_substring(table[name], text, ignore_case=True), False) for name in IN_TEXT]
    found = hits[0]
    for hit in hits[1:]:
        found = pc.or_(found, hit)
    return found


def with_mark(ids: pa.ChunkedArray, kind: str, marked: Mapping[str, Marked]) -> pa.ChunkedArray:
    """Which trajectories are marked so; `kind` is one of `MARKS`."""
    told: dict[str, Callable[[Marked], bool]] = {
        "accepted": lambda one: one.accepted is True,
        "rejected": lambda one: one.accepted is False,
        "disputed": lambda one: one.is_disputed,
        "noted": lambda one: any(mark.note for mark in one.marks),
        "marked": lambda one: True,
    }
    chosen = told.get(kind, told["marked"])
    found = pc.is_in(ids, pa.array([own for own, one in marked.items() if chosen(one)], pa.string()))
    return pc.equal(found, kind != "unmarked")
