"""What the cases share: the bare loop that is the limit, rows of one call each, and the pipeline run around them."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
from rich.console import Console

from engine.config import EndpointConfig, LimitsConfig, PipelineConfig, PoolConfig, RunConfig
from engine.ledger import Ledger
from engine.limits.limiter import make_limiter
from engine.llm.protocol import ChatModel, ChatRequest
from engine.pipeline.actor import StagePlan
from engine.pipeline.leg import LegResult, LegSettings, run_leg
from engine.records import Record, derive_id
from engine.stage import Stage
from engine.storage import Storage
from engine.tape.tape import Tape
from scripts.bench.processes import Meter
from scripts.bench.server import MODEL, MockServer, ServerStats
from scripts.models import ModelFactory

PROMPT = "You write questions about entities of a knowledge graph. " * 8
"""Some 450 characters, as the prompts of the peers' benchmark."""


MOST_IN_FLIGHT = 16_384
"""The user's limit on concurrency: above what any case reaches, so that the adaptive limit alone is at work."""


@dataclass(frozen=True)
class Scale:
    """How much work a case does: enough to be believed, or just enough to see that it runs."""

    quick: bool
    folder: Path
    """Empty, and gone when the benchmark ends."""

    def pick(self, full: int, quick: int) -> int:
        """A count by scale."""
        return quick if self.quick else full

    def seconds(self, full: float, quick: float) -> float:
        """A time by scale."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Record):
    """A row in or out."""

    text: str


def rows(count: int) -> list[Row]:
    """Inputs of the one-call pipeline."""
    ids = (derive_id("bench", number) for number in range(count))
    return [Row(id=row_id, trace_id=row_id, text=f"entity {row_id}") for row_id in ids]


class Ask(Stage[Row, Row]):
    """One model call per row."""

    name: ClassVar[str] = "ask"
    takes: ClassVar[type[Record]] = Row
    makes: ClassVar[type[Record]] = Row

    def __init__(self, make_model: Callable[[], ChatModel] | None) -> None:
        self._make_model = make_model

    async def open(self) -> None:
        """Build the model on the actor's loop."""
        self._model = self._make_model() if self._make_model else None

    async def attempt(self, record: Row, ordinal: int, rng: random.Random) -> Row:
        """Ask about the row."""
        assert self._model is not None
        reply = await self._model.complete(ask(record.text, record.id))
        return Row(id=derive_id(record.id, "ask"), trace_id=record.trace_id, text=reply.content)


def ask(text: str, scope: str) -> ChatRequest:
    """The request of a one-call row."""
    return ChatRequest(messages=({"role": "system", "content": PROMPT}, {"role": "user", "content": text}), scope=scope)


def model_factory(server: MockServer, folder: Path) -> ModelFactory:
    """The model as a run builds it: HTTP client, limits shared by all workers, tape recording. Ray must be running."""
    limits = LimitsConfig(concurrency=MOST_IN_FLIGHT)
    return ModelFactory(server.endpoint, make_limiter(limits), Tape(str(folder / "tape")), "bench", MODEL)


@dataclass(frozen=True)
class Measured:
    """What a piece of work cost."""

    stats: ServerStats
    cpu_s: float
    peak_pss: int = 0
    result: LegResult | None = None

    @property
    def cpu_ms_per_call(self) -> float:
        """Milliseconds of CPU per answered call."""
        return self.cpu_s * 1000 / self.stats.calls


def bare_loop(calls: int, in_flight: int, latency_s: float) -> Measured:
    """The limit: aiohttp and nothing else, `in_flight` coroutines of one process asking as fast as they can."""
    server = MockServer(latency_s)
    with server, Meter((server.pid,)) as meter:
        asyncio.run(_bare(server.endpoint, calls, in_flight))
    return Measured(server.stats, meter.seconds)


async def _bare(endpoint: EndpointConfig, calls: int, in_flight: int) -> None:
    url, limit = f"{endpoint.base_url}/chat/completions", aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=limit) as session:

        async def one(number: int) -> None:
            body = json.dumps({"model": MODEL, "messages": ask(f"entity {number}", "").messages, "max_tokens": 2048})
            async with session.post(url, data=body) as response:
                json.loads(await response.read())["choices"][0]["message"]["content"]

        await spread(calls, in_flight, one)


async def spread(calls: int, in_flight: int, one: Callable[[int], Awaitable[None]]) -> None:
    """`one(0)` … `one(calls - 1)`, `in_flight` at a time."""
    numbers = iter(range(calls))

    async def worker() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(worker() for _ in range(in_flight)))


def pipeline(
    inputs: Sequence[Record],
    stage: Stage[Any, Any],
    server: MockServer,
    folder: Path,
    in_flight: int,
    actors: int = 2,
    memory: bool = False,
) -> Measured:
    """`inputs` through a leg of one stage against a server that is already up; its `stats` are read after it has stopped."""
    settings = LegSettings(RunConfig(), PipelineConfig(), Ledger(Storage(str(folder))), Console(file=io.StringIO()))
    pool = PoolConfig(actors=actors, num_cpus=0.5, in_flight=in_flight // actors, timeout_s=900.0)
    with Meter((server.pid,), memory=memory) as meter:
        result = run_leg(inputs, [StagePlan(stage, pool, "rows")], settings)
    return Measured(server.stats, meter.seconds, meter.peak_pss, result)


def asked(count: int, in_flight: int, latency_s: float, folder: Path) -> Measured:
    """One-call rows through the whole pipeline, taped and limited."""
    server = MockServer(latency_s)
    with server:
        measured = pipeline(rows(count), Ask(model_factory(server, folder)), server, folder, in_flight)
    return replace(measured, stats=server.stats)
