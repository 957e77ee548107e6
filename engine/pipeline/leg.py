"""A leg of a run: records streamed through a chain of stages, resumed where an earlier run stopped.

Between legs stand barriers, where set operations (deduplication, quotas, export) work on all committed rows by id.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
import ray.data
from ray.exceptions import RayError
from rich.console import Console

from engine.config import PipelineConfig, RunConfig
from engine.errors import HopForgeError
from engine.ledger import Index, Ledger, StageCount
from engine.pipeline.actor import ActorContext, StageActor, StagePlan
from engine.pipeline.watch import STALL_S, StallWatch, StoppedError, check_alive, check_pools, stop_on_interrupt
from engine.records import Failure, Record, Rejection, to_table
from engine.shared import Shared
from engine.telemetry.board import start_board
from engine.telemetry.progress import Progress

R = TypeVar("R", bound=Record)

POLL_S = 0.25
"""Seconds between two looks at the board: fast enough for an eye, 4 calls/s to an idle actor."""

RAY_ADVICE = "\nFailed to apply UDF transform after "
"""How the lines begin that Ray Data appends to any error: on its own retry settings, which cannot help here."""


@dataclass(frozen=True)
class LegSettings:
    """What `run_leg` needs besides the rows."""

    run: RunConfig
    pipeline: PipelineConfig
    ledger: Ledger
    console: Console


@dataclass(frozen=True)
class LegResult:
    """How a leg ended, over all runs that worked on it."""

    counts: dict[str, StageCount]
    """Stage name → accounting."""
    inputs: dict[str, list[str]]
    """Stage name → ids of the inputs it was given, sorted."""
    index: Index

    def rows(self, stage: str, makes: type[R]) -> list[R]:
        """The rows a stage made, sorted by id."""
        return self.index.rows(stage, makes, self.inputs[stage])

    def rejections(self) -> list[Rejection]:
        """The rejections of all stages."""
        return [row for stage, ids in self.inputs.items() for row in self.index.rejections(stage, ids)]

    def failures(self) -> list[Failure]:
        """The failures that still stand, of all stages."""
        return [row for stage, ids in self.inputs.items() for row in self.index.failures(stage, ids)]


def run_leg(inputs: Sequence[Record], plans: Sequence[StagePlan[Any, Any]], settings: LegSettings) -> LegResult:
    """Stream `inputs` through `plans` and commit every row; what an earlier run settled is not done again.

    Raises:
        InvariantError: attempts ≠ rows + rejections + failures for some input, or a row never reached the next stage.
        ConfigError: the pools do not fit on the nodes.
        StoppedError: the user asked to stop; what is finished is committed.
        UserError: raised inside a stage for what is wrong with the whole run.
    """
    index = settings.ledger.index()
    stages = [plan.stage.name for plan in plans]
    open_ids = index.unsettled(stages, (record.id for record in inputs), settings.run.max_attempts)
    pending = [record for record in inputs if record.id in open_ids]
    if pending:
        check_pools(plans)
        stopped = _stream(pending, plans, settings, index)
        index = settings.ledger.index()
        left = index.unsettled(stages, (record.id for record in pending), max_attempts=0)
        if stopped and left:
            raise StoppedError(f"stopped on request, {len(left)} of {len(inputs)} inputs are left\n  → run the same command to go on")
    return _account(inputs, plans, index)


def _stream(pending: Sequence[Record], plans: Sequence[StagePlan[Any, Any]], settings: LegSettings, index: Index) -> bool:
    """Run the stream to its end; whether the user asked it to stop."""
    board = start_board()
    context = ActorContext(settings.ledger, settings.run.seed, settings.pipeline.rows_per_shard, board)
    dataset = _source(pending, settings.pipeline.rows_per_block, max(plan.pool.actors for plan in plans))
    for plan in plans:
        dataset = _add_stage(dataset, plan, context, settings.pipeline, index.earlier_attempts(plan.stage.name))
    done, trouble = threading.Event(), list[Exception]()
    threading.Thread(target=_consume, args=(dataset, done, trouble), name="leg", daemon=True).start()
    try:
        with stop_on_interrupt(board, settings.console) as asked:
            _show_until_done(done, asked, board, plans, len(pending), settings)
    finally:
        ray.kill(board)
    if trouble:
        raise own_error(trouble[0]) from trouble[0]
    return asked.is_set()


def _show_until_done(
    done: threading.Event, asked: threading.Event, board: Any, plans: Sequence[StagePlan[Any, Any]], total: int, settings: LegSettings
) -> None:
    stages = [plan.stage.name for plan in plans]
    stalls = StallWatch(stages, total, time.monotonic())
    with Progress(settings.console, settings.ledger.storage, stages, total, settings.pipeline.report_every_s) as progress:
        while not done.wait(POLL_S):
            if asked.is_set():
                board.stop.remote()  # again and again: a board that was killed has forgotten it
            tallies, calls = ray.get([board.read.remote(), board.read_calls.remote()])
            progress.show(tallies, calls)
            for stage in stalls.stalled(tallies, time.monotonic()):
                settings.console.print(f"stage {stage} has work and finished nothing for {STALL_S:.0f} s", highlight=False)
                check_alive(stage, board, plans)
        progress.show(*ray.get([board.read.remote(), board.read_calls.remote()]), last=True)


def own_error(error: BaseException) -> BaseException:
    """The error of ours that Ray wrapped, if there is one; else `error` itself."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, HopForgeError):
            return _plain(seen)
        seen = getattr(seen, "cause", None) if isinstance(seen, RayError) and getattr(seen, "cause", None) else seen.__cause__
    return error


def _plain(error: HopForgeError) -> HopForgeError:
    """Ray makes a class that is both its own and ours; the one below it is ours alone, but for advice that Ray Data adds to its text."""
    cause = getattr(error, "cause", None)
    ours = cause if isinstance(error, RayError) and isinstance(cause, HopForgeError) else error
    if ours.args and isinstance(ours.args[0], str):
        ours.args = (ours.args[0].partition(RAY_ADVICE)[0], *ours.args[1:])
    return ours


def _source(records: Sequence[Record], rows_per_block: int, actors: int) -> Any:
    """A small run is divided among all actors.

    `from_blocks` and not `from_arrow`, which runs a task per block to count its rows: seconds of CPU on workers started for it.
    """
    size = min(rows_per_block, math.ceil(len(records) / actors))
    chunks = [records[start : start + size] for start in range(0, len(records), size)]
    return ray.data.from_blocks([to_table(chunk, type(records[0])) for chunk in chunks])


def _add_stage(dataset: Any, plan: StagePlan[Any, Any], context: ActorContext, pipeline: PipelineConfig, earlier: dict[str, int]) -> Any:
    """One block more per actor than it has rows in flight for: measured 98-100 % of what the rows in flight allow, as with twice
    as many, which the first actor to start would take from the others in a small run."""
    calls = 1 + math.ceil(plan.pool.in_flight / pipeline.rows_per_block)
    attempts = Shared.put(earlier)
    return dataset.map_batches(
        StageActor,
        fn_constructor_args=(plan, context, attempts),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=plan.pool.num_cpus,
        compute=ray.data.ActorPoolStrategy(size=plan.pool.actors, max_concurrent_calls_per_actor=calls, enable_true_multi_threading=True),
    )


def _consume(dataset: Any, done: threading.Event, trouble: list[Exception]) -> None:
    """Pull the stream to its end without keeping its blocks: the rows are committed already."""
    try:
        for _ in dataset.iter_internal_ref_bundles():
            pass
    except Exception as error:  # noqa: BLE001 - carried to the thread that waits, which raises it
        trouble.append(error)
    finally:
        done.set()


def _account(inputs: Sequence[Record], plans: Sequence[StagePlan[Any, Any]], index: Index) -> LegResult:
    """Assert DESIGN.md's check for every stage, and that every row of a stage reached the next one."""
    ids = sorted(record.id for record in inputs)
    counts, inputs_of = {}, {}
    for plan in plans:
        name = plan.stage.name
        counts[name], inputs_of[name] = index.account(name, ids, plan.stage.fan_out), ids
        ids = sorted(row for input_id in ids for row in index.entries(name)[input_id].rows)
    return LegResult(counts, inputs_of, index)
