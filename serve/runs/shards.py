"""The shards of one folder of a run as one flat table: read column by column, kept in a cache file, and only new shards read again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.errors import InputError
from engine.storage import Storage

BATCH = 64
"""Shards that are made flat together: each call into Arrow costs as much as a shard's worth of rows."""
BATCH_ROWS = 4_096
"""Rows decoded at once when one is wanted."""
PLACES = (pa.field("shard", pa.int32()), pa.field("place", pa.int32()))
"""Of a row: number of its shard in `FlatShards.names`, and its place in there."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What of a shard is read, and what becomes of it."""

    folder: str
    prefix: str
    """Of the names of its shards."""
    columns: Sequence[str]
    """Leaves of nested ones by their path in the file; those that a shard of an earlier version lacks are read as null."""
    flatten: Callable[[pa.Table], pa.Table]
    version: int = 1
    """Raised when `flatten` changes, so that caches of before are not taken."""


class FlatShards:
    """The flat rows of a folder's shards. Shards never change once written; those that went are forgotten, new ones are read."""

    def __init__(self, run: Path, layout: Layout, cache: Path | None = None) -> None:
        """Args:
        cache: folder of a file that spares the reading next time.
        """
        self._run, self._layout = run, layout
        self._cache = cache
        self.names: list[str] = []
        """Relative to the run directory, in the order in which they were read."""
        self.damaged: set[str] = set()
        """Those that cannot be read: the next run of the same command makes their rows again."""
        self.missing = 0
        """Shards that `read` had no time for."""
        self._sizes: dict[str, int] = {}
        self._parts: list[pa.Table] = []
        self._loaded, self._saved = False, True

    @property
    def table(self) -> pa.Table:
        """Everything read so far, shard after shard; of no shard, None of the columns."""
        if len(self._parts) > 1:
            self._parts = [pa.concat_tables(self._parts).combine_chunks()]
        return self._parts[0] if self._parts else pa.table({})

    def read(self, until: float) -> bool:
        """Read shards that are not known yet, at least one batch, until a moment of `time.monotonic`.

        Returns:
            Whether anything changed.
        """
        loaded, there = self._load(), self._there()
        gone = [name for name, size in self._sizes.items() if there.get(name) != size]
        if gone:
            self._forget(gone)
        new = [name for name in there if name not in self._sizes]
        self._saved = self._saved and not gone and not new
        self.missing = len(new)
        for start in range(0, len(new), BATCH):
            self._read(new[start : start + BATCH], there)
            self.missing = max(0, len(new) - start - BATCH)
            if time.monotonic() > until:
                break
        return loaded or bool(gone or new)

    def pick(self, ids: Sequence[str]) -> pa.Table:
        """Whole rows by id, shard after shard; ids that were not read are left out."""
        table = self.table
        wanted = table.filter(pc.is_in(table["id"], pa.array(ids, pa.string()))) if len(table) else table
        found = []
        for number in sorted(set(wanted["shard"].to_pylist())) if len(wanted) else ():
            own = wanted["id"].filter(pc.equal(wanted["shard"], number))
            found.append(pq.read_table(self._run / self.names[number], filters=pc.field("id").isin(own.combine_chunks())))
        return pa.concat_tables(found, promote_options="default") if found else pa.table({})

    def save(self) -> None:
        """Write the cache file, if it would be another."""
        if self._cache is None or self._saved:
            return
        self._saved = True
        told = {"names": self.names, "sizes": self._sizes, "version": self._layout.version}
        table = self.table.replace_schema_metadata({"shards": json.dumps(told)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(table)
        Storage(str(self._cache)).write(self._file, sink.getvalue().to_pybytes())

    @property
    def _file(self) -> str:
        return f"{self._layout.folder}-{self._layout.prefix or 'all'}.arrow"

    def _there(self) -> dict[str, int]:
        """Finished shards by name, in the order of names, and their bytes."""
        folder = self._run / self._layout.folder
        if not folder.is_dir():
            return {}
        with os.scandir(folder) as entries:
            found = {entry.name: entry.stat().st_size for entry in entries if entry.name.endswith(".parquet")}
        return {f"{self._layout.folder}/{name}": found[name] for name in sorted(found) if name.startswith(self._layout.prefix)}

    def _load(self) -> bool:
        """Take what the cache file knows, once; one that cannot be read is as good as none."""
        if self._loaded or self._cache is None:
            return False
        self._loaded = True
        try:
            with pa.memory_map(str(self._cache / self._file)) as source:
                table = pa.ipc.open_file(source).read_all()
            told = json.loads(table.schema.metadata[b"shards"])
        except (OSError, pa.ArrowInvalid, ValueError, KeyError, TypeError):
            return False
        if told.get("version") != self._layout.version:
            return False
        self.names, self._sizes = told["names"], told["sizes"]
        self._parts = [table.replace_schema_metadata(None)]
        return True

    def _forget(self, gone: Sequence[str]) -> None:
        numbers = pa.array([self.names.index(name) for name in gone], pa.int32())
        table = self.table
        self._parts = [table.filter(pc.invert(pc.is_in(table["shard"], numbers)))]
        for name in gone:
            self.names[self.names.index(name)] = ""
            del self._sizes[name]

    def _read(self, names: Sequence[str], there: dict[str, int]) -> None:
        tables = [self._columns(name) for name in names]
        first = len(self.names)
        shard = np.repeat(np.arange(first, first + len(names), dtype=np.int32), [len(table) for table in tables])
        place = np.concatenate([np.arange(len(table), dtype=np.int32) for table in tables])
        flat = self._layout.flatten(pa.concat_tables(tables, promote_options="default"))
        self._parts.append(flat.append_column(PLACES[0], [shard]).append_column(PLACES[1], [place]))
        self.names += names
        self._sizes |= {name: there[name] for name in names}

    def _columns(self, name: str) -> pa.Table:
        """Of a damaged shard, no row."""
        try:
            with pq.ParquetFile(self._run / name) as shard:
                return shard.read(columns=list(self._layout.columns), use_threads=False).replace_schema_metadata(None)
        except (OSError, pa.ArrowInvalid):
            self.damaged.add(name)
            return pa.table({})


def read_place(path: Path, place: int) -> pa.Table:
    """One row of a shard, of which nothing beyond the batch that holds it is read.

    Raises:
        InputError: the shard has fewer rows.
    """
    with pq.ParquetFile(path) as shard:
        for group in range(shard.num_row_groups):
            rows = shard.metadata.row_group(group).num_rows
            if place < rows:
                return _of_group(shard, group, place)
            place -= rows
    raise InputError(path.name, "is shorter than it was", "open the page again")


def _of_group(shard: pq.ParquetFile, group: int, place: int) -> pa.Table:
    """Batch by batch: what stands behind the row is not read."""
    for batch in shard.iter_batches(BATCH_ROWS, row_groups=[group], use_threads=False):
        if place < len(batch):
            return pa.Table.from_batches([batch.slice(place, 1)])
        place -= len(batch)
    raise InputError("shard", "is shorter than its footer says", "open the page again")
