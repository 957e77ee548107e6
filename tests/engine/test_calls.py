"""Model calls as they are counted: waiting, in flight, paid, replayed, failed, and how long they took."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import TroubleError
from engine.limits.budget import Cost
from engine.limits.limiter import Admission, Unlimited
from engine.llm.protocol import ChatReply, ChatRequest
from engine.llm.taped import TapedChatModel
from engine.tape.tape import Tape
from engine.telemetry.board import FRESH_S, Board, start_board
from engine.telemetry.calls import CallReporter, CallSite, CallTally, MeteredChatModel, MeteredLimiter, MeteredReplies, tally_of
from engine.telemetry.latency import bucket_of, middle, percentile, percentiles

SITE = CallSite("agent", "rollout", "m")


@dataclass
class Endpoint:
    """A model in this process that passes a limiter as the HTTP client does."""

    limiter: MeteredLimiter
    trouble: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answers once the trouble in store is used up."""
        while True:
            try:
                return await self.once()
            except TroubleError:
                continue

    async def once(self) -> ChatReply:
        """One call."""
        async with self.limiter.admit(Cost(1.0, 100)) as admission:
            if self.gate:
                await self.gate.wait()
            if self.trouble:
                raise TroubleError(self.trouble.pop())
            admission.settle(Cost(0.25, 14))
            return ChatReply(content="hi", tool_calls=(), finish_reason="stop", prompt_tokens=10, completion_tokens=4)


def request(scope: str) -> ChatRequest:
    """Equal scopes are one effect."""
    return ChatRequest(messages=({"role": "user", "content": "?"},), scope=scope)


async def test_what_is_replayed_is_counted_apart_from_what_is_paid(tmp_path: Path) -> None:
    tally = CallTally()
    tape = Tape(str(tmp_path))
    tape.open()
    paid = MeteredChatModel(Endpoint(MeteredLimiter(Unlimited(), tally), ["model_overloaded"]), tally)
    model = MeteredReplies(TapedChatModel(paid, tape, "rollout", "m"), tally)
    for scope in ("a", "b", "a", "a"):
        await model.complete(request(scope))
    tape.close()
    assert (tally.answered, tally.replies, tally.replayed, tally.calls) == (4, 2, 2, 3)
    assert (tally.prompt_tokens, tally.completion_tokens, tally.usd) == (20, 8, 0.5)
    assert (tally.overloads, tally.failures, tally.latency.total()) == (1, Counter(model_overloaded=1), 2)
    assert tally.as_dict()["replayed"] == 2 and "p99" in tally.as_dict()["latency_s"]


class OneAtATime:
    """A limiter with one place."""

    def __init__(self) -> None:
        self._place = asyncio.Lock()

    @asynccontextmanager
    async def admit(self, worst: Cost) -> AsyncIterator[Admission]:
        """Refuses what is dearer than a dollar."""
        if worst.usd > 1:
            raise TroubleError("budget_exhausted")
        async with self._place:
            yield Admission(worst)


async def test_waiting_and_in_flight_are_what_they_are_and_return_to_zero() -> None:
    tally = CallTally()
    endpoint = Endpoint(MeteredLimiter(OneAtATime(), tally), gate=asyncio.Event())
    calls = [asyncio.create_task(endpoint.complete(request(str(number)))) for number in range(3)]
    await asyncio.sleep(0.01)
    assert (tally.in_flight, tally.waiting, tally.calls) == (1, 2, 0)
    calls[0].cancel()
    calls[2].cancel()
    await asyncio.sleep(0.01)
    assert (tally.in_flight, tally.waiting, tally.calls, tally.failures) == (1, 0, 1, Counter(cancelled=1))
    assert endpoint.gate
    endpoint.gate.set()
    await calls[1]
    with pytest.raises(TroubleError):
        async with endpoint.limiter.admit(Cost(2.0, 1)):
            pass
    assert (tally.in_flight, tally.waiting, tally.calls) == (0, 0, 2) and tally.failures["budget_exhausted"] == 1


def test_the_board_sums_running_totals_and_forgets_the_calls_of_the_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    board, now = Board(), 100.0
    monkeypatch.setattr("engine.telemetry.board.time.monotonic", lambda: now)
    board.add_calls("w1", {SITE: CallTally(calls=3, in_flight=2)})
    board.add_calls("w1", {SITE: CallTally(calls=5, in_flight=1, latency=Counter({4: 5}))})
    now += FRESH_S + 1
    board.add_calls("w2", {SITE: CallTally(calls=2, in_flight=4, latency=Counter({4: 1, 9: 1}))})
    assert board.read_calls() == {SITE: CallTally(calls=7, in_flight=4, latency=Counter({4: 6, 9: 1}))}


def test_a_worker_reports_what_changed_to_the_board(ray_local: None) -> None:
    site = CallSite("agent", "rollout", "test-calls")
    tally, board = tally_of(site), start_board()
    assert tally_of(site) is tally
    tally.calls, tally.usd, tally.latency = 3, 0.5, Counter({bucket_of(0.2): 3})
    tally.failures["model_timeout"] += 1
    reporter = CallReporter(board)
    reporter.report()
    tally.calls = 4
    reporter.report()
    told = ray.get(board.read_calls.remote())[site]
    assert (told.calls, told.usd, told.failures) == (4, 0.5, Counter(model_timeout=1)) and told.latency == tally.latency
    ray.kill(board)


@given(st.lists(st.floats(0.001, 600), min_size=1, max_size=80), st.sampled_from([0.5, 0.9, 0.99]))
def test_percentiles_are_within_a_tenth(seconds: list[float], share: float) -> None:
    histogram = Counter(map(bucket_of, seconds))
    exact = sorted(seconds)[max(0, -int(-share * len(seconds) // 1) - 1)]
    found = percentile(histogram, share)
    assert found is not None and 0.9 < found / exact < 1.1
    assert all(middle(bucket_of(value)) == pytest.approx(value, rel=0.1) for value in seconds)


def test_no_calls_no_percentiles() -> None:
    assert percentile({}, 0.5) is None and percentiles(Counter()) == {} and bucket_of(0.0) == 0
    assert CallTally() + CallTally() == CallTally()
