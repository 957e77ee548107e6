"""The limits of a run, shared by all workers: one restartable Ray actor governs, each worker admits its own calls.

`admit` is almost always local: a worker reports ten times a second and acts on the last orders in between. When the
governor dies, workers go on under their last orders until it is back; slots that were granted and not used in time are
lost rather than spent late, which bounds any second's excess.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import ray

from engine.config import LimitsConfig
from engine.errors import TroubleError
from engine.fate import die_with_node
from engine.limits.budget import NOTHING, Cost
from engine.limits.governor import Governor, Orders, Report
from engine.limits.notice import LONGEST_PAUSE_S, Notice

REPORT_S = 0.1
"""Seconds between a busy worker's reports: ten small calls a second and worker, far below what one actor answers."""

HURRY_S = 0.01
"""Seconds between reports when a worker has calls waiting and no orders left to start them."""

AHEAD_S = 0.15
"""Seconds for which a busy worker wants slots in hand: more than the time to its next report and the answer to it. Asking only
when the last slot is gone lost 4 % of the rate on a loaded machine, a round trip in every tenth of a second."""

EXPIRE_S = 0.05
"""A slot older than this is given up: used late, slots bunch, and this is the share by which any second can exceed the rate. What calls
are late on their way to the server comes on top: with 0.1 the busiest second at the server was 7-13 % over, with 0.05 4-6 %."""

BUDGET_EXHAUSTED = "budget_exhausted"
"""Failure cause of a call that the budget does not cover; its row goes on when the budget is raised."""


@dataclass(slots=True)
class Admission:
    """One admitted call: what was set aside for it, and how it ended."""

    reserved: Cost
    spent: Cost = NOTHING
    overload: float | None = None
    notice: Notice | None = None
    """What the server said is left of its own limits."""

    def settle(self, spent: Cost) -> None:
        """What the call really cost."""
        self.spent = spent

    def overloaded(self, retry_after: float) -> None:
        """The server said 429 or 503, and asked to wait so many seconds (0: it did not say)."""
        self.overload = retry_after


class Limiter(Protocol):
    """What a model client passes through for each call."""

    def admit(self, worst: Cost) -> AbstractAsyncContextManager[Admission]:
        """Enter when the call may start; `worst` is the most it can cost.

        Raises:
            TroubleError: `budget_exhausted`.
        """
        ...


class Unlimited:
    """No limits: for single calls and tests."""

    @asynccontextmanager
    async def admit(self, worst: Cost) -> AsyncIterator[Admission]:
        """Enter at once."""
        yield Admission(worst)


class GovernorActor:
    """The governor behind Ray, on the clock of its node."""

    def __init__(self, config: LimitsConfig, earlier: Cost) -> None:
        die_with_node()
        self._governor = Governor(config, time.monotonic())
        self._governor.budget.account("earlier runs", spent=earlier, reserved=NOTHING)

    async def report(self, worker: str, report: Report) -> Orders:
        """See `Governor.report`."""
        return self._governor.report(worker, report, time.monotonic())

    async def spent(self) -> Cost:
        """By all workers so far."""
        return self._governor.budget.total_spent


@dataclass(slots=True, eq=False)
class _Waiting:
    """A call that may not start yet."""

    future: asyncio.Future[None]
    worst: Cost


@dataclass(slots=True)
class _Entry:
    """What `SharedLimiter.admit` gives; a class, because a generator costs every call some microseconds more."""

    limiter: SharedLimiter
    admission: Admission

    async def __aenter__(self) -> Admission:
        await self.limiter._wait(self.admission.reserved)
        return self.admission

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.limiter._finish(self.admission)


class SharedLimiter:
    """A worker's end. Picklable; queues and the reporting task are built on the event loop that uses it."""

    def __init__(self, governor: Any, config: LimitsConfig) -> None:
        self._governor, self._config = governor, config
        self._name = os.urandom(8).hex()
        self._waiting: deque[_Waiting] = deque()
        self._slots: deque[float] = deque()
        self._share, self._in_flight, self._not_before = 0, 0, 0.0
        self._purse, self._reserved, self._spent = NOTHING, NOTHING, NOTHING
        self._modest = False
        self._succeeded, self._overloads, self._retry_after, self._tokens = 0, 0, 0.0, 0
        self._notice: Notice | None = None
        self._reporting: asyncio.Task[None] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return SharedLimiter, (self._governor, self._config)

    def admit(self, worst: Cost) -> AbstractAsyncContextManager[Admission]:
        """Enter when concurrency, rate and budget allow one more call."""
        return _Entry(self, Admission(worst))

    async def _wait(self, worst: Cost) -> None:
        if self._reporting is None or self._reporting.done():
            self._reporting = asyncio.create_task(self._report_while_busy())
        if not self._waiting and self._may_start(worst):
            self._start(worst)
            return
        waiting = _Waiting(asyncio.get_running_loop().create_future(), worst)
        self._waiting.append(waiting)
        try:
            await waiting.future
        except asyncio.CancelledError:
            self._withdraw(waiting)
            raise

    def _pump(self) -> None:
        """Start every waiting call that the last orders allow."""
        while self._waiting:
            if self._waiting[0].future.done():  # its caller has given up
                self._waiting.popleft()
            elif self._may_start(self._waiting[0].worst):
                waiting = self._waiting.popleft()
                self._start(waiting.worst)
                waiting.future.set_result(None)
            else:
                return

    def _may_start(self, worst: Cost) -> bool:
        if self._in_flight >= self._share or time.monotonic() < self._not_before:
            return False
        if self._config.qps is not None and not self._slot_is_due():
            return False
        return not self._limited_money or self._purse.covers(worst)

    def _start(self, worst: Cost) -> None:
        if self._config.qps is not None:
            self._slots.popleft()
        if self._limited_money:
            self._purse, self._reserved = self._purse - worst, self._reserved + worst
        self._in_flight += 1

    def _slot_is_due(self) -> bool:
        now = time.monotonic()
        while self._slots and self._slots[0] < now - EXPIRE_S:
            self._slots.popleft()
        if self._slots and self._slots[0] > now:
            asyncio.get_running_loop().call_later(self._slots[0] - now, self._pump)
        return bool(self._slots) and self._slots[0] <= now

    def _withdraw(self, waiting: _Waiting) -> None:
        """The caller gave up: leave the queue, or end a call that was let in at the same moment."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        elif waiting.future.done() and not waiting.future.cancelled() and waiting.future.exception() is None:
            self._finish(Admission(waiting.worst))

    def _finish(self, admission: Admission) -> None:
        self._in_flight -= 1
        if admission.overload is None:
            self._succeeded += 1
        else:
            self._overloads += 1
            self._share = min(self._share, self._in_flight)  # its place stays empty until the governor has heard: no refusal after refusal
            self._retry_after = max(self._retry_after, admission.overload)
        if admission.notice is not None:
            self._heed(admission.notice)
        if self._limited_money:
            self._reserved = self._reserved - admission.reserved
        if admission.spent is not NOTHING:
            self._spent, self._tokens = self._spent + admission.spent, self._tokens + admission.spent.tokens
        self._pump()

    def _heed(self, notice: Notice) -> None:
        """Follow what the server says at once; the governor hears of it with the next report, and speaks for all workers."""
        self._notice = notice
        self._not_before = max(self._not_before, time.monotonic() + min(notice.pause_s, LONGEST_PAUSE_S))
        if notice.requests is not None:
            self._share = min(self._share, int(notice.requests.left))

    async def _report_while_busy(self) -> None:
        while self._waiting or self._in_flight or self._succeeded or self._overloads:
            report = self._take_report()
            self._obey(await self._governor.report.remote(self._name, report), report)
            starved = self._waiting and self._in_flight < self._share and self._needs_slots
            await asyncio.sleep(HURRY_S if starved else REPORT_S)

    def _take_report(self) -> Report:
        """What happened since the last one. Asks for the money of all calls that may start, or of one after a refusal."""
        if not self._waiting:
            self._purse = NOTHING
        money_wanted = self._limited_money and bool(self._waiting) and not self._purse.covers(self._waiting[0].worst)
        ahead = list(self._waiting)[: 1 if self._modest else max(1, self._share - self._in_flight)]
        report = Report(
            in_flight=self._in_flight,
            waiting=len(self._waiting),
            succeeded=self._succeeded,
            overloads=self._overloads,
            retry_after=self._retry_after,
            notice=self._notice,
            finished_tokens=self._tokens,
            need_slots=self._needs_slots,
            spent=self._spent,
            reserved=self._reserved + self._purse,
            want=sum((waiting.worst for waiting in ahead), NOTHING) - self._purse if money_wanted else NOTHING,
        )
        self._succeeded, self._overloads, self._retry_after, self._tokens, self._notice = 0, 0, 0.0, 0, None
        return report

    def _obey(self, orders: Orders, report: Report) -> None:
        now = time.monotonic()
        self._share = orders.share
        heard_since = self._not_before if self._notice is not None else now
        self._not_before = max(now + orders.pause_s, heard_since)
        self._slots.extend(now + orders.first_slot_s + number * orders.slot_s for number in range(orders.slots))
        if orders.granted:
            self._purse = self._purse + report.want
        elif orders.exhausted and self._modest:
            self._refuse_all()
        self._modest = not orders.granted
        self._pump()

    def _refuse_all(self) -> None:
        """The money is gone: say so to everybody who waits; calls in flight finish and are kept."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.future.done():
                waiting.future.set_exception(
                    TroubleError(BUDGET_EXHAUSTED, "raise limits.budget_usd or limits.budget_tokens and run again")
                )

    @property
    def _needs_slots(self) -> bool:
        return not self._slots or self._slots[-1] < time.monotonic() + AHEAD_S

    @property
    def _limited_money(self) -> bool:
        return self._config.budget_usd is not None or self._config.budget_tokens is not None


def make_limiter(config: LimitsConfig, earlier: Cost = NOTHING) -> SharedLimiter:
    """The limiter a run's workers share; Ray must be running.

    Args:
        earlier: what earlier runs have spent of the same budget.
    """
    actor = ray.remote(GovernorActor).options(num_cpus=0, max_concurrency=1000, max_restarts=-1, max_task_retries=-1)
    return SharedLimiter(actor.remote(config, earlier), config)
