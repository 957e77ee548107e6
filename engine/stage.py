"""A stage: async record → record, tried a declared number of times per input, with every end accounted for.

A stage says what it takes, what it makes and how many attempts (`fan_out`) each input gets. One attempt returns one
row or raises; `run_stage` turns what is raised into a `Rejection` or a `Failure`, so that for every input

    fan_out = rows + rejections + failures

holds by construction. This is the only place in the project where an unknown exception is caught and kept.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Generic, TypeVar

from engine.errors import InvariantError, RejectedError, TroubleError, UserError
from engine.records import Failure, Record, Rejection, derive_id, derive_rng

In = TypeVar("In", bound=Record)
Out = TypeVar("Out", bound=Record)


class FailureCause(StrEnum):
    """Trouble the engine itself can see; rooms add their own."""

    TIMEOUT = "timeout"
    UNEXPECTED_ERROR = "unexpected_error"


class Stage(ABC, Generic[In, Out]):
    """Configuration goes in through the constructor and is pickled to the actors; heavy things are built in `open`."""

    name: ClassVar[str]
    takes: ClassVar[type[Record]]
    makes: ClassVar[type[Record]]
    fan_out: int = 1

    async def open(self) -> None:
        """Build what cannot be pickled (sessions, indexes) on the actor's own event loop."""

    @abstractmethod
    async def attempt(self, record: In, ordinal: int, rng: random.Random) -> Out:
        """Make the `ordinal`-th row from `record`.

        Must be a function of its arguments and of effects only. The row's `trace_id` is the record's.

        Raises:
            RejectedError: the row is not good enough, with a cause.
            TroubleError: the world did not answer.
        """


@dataclass(frozen=True, slots=True)
class Outcomes(Generic[Out]):
    """How all attempts on one input ended."""

    input_id: str
    rows: tuple[Out, ...]
    rejections: tuple[Rejection, ...]
    failures: tuple[Failure, ...]

    @property
    def attempts(self) -> int:
        """Rows + rejections + failures."""
        return len(self.rows) + len(self.rejections) + len(self.failures)


async def run_stage(
    stage: Stage[In, Out],
    record: In,
    run_seed: int,
    timeout_s: float,
    earlier_attempts: int = 0,
    slot: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
) -> Outcomes[Out]:
    """All attempts of `stage` on `record`, run concurrently; never raises for the sake of one row.

    Args:
        timeout_s: seconds one attempt may take before it is a `Failure` with cause `timeout`.
        earlier_attempts: runs that already failed on this input, so that `Failure.attempts` keeps counting.
        slot: each attempt works inside one of these, and waits for it; what it raises is raised here.

    Raises:
        UserError, InvariantError: what is wrong with the whole run and not with one row.
    """

    async def one(ordinal: int) -> Out | Rejection | Failure:
        async with slot():
            return await attempt(ordinal)

    async def attempt(ordinal: int) -> Out | Rejection | Failure:
        rng = derive_rng(run_seed, record.id, f"{stage.name}#{ordinal}")
        try:
            async with asyncio.timeout(timeout_s):
                return await stage.attempt(record, ordinal, rng)
        except RejectedError as error:
            return _reject(stage.name, record, ordinal, error)
        except TroubleError as error:
            return _fail(stage.name, record, ordinal, error.cause, error.detail, earlier_attempts)
        except TimeoutError:
            return _fail(stage.name, record, ordinal, FailureCause.TIMEOUT, f"no end after {timeout_s:g} s", earlier_attempts)
        except (UserError, InvariantError):
            raise
        except Exception as error:  # noqa: BLE001 - the capture point: a bad row is data, not a crash
            return _fail(stage.name, record, ordinal, FailureCause.UNEXPECTED_ERROR, f"{type(error).__name__}: {error}", earlier_attempts)

    ends = await asyncio.gather(*(one(ordinal) for ordinal in range(stage.fan_out)))
    return Outcomes(
        input_id=record.id,
        rows=tuple(end for end in ends if not isinstance(end, (Rejection, Failure))),
        rejections=tuple(end for end in ends if isinstance(end, Rejection)),
        failures=tuple(end for end in ends if isinstance(end, Failure)),
    )


def _reject(stage: str, record: Record, ordinal: int, error: RejectedError) -> Rejection:
    return Rejection(
        id=derive_id(record.id, stage, ordinal, "rejection"),
        trace_id=record.trace_id,
        stage=stage,
        cause=error.cause,
        detail=error.detail,
        input_id=record.id,
        ordinal=ordinal,
    )


def _fail(stage: str, record: Record, ordinal: int, cause: str, detail: str, earlier_attempts: int) -> Failure:
    return Failure(
        id=derive_id(record.id, stage, ordinal, "failure"),
        trace_id=record.trace_id,
        stage=stage,
        cause=str(cause),
        detail=detail,
        input_id=record.id,
        ordinal=ordinal,
        attempts=earlier_attempts + 1,
    )
