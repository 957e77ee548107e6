"""The shared limits against a server that keeps the time: a rate nobody may exceed, a capacity nobody knows."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator, Sequence

import numpy as np
import ray

from engine.config import EndpointConfig, LimitsConfig
from engine.errors import TroubleError
from engine.limits.limiter import SharedLimiter, make_limiter
from engine.llm.client import HttpChatModel
from scripts.bench.server import MockServer, ServerStats
from scripts.bench.table import Line
from scripts.bench.work import Scale, ask

RATES = (50.0, 500.0)

SKEW = (0.97, 0.01, 0.01, 0.01)
"""Shares of the demand: one worker has nearly all of it."""

SETTLE_S = 30.0
"""Seconds in which the limit must find an unknown capacity."""


def rate(scale: Scale) -> Iterator[Line]:
    """Queries per second over four workers, on the server's clock."""
    for qps in RATES:
        seconds = scale.seconds(30.0 if qps < 100 else 15.0, 2.0)
        server = MockServer(0.05)
        with server:
            limiter = make_limiter(LimitsConfig(qps=qps))
            _load(server.endpoint, limiter, [max(1, int(qps * seconds * share)) for share in SKEW])
        starts = np.sort(server.stats.starts)
        starts = starts[starts >= starts[0] + scale.seconds(1.0, 0.0)]  # the workers start one after another
        achieved = (len(starts) - 1) / float(starts[-1] - starts[0])
        what = f"limits.qps={qps:.0f}, 4 workers, 97 % of the demand on one: "
        yield Line(
            case="rate", what=what + "mean", value=achieved, unit="calls/s", limit=qps, against="the limit", least=0.98, most=1.02,
            of_ratio=True,
        )  # fmt: skip
        yield Line(
            case="rate", what=what + "busiest second", value=_busiest(starts), unit="calls/s", limit=qps, against="the limit", most=1.1,
            of_ratio=True,
        )  # fmt: skip


def hidden_limit(scale: Scale) -> Iterator[Line]:
    """A server that refuses calls beyond a number it does not tell; two workers with more work than fits."""
    capacity, latency_s = scale.pick(200, 30), scale.seconds(0.5, 0.05)
    settle_s, watch_s = scale.seconds(SETTLE_S, 2.0), scale.seconds(60.0, 1.0)
    server = MockServer(latency_s, capacity=capacity)
    with server:
        limiter = make_limiter(LimitsConfig(concurrency=1024))
        _load(server.endpoint, limiter, [10**9] * 2, settle_s + watch_s, in_flight=capacity)
    stats = server.stats
    begin = float(min(stats.starts))
    end = begin + settle_s + watch_s
    what = f"429 beyond {capacity} in flight, two workers: "
    yield Line(
        case="hidden limit", what=what + "first 3 s at 90 % of the capacity", value=_settled(stats, begin, end, 0.9 * capacity), unit="s",
        limit=settle_s, against="the time allowed", most=1.0, of_ratio=True,
    )  # fmt: skip
    yield Line(
        case="hidden limit", what=what + f"mean in flight after {settle_s:.0f} s", value=stats.mean_in_flight(begin + settle_s, end),
        unit="calls", limit=capacity, against="the capacity", least=0.9, most=1.1, of_ratio=True,
    )  # fmt: skip
    refused, served = (int((times >= begin + settle_s).sum()) for times in (stats.refused, stats.starts))
    yield Line(
        case="hidden limit", what=what + f"429s after {settle_s:.0f} s", value=100 * refused / (refused + served), unit="%", limit=100.0,
        against="all replies", most=2.0,
    )  # fmt: skip


def _load(endpoint: EndpointConfig, limiter: SharedLimiter, calls: Sequence[int], seconds: float = 600.0, in_flight: int = 512) -> None:
    """A Ray worker per number of calls, side by side, until they are done or `seconds` after the first has begun."""
    until = time.monotonic() + seconds
    task = ray.remote(num_cpus=0.1)(_worker)
    ray.get([task.remote(endpoint, limiter, number, until, in_flight) for number in calls])


def _worker(endpoint: EndpointConfig, limiter: SharedLimiter, calls: int, until: float, in_flight: int) -> None:
    gc.freeze()  # as `StageActor` does: a full collection over all that Ray has imported stalls a loop for 0.1 s
    asyncio.run(_ask_all(HttpChatModel(endpoint, limiter), calls, until, in_flight))


async def _ask_all(model: HttpChatModel, calls: int, until: float, in_flight: int) -> None:
    numbers = iter(range(calls))

    async def one() -> None:
        for number in numbers:
            if time.monotonic() > until:
                return
            try:
                await model.complete(ask(f"entity {number}", ""))
            except TroubleError:
                continue  # given up after eight refusals; the server has counted them

    await asyncio.gather(*(one() for _ in range(min(in_flight, calls))))
    await model.close()


def _busiest(starts: np.ndarray) -> int:
    """Most calls in any second, wherever it begins."""
    return int((np.searchsorted(starts, starts + 1.0) - np.arange(len(starts))).max())


def _settled(stats: ServerStats, begin: float, end: float, wanted: float) -> float:
    """Seconds until the first three in which at least `wanted` calls were in flight on average; all of them if never."""
    moments = np.arange(begin, end - 3.0, 0.25)
    return next((float(moment - begin) for moment in moments if stats.mean_in_flight(moment, moment + 3.0) >= wanted), end - begin)
