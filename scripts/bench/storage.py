"""What is kept on disk: finding a reply on a large tape, taking up a finished run."""

from __future__ import annotations

import io
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from engine.config import PipelineConfig, PoolConfig, RunConfig
from engine.ledger import Ledger
from engine.pipeline.actor import StagePlan
from engine.pipeline.leg import LegSettings, run_leg
from engine.records import derive_id
from engine.stage import Outcomes
from engine.storage import Storage
from engine.tape.lookup import Lookup
from engine.tape.segment import Entry, SegmentWriter
from scripts.bench.table import Line
from scripts.bench.work import Ask, Row, Scale, rows

BODY = b'{"reply":{"content":"' + b"The answer is in the second paragraph. " * 4 + b'"}}'


def tape(scale: Scale) -> Iterator[Line]:
    """A reply by its key, as it is found when a run is resumed or replayed."""
    number = scale.pick(1_000_000, 3_000)
    folder = scale.folder / "lookup"
    entries = _record(folder, number)
    lookup = Lookup(folder)
    begun = time.perf_counter()
    lookup.refresh()
    opened_s = time.perf_counter() - begun
    drawn = random.Random(0).sample(entries, scale.pick(50_000, 1_000))
    found_us = _median_us(drawn, lambda entry: lookup.get(entry.key, failures=False))
    places = {entry.key: entry for entry in drawn}
    file = os.open(next(folder.glob("*.seg")), os.O_RDONLY)
    bare_us = _median_us(drawn, lambda entry: os.pread(file, entry.length, places[entry.key].offset))
    os.close(file)
    what = f"a reply among {number:,}, p50"
    yield Line(case="tape", what=what, value=found_us, unit="µs", limit=bare_us, against="dict look-up + pread", most=50.0)
    begun = time.perf_counter()
    sum(len(path.read_bytes()) for path in folder.glob("*.idx"))
    read_s = time.perf_counter() - begun
    yield Line(case="tape", what=f"opening a tape of {number:,}", value=opened_s, unit="s", limit=read_s, against="reading its sidecar")


def resume(scale: Scale) -> Iterator[Line]:
    """The same command on a finished run: nothing to do, and how long it takes to know that."""
    count, shard_rows = scale.pick(100_000, 640), PipelineConfig().rows_per_shard
    ledger = Ledger(Storage(str(scale.folder / "finished")))
    inputs = rows(count)
    for start in range(0, count, shard_rows):
        ledger.commit(Ask.name, "rows", Row, [_ended(row) for row in inputs[start : start + shard_rows]])
    settings = LegSettings(RunConfig(), PipelineConfig(), ledger, Console(file=io.StringIO()))
    begun = time.perf_counter()
    run_leg(inputs, [StagePlan(Ask(None), PoolConfig(), "rows")], settings)
    seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    sum(len(path.read_bytes()) for path in sorted((scale.folder / "finished").rglob("*.json")))
    read_s = time.perf_counter() - begun
    what = f"a finished run of {count:,} rows in {count // shard_rows:,} shards, Ray's start apart"
    yield Line(case="resume", what=what, value=seconds, unit="s", limit=read_s, against="reading its done-marks", most=10.0)


def _record(folder: Path, number: int) -> list[Entry]:
    with SegmentWriter(folder, "bench") as writer:
        return [writer.append(bytes.fromhex(derive_id("bench", index)), BODY) for index in range(number)]


def _median_us(entries: Sequence[Entry], find: Callable[[Entry], object]) -> float:
    taken = []
    for entry in entries:
        begun = time.perf_counter_ns()
        find(entry)
        taken.append(time.perf_counter_ns() - begun)
    return float(np.median(taken)) / 1000


def _ended(row: Row) -> Outcomes[Row]:
    made = Row(id=derive_id(row.id, "ask"), trace_id=row.trace_id, text="The answer is in the second paragraph. " * 4)
    return Outcomes(row.id, (made,), (), ())
