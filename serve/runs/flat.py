"""Nested columns made flat, so that tables of a hundred thousand rows are searched without a Python object per cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

BETWEEN = "\n"
"""Stands before, between and after labels that are written as one text."""
MOST_LABELS = 62
"""Different labels of one batch that are told apart, the most frequent ones: a bit each."""


def plain(table: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    """A column as one array, nulls where an earlier version did not write it."""
    if name not in table.column_names:
        return pa.nulls(len(table), kind)
    column = table[name].combine_chunks()
    return column.cast(kind) if not pa.types.is_nested(kind) else column


def leaf(table: pa.Table, name: str, *fields: str) -> tuple[NDArray[np.int64], pa.Array]:
    """The texts at `fields` inside of the lists of a column, and the row that each belongs to."""
    rows = np.arange(len(table))
    if name not in table.column_names or pa.types.is_null(table[name].type):
        return rows[:0], pa.array([], pa.string())
    rows, values = _unfold(rows, table[name].combine_chunks())
    for field in fields:
        rows, values = _unfold(rows, pc.struct_field(values, field))
    return rows, values


def _unfold(rows: NDArray[np.int64], values: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    if not pa.types.is_list(values.type):
        return rows, values
    return rows[pc.list_parent_indices(values).to_numpy(zero_copy_only=False)], pc.list_flatten(values)


def joined(length: int, rows: NDArray[np.int64], labels: pa.Array) -> pa.Array:
    """Per row its different labels, sorted, as one text: `\\nsearch\\nvisit\\n`; a lone line end where it has none."""
    counts = {each["values"]: each["counts"] for each in pc.value_counts(labels).to_pylist() if each["values"] is not None}
    kept = sorted(sorted(counts, key=lambda label: (-counts[label], label))[:MOST_LABELS])
    codes = pc.fill_null(pc.index_in(labels, pa.array(kept, pa.string())), -1).to_numpy(zero_copy_only=False)
    marked = np.zeros(length, np.int64)
    for code in range(len(kept)):
        marked[rows[codes == code]] |= 1 << code
    patterns, which = np.unique(marked, return_inverse=True)
    texts = [BETWEEN.join(["", *(label for code, label in enumerate(kept) if pattern >> code & 1), ""]) for pattern in patterns.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(which))


def holds(column: pa.ChunkedArray, label: str) -> pa.ChunkedArray:
    """Which rows of a joined column have a label."""
    return pc.match_substring(column, f"{BETWEEN}{label}{BETWEEN}")


def labels(column: pa.ChunkedArray) -> list[str]:
    """All labels of a joined column, sorted."""
    return sorted({label for text in pc.unique(column).to_pylist() for label in split(text)})


def split(text: str) -> Sequence[str]:
    """The labels of one row."""
    return [label for label in text.split(BETWEEN) if label]
