"""Benchmark questions from files of many makes: what training data must not teach."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import InputError
from samplers.graph.tables import read_lines

FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
QUESTION_KEYS = ("question", "query", "prompt", "problem", "input")
"""Columns that hold the question, as the published sets call them; the first that a row has."""
ANSWER_KEYS = ("answer", "answers", "final_answer", "gold", "gold_answer", "ground_truth", "target", "aliases", "answer_aliases")
"""Columns that hold answers; all of them count."""
ROWS_AT_ONCE = 4096
REMEDY = f"give each row a question (one of: {', '.join(QUESTION_KEYS)}) and an answer (one of: {', '.join(ANSWER_KEYS)})"


@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """One question of a benchmark; `place` is `file, row n` (from 1; of line-based files the line)."""

    place: str
    question: str
    answers: tuple[str, ...]


class Benchmarks:
    """The benchmark files under a path. `unread` names files without a single question, known once all rows were seen."""

    def __init__(self, path: str | Path) -> None:
        """Raises: InputError: there is nothing at `path`, or no file of a known format."""
        self._root = Path(path)
        if not self._root.exists():
            raise InputError(self._root, "no such file or folder", "set gates.benchmarks to a folder of benchmark questions, or to null")
        found = [self._root] if self._root.is_file() else sorted(self._root.rglob("*"))
        self.files = [file for file in found if file.is_file() and file.suffix.lower() in FORMATS]
        if not self.files:
            raise InputError(self._root, "holds no benchmark file", f"put files there that end in {', '.join(FORMATS)}")
        self.unread: list[str] = []

    def rows(self) -> Iterator[BenchmarkRow]:
        """Every question, files in the order of their names.

        Raises:
            InputError: a file cannot be read as what its name says, or none holds a question.
        """
        self.unread = []
        for file in self.files:
            name, any_question = str(file.relative_to(self._root)) if file != self._root else file.name, False
            for number, values in _objects(file):
                row = _row(f"{name}, row {number}", values)
                if row is not None:
                    any_question = True
                    yield row
            if not any_question:
                self.unread.append(name)
        if len(self.unread) == len(self.files):
            raise InputError(self._root, "no row of any file has a question", REMEDY)


def _row(place: str, values: Mapping[str, Any]) -> BenchmarkRow | None:
    question = next((values[key] for key in QUESTION_KEYS if isinstance(values.get(key), str) and values[key].strip()), None)
    if question is None:
        return None
    answers = [text for key in ANSWER_KEYS for text in _texts(values.get(key))]
    return BenchmarkRow(place, question, tuple(dict.fromkeys(answers)))


def _texts(value: Any) -> Iterator[str]:
    """A text, or the texts in a list or an object (SQuAD writes `{"text": ["…"]}`)."""
    if isinstance(value, str):
        if value.strip():
            yield value.strip()
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Mapping):
        for key in ("text", "value", "name", "aliases"):
            yield from _texts(value.get(key))


def _objects(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    match file.suffix.lower():
        case ".parquet":
            yield from _parquet_rows(file)
        case ".jsonl":
            for line, text in read_lines(file):
                if text.strip():
                    yield line, _object(file, _json(file, text, line), line)
        case ".json":
            whole = _json(file, "\n".join(text for _, text in read_lines(file)), None)
            listed = whole if isinstance(whole, list) else next((value for value in whole.values() if isinstance(value, list)), [whole])
            yield from ((number, _object(file, value, None)) for number, value in enumerate(listed, start=1))
        case suffix:
            lines = (text for _, text in read_lines(file))
            yield from enumerate(csv.DictReader(lines, delimiter="\t" if suffix == ".tsv" else ","), start=1)


def _parquet_rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        opened = pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise InputError(file, f"is no Parquet file: {error}", "write it with pyarrow, pandas or polars") from None
    columns = [name for name in opened.schema_arrow.names if name in (*QUESTION_KEYS, *ANSWER_KEYS)]
    number = 0
    for batch in opened.iter_batches(ROWS_AT_ONCE, columns=columns):
        for values in batch.to_pylist():
            number += 1
            yield number, values


def _json(file: Path, text: str, line: int | None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(file, f"is not JSON: {error.msg} (column {error.colno})", REMEDY, line or error.lineno) from None
    except (ValueError, RecursionError) as error:  # lists in lists in lists, a number of thousands of digits
        raise InputError(file, f"cannot be read as JSON: {error}"[:200], REMEDY, line) from None


def _object(file: Path, value: Any, line: int | None) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(file, f"is no JSON object but {value!r:.40}", REMEDY, line)
    return value
