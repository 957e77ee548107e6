"""An index of committed shards: what is done, exactly once, whatever was killed on the way.

A stage commits finished inputs a shard at a time, in this order:

    <store>/<stage>-<key>.parquet      the rows made
    rejections/<stage>-<key>.parquet   final noes
    failures/<stage>-<key>.parquet     trouble, tried again on the next run
    ledger/<stage>-<key>.json          the done-mark, written last; without it the shard does not exist

`<key>` derives from the ids of the inputs, so a repeated commit overwrites itself. When Ray replays a block in another
grouping, an input can stand in two shards; one entry per input is chosen on reading (fewest failures, then shard
name), and since a stage is a function of its input, either choice holds the same rows.

The mark says how long each file of its shard is and what it hashes to. A shard with a missing file or one of another length
(a damaged disk) does not count, so its inputs are open again; the lengths come from one listing per folder. The contents are
checked when they are read, and a shard that fails there is struck out, so that the next run makes its rows again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import InvariantError, UserError
from engine.records import Failure, Record, Rejection, derive_id, from_table, sorted_unique, to_table
from engine.stage import Outcomes
from engine.storage import Storage

R = TypeVar("R", bound=Record)

Files = Mapping[str, tuple[int, str]]
"""File of a shard → its length in bytes and the hash of its content."""

REJECTIONS, FAILURES, MARKS = "rejections", "failures", "ledger"


@dataclass(frozen=True, slots=True)
class Entry:
    """How one input of one stage ended, and in which shard that is written."""

    shard: str
    store: str | None
    rows: tuple[str, ...]
    rejections: int
    failures: int
    attempts: int
    """Highest `Failure.attempts` among the failures; 0 without failures."""

    @property
    def rank(self) -> tuple[int, int, str]:
        """Of two entries for one input the lower counts: fewest failures, then most attempts, then shard name."""
        return self.failures, -self.attempts, self.shard


@dataclass(slots=True)
class StageCount:
    """The accounting of one stage."""

    inputs: int
    attempts: int
    rows: int
    rejections: int
    failures: int


class Ledger:
    """Commits shards to a run directory and reads them back. Picklable: each actor holds its own."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def commit(self, stage: str, store: str | None, makes: type[Record], outcomes: Sequence[Outcomes[Any]]) -> None:
        """Write one shard and its done-mark.

        Args:
            store: folder for the rows; None when the stage's rows are cheap to make again and are not kept.
        """
        shard = f"{stage}-{derive_id(*sorted(end.input_id for end in outcomes))[:20]}"
        files: dict[str, tuple[int, str]] = {}
        if store is not None:
            files |= self._write_table(f"{store}/{shard}.parquet", [row for end in outcomes for row in end.rows], makes)
        files |= self._write_table(f"{REJECTIONS}/{shard}.parquet", [row for end in outcomes for row in end.rejections], Rejection)
        files |= self._write_table(f"{FAILURES}/{shard}.parquet", [row for end in outcomes for row in end.failures], Failure)
        inputs = {
            end.input_id: {
                "rows": [row.id for row in end.rows],
                "rejections": len(end.rejections),
                "failures": len(end.failures),
                "attempts": max((failure.attempts for failure in end.failures), default=0),
            }
            for end in outcomes
        }
        mark = {"stage": stage, "store": store, "inputs": inputs, "files": files}
        self.storage.write(_mark_name(shard), json.dumps(mark, sort_keys=True).encode())

    def index(self) -> Index:
        """All that is committed now and not damaged, one entry per stage and input."""
        entries: dict[str, dict[str, Entry]] = {}
        files: dict[str, tuple[int, str]] = {}
        marks = self._marks()
        lengths = self._lengths(marks.values())
        for shard, mark in marks.items():
            if any(lengths.get(name) != length for name, (length, _) in mark["files"].items()):
                continue
            files |= mark["files"]
            of_stage = entries.setdefault(mark["stage"], {})
            for input_id, end in mark["inputs"].items():
                entry = Entry(shard, mark["store"], tuple(end["rows"]), end["rejections"], end["failures"], end["attempts"])
                if input_id not in of_stage or entry.rank < of_stage[input_id].rank:
                    of_stage[input_id] = entry
        return Index(entries, self.storage, files)

    def _marks(self) -> dict[str, Any]:
        """Shard → its done-mark; one that cannot be read was struck out, or torn by a damaged disk, and marks nothing."""
        marks = {}
        for name in self.storage.list(MARKS, ".json"):
            with contextlib.suppress(ValueError):
                marks[name.removeprefix(f"{MARKS}/").removesuffix(".json")] = json.loads(self.storage.read(name))
        return marks

    def _lengths(self, marks: Iterable[Any]) -> dict[str, int]:
        """File → its length now, over all folders that the marks speak of."""
        folders = sorted({name.rpartition("/")[0] for mark in marks for name in mark["files"]})
        return {name: length for folder in folders for name, length in self.storage.lengths(folder).items()}

    def _write_table(self, name: str, rows: Sequence[R], cls: type[R]) -> dict[str, tuple[int, str]]:
        """What the mark will say of the file; nothing is written for no rows."""
        if not rows:
            return {}
        data = parquet_bytes(to_table(rows, cls))
        self.storage.write(name, data)
        return {name: (len(data), _hash(data))}


class Index:
    """What a ledger held at one moment."""

    def __init__(self, entries: dict[str, dict[str, Entry]], storage: Storage, files: Files) -> None:
        self._entries, self._storage, self._files = entries, storage, files

    def entries(self, stage: str) -> dict[str, Entry]:
        """Input id → how it ended."""
        return self._entries.get(stage, {})

    def unsettled(self, stages: Sequence[str], inputs: Iterable[str], max_attempts: int) -> set[str]:
        """Those of `inputs` to the first stage whose tree of descendants is not finished, or failed and may be retried."""
        known: dict[str, Entry] | None = None
        needy: set[str] = set()
        for stage in reversed(stages):
            entries = self.entries(stage)
            needy = {input_id for input_id, entry in entries.items() if _is_open(entry, max_attempts, known, needy)}
            known = entries
        return {input_id for input_id in inputs if known is None or input_id not in known or input_id in needy}

    def earlier_attempts(self, stage: str) -> dict[str, int]:
        """Input id → how many runs already failed on it."""
        return {input_id: entry.attempts for input_id, entry in self.entries(stage).items() if entry.failures}

    def account(self, stage: str, inputs: Collection[str], fan_out: int) -> StageCount:
        """The accounting of a stage over `inputs`.

        Raises:
            InvariantError: an input is missing, or has other than `fan_out` ends.
        """
        entries = self.entries(stage)
        count = StageCount(inputs=len(inputs), attempts=len(inputs) * fan_out, rows=0, rejections=0, failures=0)
        for input_id in inputs:
            entry = entries.get(input_id)
            ends = 0 if entry is None else len(entry.rows) + entry.rejections + entry.failures
            if entry is None or ends != fan_out:
                raise InvariantError(f"stage {stage}, input {input_id}: {fan_out} attempts declared, {ends} accounted for")
            count.rows += len(entry.rows)
            count.rejections += entry.rejections
            count.failures += entry.failures
        return count

    def rows(self, stage: str, makes: type[R], inputs: Iterable[str]) -> list[R]:
        """The committed rows that a stage made from `inputs`, sorted by id, each once."""
        entries = [self.entries(stage)[input_id] for input_id in inputs]
        wanted = {row for entry in entries for row in entry.rows}
        shards = {f"{entry.store}/{entry.shard}.parquet" for entry in entries if entry.rows}
        return sorted_unique(row for name in sorted(shards) for row in self._read_table(name, makes) if row.id in wanted)

    def rejections(self, stage: str, inputs: Iterable[str]) -> list[Rejection]:
        """The committed rejections of `inputs`, sorted by id."""
        chosen = {input_id: entry.shard for input_id in inputs if (entry := self.entries(stage)[input_id]).rejections}
        found = (row for shard in sorted(set(chosen.values())) for row in self._read_table(f"{REJECTIONS}/{shard}.parquet", Rejection))
        return sorted_unique(row for row in found if row.input_id in chosen)

    def failures(self, stage: str, inputs: Iterable[str]) -> list[Failure]:
        """The failures of `inputs` that still stand, sorted by id."""
        chosen = {input_id: entry.shard for input_id in inputs if (entry := self.entries(stage)[input_id]).failures}
        found = (row for shard in sorted(set(chosen.values())) for row in self._read_table(f"{FAILURES}/{shard}.parquet", Failure))
        return sorted_unique(row for row in found if row.input_id in chosen)

    def _read_table(self, name: str, cls: type[R]) -> list[R]:
        """Raises:
        UserError: the file is not what was written; its shard is struck out.
        """
        data = self._storage.read(name)
        if _hash(data) != self._files[name][1]:
            self._storage.write(_mark_name(name.rpartition("/")[2].removesuffix(".parquet")), b"")
            raise UserError(f"{self._storage.path(name)}: is damaged\n  → run the same command again: its rows are made again")
        return from_table(pq.read_table(io.BytesIO(data)), cls)


def _is_open(entry: Entry, max_attempts: int, next_entries: dict[str, Entry] | None, next_open: set[str]) -> bool:
    if entry.failures and entry.attempts < max_attempts:
        return True
    return next_entries is not None and any(row not in next_entries or row in next_open for row in entry.rows)


def _mark_name(shard: str) -> str:
    return f"{MARKS}/{shard}.json"


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def parquet_bytes(table: pa.Table) -> bytes:
    """A Parquet file in memory; the same rows give the same bytes."""
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=4096, compression="zstd")  # who looks up one row reads no more than so many
    return sink.getvalue()
