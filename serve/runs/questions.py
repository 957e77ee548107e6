"""The questions of a run as a table to look things up in, and one of them with its proof."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from engine.records import from_table, sorted_unique
from samplers.records import ANSWER, Question
from serve.runs.flat import leaf, plain
from serve.runs.shards import FlatShards, Layout, read_place

NUMBER, TEXT = "number", "text"
"""Kinds of answers that are no entity: worked out, and imported without a proof."""
_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
_VARIABLES = "certificate.query.variables.list.element"


class QuestionIndex:
    """The index of one run's questions. Safe to use from several threads."""

    def __init__(self, run: Path, cache: Path | None = None) -> None:
        """Args:
        cache: see `serve.runs.rows.RowIndex`.
        """
        self._run, self._lock = run, threading.Lock()
        self._shards = FlatShards(run, LAYOUT, cache)
        self._table: pa.Table | None = None

    def read(self) -> pa.Table:
        """The table, sorted by id.

        Columns: id, question, answer, kind (of the answer: an entity's kind, `NUMBER` or `TEXT`), paradigm, hops, difficulty, seed,
        strategy, certified, world, worded_by, tags, shard, place.
        """
        with self._lock:
            if self._shards.read(math.inf) or self._table is None:
                table = self._shards.table
                self._table = table.take(pc.sort_indices(table["id"])) if len(table) else table
                self._shards.save()
            return self._table

    def question(self, own: str) -> Question | None:
        """One question, whole; None where the run has none of that id."""
        table = self._table if self._table is not None else self.read()
        place = pc.index(table["id"], own).as_py() if len(table) else -1
        if place < 0:
            return None
        shard = self._shards.names[table["shard"][place].as_py()]
        return from_table(read_place(self._run / shard, table["place"][place].as_py()), Question)[0]

    def pick(self, ids: Sequence[str]) -> list[Question]:
        """Those of `ids` that the run has, whole, sorted by id."""
        self.read()
        return sorted_unique(from_table(self._shards.pick(ids), Question))


def _flatten(raw: pa.Table) -> pa.Table:
    texts = {"id": "id", "question": "text", "answer": "answer", "paradigm": "paradigm", "seed": "seed_name", "strategy": "strategy"}
    columns = {name: plain(raw, source, _TEXT) for name, source in texts.items()}
    rows, names = leaf(raw, "certificate", "query", "variables", "name")
    kinds = leaf(raw, "certificate", "query", "variables", "kind")[1]
    asked = pc.equal(names, ANSWER)
    of_row = pc.index_in(pa.array(range(len(raw))), pa.array(rows).filter(asked))
    worked_out = pc.and_(pc.equal(plain(raw, "answer_entity", _TEXT), ""), plain(raw, "certified", pa.bool_()))
    columns["kind"] = pc.if_else(worked_out, NUMBER, pc.fill_null(kinds.filter(asked).take(of_row), TEXT))
    columns |= {"hops": plain(raw, "hops", pa.int64()), "difficulty": plain(raw, "difficulty", pa.float64())}
    columns |= {"certified": plain(raw, "certified", pa.bool_()), "worded_by": plain(raw, "worded_by", _TEXT)}
    worlds = leaf(raw, "certificate", "world")
    columns["world"] = worlds[1].take(pc.index_in(pa.array(range(len(raw))), pa.array(worlds[0])))
    return pa.table(columns | {"tags": plain(raw, "tags", _TEXTS)})


LAYOUT = Layout(
    "questions",
    "",
    (
        *(
            "id",
            "text",
            "answer",
            "answer_entity",
            "paradigm",
            "seed_name",
            "strategy",
            "hops",
            "difficulty",
            "certified",
            "worded_by",
            "tags",
        ),
        *(f"{_VARIABLES}.name", f"{_VARIABLES}.kind", "certificate.world"),
    ),
    _flatten,
)
