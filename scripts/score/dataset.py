"""A data set read for comparison: a run directory, an exported file of conversations, or a file of questions."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from agents.curate.imports.imported import UnreadableError
from agents.curate.imports.reading import FORMATS
from agents.curate.stage import CurateStage, to_row
from agents.curate.tokens import TokenCounter
from agents.records import TrainingRow
from engine.errors import InputError
from engine.ledger import REJECTIONS, Ledger
from engine.records import Rejection, from_table, sorted_unique
from engine.storage import Storage
from samplers.questions.imports import read_questions
from samplers.records import Paradigm, Question
from serve.evals.benchmarks.benchmark import question
from serve.evals.dataset import DataSet

DOUBLES = f"{REJECTIONS}/deduplicate.parquet"
"""What the barrier after the last stage dropped, by training row."""

FORM = "give a run.dir of scripts.synthesize or scripts.curate, an export/sft.jsonl, or a .jsonl of questions and answers"


def read_dataset(path: str, name: str) -> DataSet:
    """What a path holds.

    Raises:
        InputError: it holds no data set.
    """
    if "://" in path or Path(path).is_dir():
        return _of_run(Storage(path), name)
    if not Path(path).is_file():
        raise InputError(path, "no such file or folder", FORM)
    return _of_file(Path(path), name)


def _of_run(storage: Storage, name: str) -> DataSet:
    """The questions of a run, and its training rows without those that the last barrier dropped."""
    shards = storage.list("questions", ".parquet")
    questions = [row for shard in shards for row in from_table(pq.read_table(io.BytesIO(storage.read(shard))), Question)]
    index = Ledger(storage).index()
    rows = index.rows(CurateStage.name, TrainingRow, index.entries(CurateStage.name))
    if not questions and not rows:
        raise InputError(storage.root, "holds no questions and no training rows of a run", FORM)
    dropped = from_table(pq.read_table(io.BytesIO(storage.read(DOUBLES))), Rejection) if storage.exists(DOUBLES) else []
    gone = {row.input_id for row in dropped}
    return _data_set(name, questions, [row for row in rows if row.id not in gone], 0)


def _of_file(path: Path, name: str) -> DataSet:
    """Conversations where its first line holds one, else questions."""
    if path.suffix != ".jsonl":
        raise InputError(path, "is no file of JSON lines", FORM)
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
        first = json.loads(lines[0]) if lines else None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(path, f"cannot be read as JSON lines: {error}", FORM) from None
    if not isinstance(first, dict):
        raise InputError(path, "does not begin with a JSON object", FORM)
    if not any(known.recognises(first) for known in FORMATS.values()):
        return _data_set(name, read_questions(path), [], 0)
    counter, rows, problem = TokenCounter(), list[TrainingRow](), ""
    for line in lines:
        try:
            rows.append(_row(line, counter))
        except UnreadableError as error:
            problem = problem or str(error)
    if not rows:
        raise InputError(path, f"holds no conversation that can be read: {problem}", FORM)
    return _data_set(name, [], rows, len(lines) - len(rows))


def _row(line: str, counter: TokenCounter) -> TrainingRow:
    """The conversation of a line; what our own exports say of it in `metadata` is kept, and stated nowhere else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"is not JSON: {error}") from None
    known = next((known for known in FORMATS.values() if known.recognises(value)), None) if isinstance(value, dict) else None
    if known is None:
        raise UnreadableError("is of no known format")
    trajectory = known.read(value)
    row = to_row(trajectory, counter.conversation(trajectory.messages))
    said: Mapping[str, Any] = value["metadata"] if isinstance(value.get("metadata"), dict) else {}
    texts = {key: str(said[key]) for key in ("id", "question_id", "trace_id", "paradigm") if said.get(key)}
    hops = str(said.get("hops") or "")
    return dataclasses.replace(row, **texts, hops=int(hops) if hops.isdecimal() else row.hops)  # type: ignore[arg-type]  # texts are such


def _data_set(name: str, questions: Iterable[Question], rows: Sequence[TrainingRow], unread: int) -> DataSet:
    """With the questions that rows answer, where no file has them."""
    known = {row.id: row for row in questions}
    for row in rows:
        if row.question_id not in known:
            known[row.question_id] = _asked(row)
    return DataSet(name, sorted_unique(known.values()), sorted_unique(rows), unread)


def _asked(row: TrainingRow) -> Question:
    made = question("imported", row.question, row.answer, aliases=row.answer_aliases, hops=row.hops, tags=row.tags)
    paradigm = Paradigm(row.paradigm) if row.paradigm in list(Paradigm) else Paradigm.IMPORTED
    return dataclasses.replace(made, id=row.question_id, trace_id=row.trace_id, paradigm=paradigm, certified=row.certified)
