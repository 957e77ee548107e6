"""A chat-completions mock as thin as it gets: one `asyncio.Protocol`, prepared replies, a process of its own.

`scripts.simulate_llm` is the product's simulator and answers some 4,700 calls per CPU-second, on the machine it shares with
the client; measuring through it would measure it. This one knows a latency, a number of calls in flight beyond which it
answers 429, and how many tool calls it asks for before it answers. What it saw comes back when it is stopped.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.config import EndpointConfig
from engine.records import canonical_json

MODEL = "mock"
TOOL = "lookup"
"""The tool it calls, with the argument `query`."""

_ANSWER = "<answer>42</answer> " + "The record names it, and no other entry fits both clues. " * 4


@dataclass(frozen=True)
class ServerStats:
    """What a mock server saw. Times are seconds on the machine's monotonic clock, in order of arrival."""

    starts: NDArray[np.float64]
    """Of the requests it answered with 200."""
    refused: NDArray[np.float64]
    """Of those it answered with 429."""
    latency_s: float

    @property
    def calls(self) -> int:
        """Requests answered with 200."""
        return len(self.starts)

    @property
    def calls_per_s(self) -> float:
        """From the first request to the last reply, slow start and tail included."""
        return self.calls / float(self.starts[-1] - self.starts[0] + self.latency_s)

    @property
    def steady_calls_per_s(self) -> float:
        """In the middle half of the request starts."""
        middle = self.starts[len(self.starts) // 4 : len(self.starts) * 3 // 4]
        return (len(middle) - 1) / float(middle[-1] - middle[0])

    def mean_in_flight(self, begin: float, end: float) -> float:
        """Over an interval of the clock; a call is in flight for the latency."""
        overlap = np.minimum(self.starts + self.latency_s, end) - np.maximum(self.starts, begin)
        return float(np.clip(overlap, 0.0, None).sum()) / (end - begin)


class MockServer:
    """The server's process, from the driver's side."""

    def __init__(self, latency_s: float, *, capacity: int = 0, tool_turns: int = 0) -> None:
        """`capacity`: calls in flight beyond which it refuses (0: never). `tool_turns`: tool calls asked for in a conversation."""
        self._latency_s, self._command = latency_s, [sys.executable, "-m", "scripts.bench.server"]
        self._command += [str(latency_s), str(capacity), str(tool_turns)]
        self.stats = ServerStats(np.empty(0), np.empty(0), latency_s)

    def __enter__(self) -> MockServer:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this very file
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        told, _ = self._process.communicate()
        seen = json.loads(told)
        self.stats = ServerStats(np.array(seen["starts"]), np.array(seen["refused"]), self._latency_s)

    @property
    def pid(self) -> int:
        """Its process, for the accounting that leaves it out."""
        return self._process.pid

    @property
    def endpoint(self) -> EndpointConfig:
        """How a client reaches it."""
        return EndpointConfig(base_url=f"http://127.0.0.1:{self.port}/v1", model=MODEL)


@dataclass
class _Traffic:
    latency_s: float
    capacity: int
    tool_turns: int
    in_flight: int = 0

    def __post_init__(self) -> None:
        self.starts: list[float] = []
        self.refused: list[float] = []
        self.answer = _response(200, {"content": _ANSWER})
        self.calls = [_response(200, {"content": "I look it up.", "tool_calls": [_call(turn)]}) for turn in range(self.tool_turns)]
        self.busy = b'HTTP/1.1 429 Too Many Requests\r\nContent-Length: 24\r\n\r\n{"error":{"code":"429"}}'

    def reply(self, body: bytes) -> bytes:
        """A tool call while the conversation holds fewer tool results than `tool_turns`, then the answer."""
        turn = body.count(b'"role":"tool"') if self.tool_turns else 0
        return self.calls[turn] if turn < self.tool_turns else self.answer


class _Connection(asyncio.Protocol):
    def __init__(self, traffic: _Traffic) -> None:
        self._traffic, self._buffer = traffic, b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        while head >= 0:
            lines = self._buffer[:head].lower()
            at = lines.find(b"content-length:")
            end = head + 4 + (int(lines[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0)
            if len(self._buffer) < end:
                return
            self._answer(self._buffer[head + 4 : end])
            self._buffer = self._buffer[end:]
            head = self._buffer.find(b"\r\n\r\n")

    def _answer(self, body: bytes) -> None:
        traffic = self._traffic
        if traffic.capacity and traffic.in_flight >= traffic.capacity:
            traffic.refused.append(time.monotonic())
            self._transport.write(traffic.busy)
            return
        traffic.starts.append(time.monotonic())
        traffic.in_flight += 1
        self._loop.call_later(traffic.latency_s, self._finish, traffic.reply(body))

    def _finish(self, reply: bytes) -> None:
        self._traffic.in_flight -= 1
        if not self._transport.is_closing():
            self._transport.write(reply)


def _response(status: int, message: dict[str, object]) -> bytes:
    reason = "tool_calls" if "tool_calls" in message else "stop"
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": reason, "logprobs": None}
    usage = {"prompt_tokens": 200, "completion_tokens": 100, "total_tokens": 300}
    completion = {"id": "c-1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice], "usage": usage}
    body = canonical_json(completion).encode()
    return b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


def _call(turn: int) -> dict[str, object]:
    return {"id": f"c{turn}", "type": "function", "function": {"name": TOOL, "arguments": json.dumps({"query": f"clue {turn}"})}}


async def _serve(traffic: _Traffic) -> None:
    """Until stdin ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(traffic), "127.0.0.1", 0, backlog=16_384)
    print(server.sockets[0].getsockname()[1], flush=True)
    stopped = asyncio.Event()
    loop.add_reader(0, stopped.set)
    await stopped.wait()
    print(json.dumps({"starts": traffic.starts, "refused": traffic.refused}), flush=True)
    os._exit(0)  # thousands of open connections need no farewell


def main() -> None:
    """`python -m scripts.bench.server LATENCY_S CAPACITY TOOL_TURNS`: prints its port, and what it saw once stdin ends."""
    traffic = _Traffic(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    factory = None
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(traffic))


if __name__ == "__main__":
    main()
