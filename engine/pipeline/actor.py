"""The actor that runs one stage: blocks in, many attempts in flight on its own event loop, shards out as they finish."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pyarrow as pa

from engine.config import PoolConfig
from engine.fate import die_with_node
from engine.ledger import Ledger
from engine.records import Record, from_table, to_table
from engine.shared import Shared
from engine.stage import Outcomes, Stage, run_stage
from engine.tape.tape import has_segments_to_put, put_segments
from engine.telemetry.board import StageMetrics, tally
from engine.telemetry.calls import CallReporter

In = TypeVar("In", bound=Record)
Out = TypeVar("Out", bound=Record)


@dataclass(frozen=True)
class StagePlan(Generic[In, Out]):
    """One stage of a leg, and how it is spread. Picklable: the stage holds configuration only until `open`."""

    stage: Stage[In, Out]
    pool: PoolConfig
    store: str | None
    """Folder of the run directory for the rows; None when they are cheap to make again."""


@dataclass(frozen=True)
class ActorContext:
    """What every actor of a leg shares."""

    ledger: Ledger
    run_seed: int
    rows_per_shard: int
    board: Any
    """Handle of the `Board` actor."""


@dataclass(frozen=True)
class Skipped:
    """An input that was not begun because the run is stopping; it is not committed, so the next run takes it up."""


class _NotBegun(Exception):
    """The run is stopping, and no attempt on the record has begun."""


End = Outcomes[Out] | Skipped | BaseException

COMMITTERS = 8
"""Threads of an actor that encode and write shards. Arrow keeps a heap for every thread that ever used it, so the hundred and more
threads in which Ray Data waits for blocks must not; with 2 the disk holds rows up, 8 are as fast as one for each block."""

ASK_S = 1.0
"""Seconds between two looks of an actor at the stop sign."""


class StageActor(Generic[In, Out]):
    """A Ray Data UDF class (measured pattern: a sync generator that drives its own event-loop thread).

    Ray Data calls it from several threads at once, a block each; all blocks share one loop, so slow rows of one block
    do not hold up another. Rows leave in completion order, each shard committed before it is handed on.
    """

    def __init__(self, plan: StagePlan[In, Out], context: ActorContext, attempts: Shared[dict[str, int]]) -> None:
        die_with_node()
        self._plan, self._context, self._earlier = plan, context, attempts.get()
        self._metrics, self._calls = StageMetrics(plan.stage.name), CallReporter(context.board)
        self._stopping = False
        self._running: set[asyncio.Task[None]] = set()
        self._committers = ThreadPoolExecutor(COMMITTERS, f"commit-{plan.stage.name}")
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name=f"stage-{plan.stage.name}", daemon=True).start()
        self._slots: asyncio.Semaphore = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        """One block of inputs → blocks of rows, one per committed shard (possibly empty, always with the schema)."""
        stage = self._plan.stage
        records: list[In] = from_table(block, stage.takes)  # type: ignore[arg-type]  # takes is In's class
        finished: queue.SimpleQueue[End[Out]] = queue.SimpleQueue()
        self._loop.call_soon_threadsafe(self._begin, records, finished)
        for start in range(0, len(records), self._context.rows_per_shard):
            number = min(self._context.rows_per_shard, len(records) - start)
            yield self._committers.submit(self._commit, [finished.get() for _ in range(number)]).result()
        if not records:
            yield to_table([], stage.makes)

    async def _open(self) -> asyncio.Semaphore:
        await self._plan.stage.open()
        gc.freeze()  # Ray, Arrow and the models' types are half a million objects that no collection need ever look at again
        self._watching = asyncio.create_task(self._watch_stop_sign())
        return asyncio.Semaphore(self._plan.pool.in_flight * self._plan.stage.fan_out)

    async def _watch_stop_sign(self) -> None:
        while not self._stopping:
            await asyncio.sleep(ASK_S)
            self._stopping = await self._context.board.stopping.remote(self._plan.stage.name)
            self._calls.report()

    def _begin(self, records: list[In], finished: queue.SimpleQueue[End[Out]]) -> None:
        """On the loop: a block costs one wake-up of it, where a hand-over per record was a tenth of all work."""
        for record in records:
            task = self._loop.create_task(self._one(record, finished))
            self._running.add(task)  # the loop itself holds tasks weakly
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen: `_one` has handed it on

    async def _one(self, record: In, finished: queue.SimpleQueue[End[Out]]) -> None:
        """All attempts on a record, each in a slot of its own: one that is slow keeps no other slot from the next record."""
        begun = False

        @asynccontextmanager
        async def slot() -> AsyncIterator[None]:
            nonlocal begun
            async with self._slots:
                if self._stopping and not begun:
                    raise _NotBegun
                begun = True
                yield

        plan, earlier = self._plan, self._earlier.get(record.id, 0)
        try:
            finished.put(await run_stage(plan.stage, record, self._context.run_seed, plan.pool.timeout_s, earlier, slot))
        except _NotBegun:
            finished.put(Skipped())
        except BaseException as error:  # a wrong run, not a wrong row: handed to the thread that can raise it
            finished.put(error)
            raise

    def _commit(self, ends: list[End[Out]]) -> pa.Table:
        """Commit what finished, then raise what is wrong with the whole run, if anything is."""
        stage = self._plan.stage
        outcomes = [end for end in ends if isinstance(end, Outcomes)]
        if outcomes:
            if has_segments_to_put():  # a committed row never lacks what it was made from
                asyncio.run_coroutine_threadsafe(put_segments(), self._loop).result()
            self._context.ledger.commit(stage.name, self._plan.store, stage.makes, outcomes)
            finished = tally(outcomes)
            self._context.board.add.remote(stage.name, finished)
            self._metrics.add(finished)
            self._calls.report()
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return to_table([row for end in outcomes for row in end.rows], stage.makes)
