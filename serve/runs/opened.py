"""A run directory, opened to be read and browsed: its indexes, its marks and its tags."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from engine.storage import Storage
from serve.runs.marks import MarkBook
from serve.runs.questions import QuestionIndex
from serve.runs.rows import RowIndex
from serve.runs.sets import gather
from serve.runs.tags import TagBook, TagRule, overlaid


@dataclass(slots=True)
class _Kept:
    """What `OpenRun.questions_told` was made of, and the result."""

    questions: pa.Table | None = None
    rows: pa.Table | None = None
    rules: list[TagRule] = field(default_factory=list)
    table: pa.Table | None = None


class OpenRun:
    """One run. Safe to use from several threads."""

    def __init__(self, name: str, path: Path, cache: Path | None = None) -> None:
        """Args:
        name: as people call it.
        cache: see `RowIndex`.
        """
        self.name, self.path, self.storage = name, path, Storage(str(path))
        self.rows, self.questions = RowIndex(path, cache), QuestionIndex(path, cache)
        self.marks, self.tags = MarkBook(self.storage), TagBook(self.storage)
        self._lock, self._kept = threading.Lock(), _Kept()

    def told(self, seconds: float = math.inf) -> pa.Table:
        """The questions with what came of them, and with the tags that people gave (`sets.gather`, `tags.overlaid`).

        Args:
            seconds: for reading trajectories; see `RowIndex.read`.

        Raises:
            InputError: a line of the marks or the rules is none.
        """
        questions, rows, rules, marked = self.questions.read(), self.rows.read(seconds), self.tags.read(), self.marks.read()
        with self._lock:
            kept = self._kept
            by_mark = any("mark" in rule.where for rule in rules)
            if kept.table is None or kept.questions is not questions or kept.rows is not rows or kept.rules != rules or by_mark:
                table = overlaid(gather(questions, rows), rules, marked, rows)
                self._kept = kept = _Kept(questions, rows, rules, table)
            assert kept.table is not None
            return kept.table

    def rows_told(self, seconds: float = math.inf) -> pa.Table:
        """The trajectories (`RowIndex.read`), with the tags that people gave their questions.

        Raises:
            InputError: see `told`.
        """
        rows = self.rows.read(seconds)
        if not len(rows) or not self.tags.read():
            return rows
        told = self.told(0)
        tags = told["tags"].take(pc.index_in(rows["question_id"], told["id"].combine_chunks()))
        return rows.set_column(rows.column_names.index("tags"), "tags", tags)
