"""The endpoint's own cost per request: door, chat template, tokenizer, events and Ray Serve's proxy, beyond the model's own time."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from ray import serve as ray_serve

from engine.config import parse
from scripts.bench.calls import PAGE
from scripts.bench.processes import seconds_of
from scripts.bench.server import TOOL
from scripts.bench.table import Line
from scripts.bench.work import PROMPT, Scale, spread
from scripts.serve import free_port
from serve import deploy
from serve.config import ServeConfig, ServeSettings

NAME = "bench"
TOKENS = 100
"""Of a reply."""
TEXTS = (PAGE, PROMPT)
"""What the tokenizer is made from."""
MANY, FEW = 32, 8
"""Requests at once."""
TITLES = ("ray::ServeReplica", "ray::ProxyActor", "ray::ServeController")
"""Processes of Ray Serve."""
LOOKUP = {"type": "function", "function": {"name": TOOL, "parameters": {"type": "object", "properties": {"query": {"type": "string"}}}}}


@dataclass(frozen=True)
class Taken:
    """What requests took."""

    seconds: Sequence[float]
    """Of each, from asking to the last byte."""
    cpu_s: float
    """Of Ray Serve's processes."""


def serving(scale: Scale) -> Iterator[Line]:
    """A conversation with a tool result of 3 kB, answered with 100 tokens."""
    if importlib.util.find_spec("torch") is None:
        print("serving is not measured: it needs the extra 'train'", file=sys.stderr)
        return
    from scripts.bench import endpoint

    model_s, folder, port = scale.seconds(1.0, 0.05), scale.folder / NAME, free_port("127.0.0.1")
    endpoint.write_folder(folder, TEXTS, model_s / TOKENS)
    with deployed(folder, endpoint.TimedEndpoint, port) as url:
        post(url, bodies(2), 1)  # connections, caches
        yield from _added("one at a time", post(url, bodies(scale.pick(8, 2)), 1), model_s)
        crowd = post(url, bodies(scale.pick(8, 1) * MANY), MANY)
        yield from _added(f"{MANY} at once", crowd, model_s)
        yield _cpu("plain", crowd, model_s)
        crowd = post(url, bodies(scale.pick(8, 1) * FEW, stream=True), FEW)
        yield from _added(f"{FEW} at once, streamed", crowd, model_s)
        yield _cpu("streamed", crowd, model_s)
    if not scale.quick:  # another deployment and two loads of a model
        yield _real(folder, port)


def _added(how: str, taken: Taken, model_s: float) -> Iterator[Line]:
    added = statistics.mean(taken.seconds) - model_s
    yield Line(
        case="serving", what=f"wall time added to a request of {model_s:g} s, {how}", value=added * 1000, unit="ms", limit=model_s * 1000,
        against="the model's own", most=0.1, of_ratio=True,
    )  # fmt: skip


def _cpu(how: str, taken: Taken, model_s: float) -> Line:
    return Line(
        case="serving", what=f"CPU of proxy, replica and controller per request, {how}", value=taken.cpu_s / len(taken.seconds) * 1000,
        unit="ms", limit=model_s * 1000, against="the model's own time", most=0.1, of_ratio=True,
    )  # fmt: skip


def _real(folder: Path, port: int) -> Line:
    """The same requests to a real model, through the endpoint and without it. CPU, since wall times tell who else is at work."""
    from scripts.bench import endpoint

    asked = bodies(32, tokens=200)
    alone = [endpoint.alone(folder, NAME, asked, FEW)]
    with deployed(folder, deploy.Endpoint, port) as url:
        post(url, bodies(2), 1)
        through = post(url, asked, FEW)
    alone.append(endpoint.alone(folder, NAME, asked, FEW))
    added = (through.cpu_s - statistics.mean(alone)) / len(asked)
    return Line(
        case="serving", what=f"CPU added to a request to a real model, {FEW} at once", value=added * 1000, unit="ms",
        limit=statistics.mean(through.seconds) * 1000, against="what the request takes", most=0.1, of_ratio=True,
    )  # fmt: skip


@contextmanager
def deployed(folder: Path, replica: type[Any], port: int) -> Iterator[str]:
    """The address of an endpoint with one replica of that class. Ray Serve's proxy stays until the Ray session ends."""
    settings = ServeSettings(model=str(folder), name=NAME, port=port)
    config = parse(deploy.values(settings), ServeConfig)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    try:
        deploy.start(deploy.deployed(config, replica), settings, port)
        yield f"http://127.0.0.1:{port}/v1/chat/completions"
    finally:
        ray_serve.delete(deploy.NAME)


def bodies(count: int, *, tokens: int = TOKENS, stream: bool = False) -> list[bytes]:
    """Requests that differ in their question."""
    return [json.dumps(_body(number, tokens, stream)).encode() for number in range(count)]


def _body(number: int, tokens: int, stream: bool) -> dict[str, Any]:
    call = {"id": "call_0", "type": "function", "function": {"name": TOOL, "arguments": json.dumps({"query": f"entity {number}"})}}
    messages = [
        {"role": "system", "content": PROMPT},
        {"role": "user", "content": f"Which drug binds what entity {number} encodes?"},
        {"role": "assistant", "content": "I look it up.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_0", "content": PAGE},
    ]
    return {"model": NAME, "messages": messages, "tools": [LOOKUP], "max_tokens": tokens, "seed": number, "stream": stream}


def post(url: str, asked: Sequence[bytes], in_flight: int) -> Taken:
    """All of them, `in_flight` at a time."""
    seconds: list[float] = []

    async def work() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def one(number: int) -> None:
                begun = time.monotonic()
                async with session.post(url, data=asked[number], headers={"Content-Type": "application/json"}) as response:
                    told = await response.read()
                    assert response.status == 200, told
                seconds.append(time.monotonic() - begun)

            await spread(len(asked), in_flight, one)

    before = seconds_of(TITLES)
    asyncio.run(work())
    return Taken(seconds, seconds_of(TITLES) - before)
