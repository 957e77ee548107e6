"""The questions of a run as a data set: with what their rollouts came to, chosen by conditions, counted, compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from agents.curate.verdict import Verdict
from samplers.questions.difficulty import BANDS
from serve.runs.marks import Marked
from serve.runs.questions import TEXT
from serve.runs.rows import ACCEPTED
from serve.runs.selection import MARKS, Conditions, tagged, with_mark

SOLVED = ("always", "sometimes", "never", "untried")
"""How its rollouts ended."""
SORTS = ("id", "question", "answer", "kind", "paradigm", "hops", "difficulty", "rollouts", "right", "kept")
_OF_ROWS = ("question", "answer", "paradigm", "hops", "tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionSelection(Conditions):
    """All conditions hold; an empty one asks nothing."""

    text: str = ""
    """Stands in the question, the answer or the seed's name, or begins the id."""
    paradigm: str = ""
    kind: str = ""
    """Of the answer."""
    hops: str = ""
    difficulty: str = ""
    """A band of `samplers.questions.difficulty`."""
    tag: str = ""
    solved: str = ""
    """One of `SOLVED`."""
    rows: str = ""
    """`some`: gave training rows; `none`: gave none."""
    mark: str = ""
    """One of `selection.MARKS`: some trajectory of it is so marked."""


def gather(questions: pa.Table, rows: pa.Table) -> pa.Table:
    """The questions with rollouts, right (of them) and kept (training rows), sorted by id; those that only trajectories tell of, too.

    Args:
        questions, rows: the tables of `QuestionIndex` and `RowIndex`.
    """
    told = _tell(rows) if len(rows) else None
    table = questions.drop_columns(["shard", "place"]) if len(questions) else None
    if told is not None:
        unknown = told if table is None else told.filter(pc.invert(pc.is_in(told["id"], table["id"].combine_chunks())))
        parts = [part for part in (table, unknown.select(["id", *_OF_ROWS])) if part is not None and len(part)]
        table = pa.concat_tables(parts, promote_options="default")
    if table is None:
        return pa.table({})
    table = table.take(pc.sort_indices(table["id"]))
    for name in ("kind", "difficulty", "seed", "world"):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), pa.float64() if name == "difficulty" else pa.string()))
    table = table.set_column(table.column_names.index("kind"), "kind", pc.fill_null(table["kind"], TEXT))
    places = None if told is None else pc.index_in(table["id"], told["id"].combine_chunks())
    for name in ("rollouts", "right", "kept"):
        counted = pa.nulls(len(table), pa.int64()) if told is None or places is None else told[name].take(places)
        table = table.append_column(name, pc.fill_null(counted, 0))
    return table.combine_chunks()


def _tell(rows: pa.Table) -> pa.Table:
    """A line per question, of its trajectories: what the first of them tells of it, and how many did what."""
    encoded = rows["question_id"].combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    firsts = pa.array(np.unique(codes, return_index=True)[1])

    def counted(column: str, value: str) -> NDArray[np.int64]:
        return np.bincount(codes[pc.equal(rows[column], value).to_numpy()], minlength=len(firsts))

    told = {name: rows[name].take(firsts) for name in _OF_ROWS}
    counts = {"rollouts": np.bincount(codes), "right": counted("outcome", Verdict.RIGHT), "kept": counted("fate", ACCEPTED)}
    return pa.table({"id": encoded.dictionary} | told | counts)


def choose_questions(table: pa.Table, wanted: QuestionSelection, marked: Mapping[str, Marked], rows: pa.Table) -> NDArray[np.int64]:
    """The places of the questions that are meant, in their order."""
    if not len(table):
        return np.zeros(0, np.int64)
    keep = pa.array(np.ones(len(table), bool))
    for name in ("paradigm", "kind"):
        if value := getattr(wanted, name):
            keep = pc.and_(keep, pc.equal(table[name], value))
    if wanted.hops:
        keep = pc.and_(keep, pc.equal(pc.cast(table["hops"], pa.string()), wanted.hops))
    if wanted.difficulty in BANDS:
        least, beyond = BANDS[wanted.difficulty]
        keep = pc.and_(keep, pc.and_(pc.greater_equal(table["difficulty"], least), pc.less(table["difficulty"], beyond)))
    if wanted.tag:
        keep = pc.and_(keep, tagged(table["tags"], wanted.tag))
    if wanted.solved:
        keep = pc.and_(keep, pc.equal(solved(table), wanted.solved))
    if wanted.rows:
        keep = pc.and_(keep, pc.equal(pc.greater(table["kept"], 0), wanted.rows == "some"))
    if wanted.text:
        keep = pc.and_(keep, _says(table, wanted.text))
    if wanted.mark in MARKS and len(rows):
        asked = rows["question_id"].filter(with_mark(rows["id"], wanted.mark, marked))
        keep = pc.and_(keep, pc.is_in(table["id"], asked.combine_chunks()))
    return np.flatnonzero(pc.fill_null(keep, False).to_numpy(zero_copy_only=False))


def solved(table: pa.Table) -> pa.ChunkedArray:
    """Per question one of `SOLVED`."""
    some = pc.if_else(pc.equal(table["right"], table["rollouts"]), "always", pc.if_else(pc.equal(table["right"], 0), "never", "sometimes"))
    return pc.if_else(pc.equal(table["rollouts"], 0), "untried", some)


def in_order(table: pa.Table, places: NDArray[np.int64], column: str, descending: bool) -> NDArray[np.int64]:
    """The places by a column; equal ones by id."""
    if column not in SORTS or not len(places):
        return places
    part = table.take(pa.array(places))
    order = pc.sort_indices(part, [(column, "descending" if descending else "ascending"), ("id", "ascending")])
    ordered: NDArray[np.int64] = places[order.to_numpy()]
    return ordered


def _says(table: pa.Table, text: str) -> pa.ChunkedArray:
    found = pc.starts_with(table["id"], text)
    for name in ("question", "answer", "seed"):
        found = pc.or_(found, pc.fill_null(pc.match_substring(table[name], text, ignore_case=True), False))
    return found
