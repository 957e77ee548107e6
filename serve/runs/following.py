"""A run directory, followed while it grows: what was read once is not read again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.dataset import dataset

from engine.ledger import FAILURES, MARKS, REJECTIONS
from engine.records import Ending, Failure, Rejection, from_table
from serve.runs.material import BARRIERS, MAKES, Loss, Step, group_losses

TAIL_BYTES = 8_000
"""Of a log that are looked at."""


def tail(log: Path, size: int = TAIL_BYTES) -> str:
    """The end of a log, from the beginning of a line on; empty where there is none."""
    try:
        with log.open("rb") as file:
            begin = max(0, file.seek(0, os.SEEK_END) - size)
            file.seek(begin)
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return text.partition("\n")[2] if begin else text


class MetricsTail:
    """The lines of `metrics.jsonl`, as they come."""

    def __init__(self, folder: Path) -> None:
        self._path, self._offset, self._rest = folder / "metrics.jsonl", 0, b""
        self.lines: list[dict[str, Any]] = []

    def refresh(self) -> bool:
        """Read what is new; whether there was something. A file that has become shorter is another one."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._offset:
                    self._offset, self._rest, self.lines = 0, b"", []
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return False
        self._offset += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            try:
                self.lines.append(json.loads(line))
            except ValueError:  # torn by a kill
                continue
        return bool(whole)


class MarksTail:
    """What is committed, counted from the done-marks; see `engine.ledger`, whose rule for inputs that stand in two shards is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._seen = folder, set[str]()
        self._ends: dict[str, dict[str, tuple[int, int, str, int, int]]] = {}
        self._passed = [0.0] * len(BARRIERS)

    def refresh(self) -> bool:
        """Read the marks that are new; whether there was one, or a barrier was passed."""
        try:
            names = sorted(entry.name for entry in os.scandir(self._folder / MARKS) if entry.name not in self._seen)
        except OSError:
            names = []
        marks = [name for name in names if name.endswith(".json") and not name.startswith(".")]
        for name in marks:
            try:
                self._add(name, json.loads((self._folder / MARKS / name).read_bytes()))
            except (OSError, ValueError):  # struck out, or gone again
                continue
        self._seen.update(marks)
        passed, self._passed = self._passed, [_written(self._folder / REJECTIONS / f"{step}.parquet") for step in BARRIERS]
        return bool(marks) or passed != self._passed

    def steps(self, causes: Mapping[str, Mapping[str, int]]) -> list[Step]:
        """The funnel as far as it is committed.

        Args:
            causes: step → cause → count, as far as they are known.
        """
        found = []
        for name in MAKES:
            rows, rejected, failed = self._counts(name)
            if rows + rejected + failed:
                found.append(Step(name, rows + rejected + failed, rows, rejected, failed, causes.get(name, {})))
        return found

    def losses(self) -> list[Loss]:
        """Why committed attempts gave no row; of a file that cannot be read nothing is told.

        Other than the ledger, this strikes out no damaged shard: the run may be at work.
        """
        endings = [*self._endings(REJECTIONS, Rejection, 4), *self._endings(FAILURES, Failure, 0)]
        for step in BARRIERS:
            endings += _read([self._folder / REJECTIONS / f"{step}.parquet"], Rejection)
        return group_losses(endings)

    def _endings(self, store: str, cls: type[Ending], place: int) -> Iterator[Ending]:
        """Those of a folder that count; `place` is where an end tells their number."""
        shards = {end[2] for ends in self._ends.values() for end in ends.values() if end[place]}
        chosen = {(stage, key) for stage, ends in self._ends.items() for key, end in ends.items() if end[place]}
        found = _read([self._folder / store / shard.replace(".json", ".parquet") for shard in sorted(shards)], cls)
        seen = set[str]()
        for row in found:
            if (row.stage, row.input_id) in chosen and row.id not in seen:
                seen.add(row.id)
                yield row

    def _counts(self, name: str) -> tuple[int, int, int]:
        if name in BARRIERS:
            kept = _rows(self._folder / "questions" / "part-00000.parquet") if name == "select" else 0
            return kept, _rows(self._folder / REJECTIONS / f"{name}.parquet"), 0
        ends = self._ends.get(name, {}).values()
        return sum(end[3] for end in ends), sum(end[4] for end in ends), sum(end[0] for end in ends)

    def _add(self, name: str, mark: Mapping[str, Any]) -> None:
        ends = self._ends.setdefault(mark["stage"], {})
        for key, end in mark["inputs"].items():
            told = (end["failures"], -end["attempts"], name, len(end["rows"]), end["rejections"])
            if key not in ends or told < ends[key]:
                ends[key] = told


def _read(paths: Sequence[Path], cls: type[Ending]) -> list[Ending]:
    """Many small files at once, by id; Arrow reads them in threads of its own."""
    there = [str(path) for path in paths if path.is_file()]
    if not there:
        return []
    try:
        return from_table(dataset(there, format="parquet").to_table().sort_by("id"), cls)
    except (OSError, pa.ArrowInvalid):
        return []


def _written(path: Path) -> float:
    return path.stat().st_mtime if path.is_file() else 0.0


def _rows(path: Path) -> int:
    """Of a Parquet file, from its footer; 0 where there is none."""
    return int(pq.read_metadata(path).num_rows) if path.is_file() else 0
