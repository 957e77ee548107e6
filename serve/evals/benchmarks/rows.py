"""Rows of a benchmark's file, whatever it is written in: CSV, TSV, JSON, JSON lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import InputError, nearest

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""A character written as two halves, of which one may be missing."""

DIGITS = 4
"""Of a count: more are an id, or a mishap."""

FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


@dataclass(frozen=True, slots=True)
class Row:
    """One row, and where it stands for messages: the line, or the place in a list or table, from 1."""

    path: Path
    number: int
    values: Mapping[str, Any]

    def text(self, *names: str) -> str:
        """The first of these columns that holds text (or a number, in digits).

        Raises:
            InputError: none does.
        """
        found = self.maybe(*names)
        if found:
            return found
        near = nearest(names[0], list(self.values))
        meant = f" (is it in {near[0]!r}?)" if near and near[0] not in names else ""
        raise self.wrong(f"has no text in {' or '.join(names)}{meant}", f"every row needs {names[0]}")

    def maybe(self, *names: str) -> str:
        """The same, or the empty text."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return str(value)
            if isinstance(value, str) and value.strip():
                return value.strip()
        return ""

    def texts(self, *names: str) -> tuple[str, ...]:
        """The texts in the first of these columns that holds a list; none without one.

        Raises:
            InputError: it holds something else.
        """
        value: Any = next((self.values[name] for name in names if self.values.get(name) is not None), [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(f"{names[0]} is no list of texts but {value!r:.60}", 'write it as ["…", "…"], or leave it out')
        return tuple(item.strip() for item in value if item.strip())

    def count(self, name: str) -> int:
        """The small whole number in a column; 0 where it is empty.

        Raises:
            InputError: it holds something else.
        """
        value = self.values.get(name) or 0
        if not str(value).isdecimal() or len(str(value)) > DIGITS:
            raise self.wrong(f"{name} is no count but {value!r:.40}", "write a number, or leave it out")
        return int(value)

    def wrong(self, problem: str, remedy: str) -> InputError:
        """The error that names this row."""
        return InputError(self.path, problem, remedy, self.number)


def read_rows(path: Path, needs: Iterable[str] = ()) -> list[Row]:
    """All rows of a file.

    Args:
        needs: columns that the first row must have.

    Raises:
        InputError: it cannot be read as what its name says, or a column is missing.
    """
    rows = _read(path)
    missing = [name for name in needs if rows and name not in rows[0].values]
    if missing:
        there = ", ".join(map(str, rows[0].values)) or "none"
        raise InputError(path, f"has no column {missing[0]!r}; its columns are {there}"[:400], "is this the file of another benchmark?")
    return rows


def columns(path: Path) -> frozenset[str]:
    """The columns of a file's first row; none where there is no row.

    Raises:
        InputError: it cannot be read.
    """
    rows = _read(path)
    return frozenset(map(str, rows[0].values)) if rows else frozenset()


def _read(path: Path) -> list[Row]:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(path, f"is no file of a kind that is read ({', '.join(FORMATS)})", "convert it, or name the right file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", "dataset=FILE takes a file that you have downloaded") from None
    if suffix == ".parquet":
        return _parquet(path, data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(path, "is not UTF-8", "save the file as UTF-8") from None
    return _table(path, text, "\t" if suffix == ".tsv" else ",") if suffix in (".csv", ".tsv") else _json(path, text, suffix == ".jsonl")


def _parquet(path: Path, data: bytes) -> list[Row]:
    try:
        table = pq.read_table(io.BytesIO(data))
    except pa.ArrowInvalid as error:
        raise InputError(
            path, f"is no Parquet file: {error}"[:200], "download it again; a file of 130 bytes is a Git LFS pointer"
        ) from None
    return [Row(path, number, values) for number, values in enumerate(table.to_pylist(), 1)]


def _table(path: Path, text: str, delimiter: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    header: list[str] | None = None
    try:
        for cells in reader:
            if header is None:
                header = cells
            elif any(cells):
                if len(cells) != len(header):
                    raise InputError(path, f"has {len(cells)} cells, not {len(header)}", "quote cells that hold commas", reader.line_num)
                rows.append(Row(path, reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise InputError(path, f"is no table: {error}", "save it as CSV", reader.line_num) from None
    return rows


def _json(path: Path, text: str, by_line: bool) -> list[Row]:
    if by_line:
        lines = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
        return [_row(path, number, _parse(path, number, line)) for number, line in lines]
    whole = _parse(path, 1, text)
    listed = whole if isinstance(whole, list) else next((value for value in whole.values() if isinstance(value, list)), [whole])
    return [_row(path, number, value) for number, value in enumerate(listed, 1)]


def _parse(path: Path, number: int, text: str) -> Any:
    try:
        value = json.loads(text)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise InputError(path, f"is not JSON: {error.msg} at column {error.colno}", "one JSON object per line", number) from None
    except UnicodeEncodeError:
        raise InputError(path, "holds half a character (a lone surrogate)", "write the file anew from its source", number) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists in lists
        raise InputError(path, f"cannot be read as JSON: {error}"[:200], "one JSON object per line", number) from None
    if not isinstance(value, (dict, list)):
        raise InputError(path, f"is no JSON object but {value!r:.40}", "one JSON object per line", number)
    return value


def _row(path: Path, number: int, value: Any) -> Row:
    if not isinstance(value, dict):
        raise InputError(path, f"is no JSON object but {value!r:.40}", "one JSON object per row", number)
    return Row(path, number, value)
