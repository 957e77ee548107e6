"""The simulator in a process of its own, to be killed and started again; every call is logged before and after it is served.

    python -m scripts.chaos.model log=calls.log port=0 latency=0.5 server_errors=0.15

The log is the bill: it outlives the server, and what a killed server had begun to serve counts as paid.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from engine.config import parse
from engine.llm.simulator import Simulator, SimulatorConfig
from engine.records import derive_id
from scripts.simulate_llm import serve

BEGUN, ANSWERED, REFUSED, LEFT = "begun", "answered", "refused", "left"
"""Events of a call: LEFT means that the caller hung up first. A refused call (4xx, 5xx, connection dropped) costs nothing."""

GRACE_S = 1.0
"""Seconds that a busy caller may take from the arrival of a reply to having it on the tape."""

ARRIVAL_S = 0.25
"""Seconds that a call may take from its caller to our log."""

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Call:
    """One paid call, by the clock of this machine."""

    key: str
    """Hash of the request: equal for a call that is made again."""
    begun: float
    ended: float
    """Infinite when the server was killed under it."""

    def in_flight(self, since: float, until: float) -> bool:
        """Whether a kill between the two moments can have lost its reply."""
        return self.begun <= until + ARRIVAL_S and self.ended >= since - GRACE_S


class LoggingSimulator(Simulator):
    """Writes down each call."""

    def __init__(self, config: SimulatorConfig, log: Path) -> None:
        super().__init__(config)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._number = 0

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Serve one call between two lines of the log."""
        key, event = derive_id((await request.read()).decode()), LEFT
        self._number += 1
        number = f"{os.getpid()}-{self._number}"
        self._note(number, key, BEGUN)
        try:
            response = await super().complete(request)
            dropped = request.transport is None or request.transport.is_closing()
            event = REFUSED if dropped or response.status >= 400 else ANSWERED
            return response
        finally:
            self._note(number, key, event)

    def _note(self, number: str, key: str, event: str) -> None:
        os.write(self._log, f"{time.time()} {number} {key} {event}\n".encode())


def paid_calls(log: Path) -> list[Call]:
    """The calls in a log that cost something, by their beginning."""
    begun: dict[str, tuple[float, str]] = {}
    ended: dict[str, tuple[float, str]] = {}
    for line in log.read_text().splitlines() if log.exists() else ():
        moment, number, key, event = line.split()
        if event == BEGUN:
            begun[number] = float(moment), key
        else:
            ended[number] = float(moment), event
    never = (float("inf"), LEFT)
    calls = [Call(key, at, ended.get(number, never)[0]) for number, (at, key) in begun.items() if ended.get(number, never)[1] != REFUSED]
    return sorted(calls, key=lambda call: call.begun)


def repaid_calls(calls: Sequence[Call]) -> list[Call]:
    """Calls whose reply was lost, so that they were paid again: all but the last of each key."""
    left, by_key = Counter(call.key for call in calls), defaultdict[str, list[Call]](list)
    for call in calls:
        left[call.key] -= 1
        if left[call.key]:
            by_key[call.key].append(call)
    return [call for lost in by_key.values() for call in lost]


class ModelServer:
    """The server's process, always on the same port."""

    def __init__(self, log: Path) -> None:
        self.log, self._port, self._settings = log, 0, list[str]()
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """base_url for the job."""
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self, *settings: str) -> None:
        """Start, or start anew with other settings; returns when it answers."""
        self.kill()
        self._settings = list(settings)
        command = [sys.executable, "-m", "scripts.chaos.model", f"log={self.log}", f"port={self._port}", *settings]
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            raise RuntimeError(f"the model server did not start: {' '.join(command)}")
        self._port = int(said.split()[2].removesuffix("/v1").rpartition(":")[2])

    def restart(self) -> None:
        """Kill and start again with the same settings."""
        self.start(*self._settings)

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.communicate()
            self._process = None


def main(arguments: Sequence[str]) -> None:
    """Entry point of the server's process."""
    values = dict(argument.split("=", 1) for argument in arguments)
    log, port = Path(values.pop("log")), int(values.pop("port"))
    asyncio.run(serve(LoggingSimulator(parse(values, SimulatorConfig), log), port, "127.0.0.1"))


if __name__ == "__main__":
    main(sys.argv[1:])
