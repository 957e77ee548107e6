"""Model calls: the client alone, one call per row through the pipeline, agent rollouts of several turns."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agents.config import PolicyConfig, ToolsConfig
from agents.records import Trajectory
from agents.rollout import RolloutStage
from engine.config import LimitsConfig
from engine.limits.budget import NOTHING
from engine.limits.limiter import Limiter, make_limiter
from engine.llm.client import HttpChatModel
from engine.llm.protocol import ChatModel
from engine.llm.taped import TapedChatModel
from engine.records import derive_id
from engine.tape.tape import Tape
from samplers.records import Paradigm, Question
from scripts.bench.processes import Meter
from scripts.bench.server import MODEL, TOOL, MockServer
from scripts.bench.table import Line
from scripts.bench.work import MOST_IN_FLIGHT, Measured, Scale, ask, asked, bare_loop, model_factory, pipeline, spread

TURNS = 4
"""Model calls per rollout: three that ask for a tool, and the answer."""

PAGE = "The enzyme is encoded by a gene on the long arm, and three approved drugs bind to it. " * 36
"""A tool result of 3 kB."""

PEERS = {"bespoke Curator": (0.33, 4.3), "DataDesigner": (0.17, 6.1), "distilabel": (0.16, 7.0)}
"""calls/s as a share of the bare loop's, CPU-s per 1,000 calls: measured on 2 cores with 3,000 rows, 2026-11-21."""

RESEARCHER_MS = 15.0
"""CPU per call of MedResearcher-R1's rollouts, the lower end of what was measured."""


def client(scale: Scale) -> Iterator[Line]:
    """One process, 1,024 calls in flight: what limits and tape add to aiohttp.

    Both loops run by turns, and the best run of each counts (as in `timeit`): what else the machine does meanwhile slows both, and
    seldom all of their turns.
    """
    calls, in_flight, latency_s = scale.pick(12_000, 300), scale.pick(1024, 32), scale.seconds(0.2, 0.02)
    bare, ours = list[Measured](), list[Measured]()
    for turn in range(scale.pick(4, 1)):
        bare.append(bare_loop(calls, in_flight, latency_s))
        ours.append(_client(calls, in_flight, latency_s, scale.folder / f"client-{turn}"))
    what = f"HTTP client + shared limits + tape, {in_flight:,} in flight, {latency_s * 1000:.0f} ms"
    limit, value = (max(run.stats.steady_calls_per_s for run in runs) for runs in (bare, ours))
    yield Line(case="client", what=what, value=value, unit="calls/s", limit=limit, against="bare aiohttp loop", least=0.6, of_ratio=True)
    before, after = (min(run.cpu_ms_per_call for run in runs) for runs in (bare, ours))
    yield Line(
        case="client", what="CPU added per call", value=max(after - before, 1e-3), unit="ms", limit=before,
        against="bare loop, all of it", most=0.3,
    )  # fmt: skip


def _client(calls: int, in_flight: int, latency_s: float, folder: Path) -> Measured:
    server, recorder = MockServer(latency_s), Tape(str(folder))
    with server:
        limiter = make_limiter(LimitsConfig(concurrency=MOST_IN_FLIGHT))
        asyncio.run(_pass(limiter))  # the governor's process has started now: that is no part of a call
        client = HttpChatModel(server.endpoint, limiter)
        model = TapedChatModel(client, recorder, "bench", MODEL)

        async def one(number: int) -> None:
            await model.complete(ask(f"entity {number}", str(number)))

        async def work() -> None:
            recorder.open()
            await spread(calls, in_flight, one)
            await client.close()
            recorder.close()

        with Meter((server.pid,)) as meter:
            asyncio.run(work())
    return Measured(server.stats, meter.seconds)


async def _pass(limiter: Limiter) -> None:
    async with limiter.admit(NOTHING):
        pass


def one_call_rows(scale: Scale) -> Iterator[Line]:
    """Rows of one call through Ray Data, the peers' benchmark."""
    count, in_flight, latency_s = scale.pick(10_000, 100), scale.pick(256, 16), scale.seconds(0.2, 0.02)
    bare = bare_loop(count, in_flight, latency_s)
    ours = asked(count, in_flight, latency_s, scale.folder / "rows")
    what = f"{count:,} rows of one call, {in_flight} in flight, {latency_s * 1000:.0f} ms"
    peers = ", ".join(f"{name} {share}" for name, (share, _) in PEERS.items())
    yield Line(
        case="rows", what=what, value=ours.stats.calls_per_s, unit="calls/s", limit=bare.stats.calls_per_s,
        against=f"bare aiohttp loop ({peers})", least=0.75, of_ratio=True,
    )  # fmt: skip
    peers = ", ".join(f"{name} {cpu}" for name, (_, cpu) in PEERS.items())
    yield Line(
        case="rows", what="CPU of all processes, start of the actors included", value=ours.cpu_ms_per_call, unit="s/1,000 calls",
        limit=bare.cpu_ms_per_call, against=f"bare aiohttp loop ({peers})", most=2.0,
    )  # fmt: skip


def wide_pipeline(scale: Scale) -> Iterator[Line]:
    """512 in flight: near the ideal when the server is slow, near the machine when it is fast."""
    in_flight, slow_s, fast_s = scale.pick(512, 16), scale.seconds(1.0, 0.05), scale.seconds(0.2, 0.02)
    slow = asked(scale.pick(12_000, 100), in_flight, slow_s, scale.folder / "slow")
    yield Line(
        case="pipeline", what=f"{in_flight} in flight, {slow_s:g} s, steady state", value=slow.stats.steady_calls_per_s, unit="calls/s",
        limit=in_flight / slow_s, against="concurrency / latency", least=0.95, of_ratio=True,
    )  # fmt: skip
    calls = scale.pick(16_000, 100)
    bare, fast = bare_loop(calls, in_flight, fast_s), asked(calls, in_flight, fast_s, scale.folder / "fast")
    yield Line(
        case="pipeline", what=f"{in_flight} in flight, {fast_s:g} s, steady state", value=fast.stats.steady_calls_per_s, unit="calls/s",
        limit=bare.stats.steady_calls_per_s, against="bare aiohttp loop", least=0.5, of_ratio=True,
    )  # fmt: skip


def rollouts(scale: Scale) -> Iterator[Line]:
    """Agent rollouts with tools that cost nothing: what the loop, the messages and the pipeline cost."""
    count, in_flight, latency_s = scale.pick(3000, 20), scale.pick(512, 16), scale.seconds(0.2, 0.02)
    bare = bare_loop(count * TURNS, in_flight, latency_s)
    ours = _play(count, in_flight, latency_s, scale.folder / "rollouts")
    what = f"{count:,} rollouts of {TURNS} calls with 3 kB results, {in_flight} in flight, {latency_s * 1000:.0f} ms"
    yield Line(
        case="rollouts", what=what, value=ours.stats.calls_per_s, unit="calls/s", limit=bare.stats.calls_per_s,
        against="bare loop of one-turn calls (MedResearcher-R1 44/s)", least=600.0,
    )  # fmt: skip
    yield Line(
        case="rollouts", what="CPU of all processes per call", value=ours.cpu_ms_per_call, unit="ms", limit=RESEARCHER_MS,
        against="MedResearcher-R1 (published)", most=2.0,
    )  # fmt: skip


def trajectories(scale: Scale) -> Iterator[Line]:
    """As many trajectories at once as a large run holds, each waiting on a slow model."""
    count, latency_s = scale.pick(10_000, 40), scale.seconds(20.0, 0.2)
    ours = _play(count, count, latency_s, scale.folder / "trajectories", memory=True)
    assert ours.result is not None
    seconds = sorted(float(row.tags[0]) for row in ours.result.rows("rollout", Trajectory))
    what = f"{count:,} trajectories at once, turns of {latency_s:g} s: "
    yield Line(
        case="trajectories", what=what + "memory (PSS) of all processes", value=ours.peak_pss / 1e9, unit="GB", most=4.0,
    )  # fmt: skip
    yield Line(
        case="trajectories", what="the slowest, start to end", value=seconds[-1], unit="s", limit=statistics.median(seconds),
        against="the median", most=2.0, of_ratio=True,
    )  # fmt: skip


class _Constant:
    """A tool that costs nothing."""

    name = TOOL
    description = "Looks up what is known about a name."
    parameters: Mapping[str, Any] = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """The same page for every query."""
        return PAGE


class _Rollouts(RolloutStage):
    """The real stage with the tool above; each row's first tag is the seconds it took."""

    def __init__(self, make_model: Callable[[], ChatModel]) -> None:
        config = PolicyConfig(kind="llm", time_limit_s=900.0)
        super().__init__(config, ToolsConfig(names=()), None, None, make_model)

    async def open(self) -> None:
        await super().open()
        self._tools = (_Constant(),)

    async def attempt(self, record: Question, ordinal: int, rng: random.Random) -> Trajectory:
        begun = time.monotonic()
        trajectory = await super().attempt(record, ordinal, rng)
        return dataclasses.replace(trajectory, tags=(f"{time.monotonic() - begun:.3f}",))


def _play(count: int, in_flight: int, latency_s: float, folder: Path, *, memory: bool = False) -> Measured:
    server = MockServer(latency_s, tool_turns=TURNS - 1)
    with server:
        stage = _Rollouts(model_factory(server, folder))
        measured = pipeline([_question(number) for number in range(count)], stage, server, folder, in_flight, memory=memory)
    assert measured.result is not None
    assert measured.result.counts["rollout"].rows == count, measured.result.counts
    return dataclasses.replace(measured, stats=server.stats)


def _question(number: int) -> Question:
    question_id = derive_id("bench", number)
    return Question(
        id=question_id, trace_id=question_id, text=f"Which drug binds what entity {number} encodes?", answer="42", answer_aliases=(),
        answer_entity="", paradigm=Paradigm.CHAIN, hops=3, difficulty=0.0, seed_name="", strategy="", certified=False, certificate=None,
        cheat_sheet=(), placeholders=(),
    )  # fmt: skip
