"""The token bucket as a law, and the shared limit measured on real Ray with the demand on one worker."""

from __future__ import annotations

import asyncio
import pickle
import time

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st

from engine.config import LimitsConfig
from engine.limits.bucket import TokenBucket
from engine.limits.limiter import EXPIRE_S, LeasedLimiter, Unlimited, make_limiter

demands = st.lists(st.tuples(st.floats(0, 2), st.integers(1, 20)), min_size=1, max_size=40)


@given(rate=st.floats(0.5, 1000), burst=st.floats(1, 50), demand=demands)
def test_no_window_ever_holds_more_than_rate_times_window_plus_burst(rate: float, burst: float, demand: list[tuple[float, int]]) -> None:
    bucket, now, starts = TokenBucket(rate, burst), 100.0, []
    for pause, count in demand:
        now += pause
        first = bucket.reserve(count, now)
        starts += [max(first + number / rate, now) for number in range(count)]
    for early in range(len(starts)):
        for late in range(early, len(starts)):
            allowed = rate * (starts[late] - starts[early]) + burst
            assert late - early + 1 <= allowed + 1e-6 * len(starts) + 1e-3 * rate


@given(rate=st.floats(0.5, 1000), counts=st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_a_busy_bucket_loses_no_slot(rate: float, counts: list[int]) -> None:
    bucket = TokenBucket(rate, 1.0, next_start=0.0)
    starts = [bucket.reserve(count, 0.0) for count in counts]
    assert starts == pytest.approx([sum(counts[:number]) / rate for number in range(len(counts))])


async def test_no_limit_means_no_wait_and_no_actor() -> None:
    limiter = make_limiter(LimitsConfig(qps=None))
    assert isinstance(limiter, Unlimited)
    await limiter.acquire()


def test_all_workers_share_one_rate(ray_local: None) -> None:
    """One busy and two idle workers: the busy one gets the whole rate, and all together never more."""
    rate = 100.0
    limiter = make_limiter(LimitsConfig(qps=rate))

    @ray.remote(num_cpus=0.1)
    def spend(limit: LeasedLimiter, calls: int) -> list[float]:
        async def work() -> list[float]:
            times = []
            for _ in range(calls):
                await limit.acquire()
                times.append(time.monotonic())
            return times

        return asyncio.run(work())

    times = sorted(start for part in ray.get([spend.remote(limiter, calls) for calls in (150, 10, 10)]) for start in part)
    assert len(times) == 170
    busiest = max(sum(start <= other < start + 1 for other in times) for start in times)
    assert busiest <= (1 + EXPIRE_S) * rate + 10  # slots used late can bunch, never by more than this
    assert (len(times) - 1) / (times[-1] - times[0]) <= 1.5 * rate


def test_a_limiter_travels_without_its_queue(ray_local: None) -> None:
    limiter = make_limiter(LimitsConfig(qps=10))
    assert isinstance(pickle.loads(pickle.dumps(limiter)), LeasedLimiter)
