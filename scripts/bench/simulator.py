"""The simulator in a process of its own, and what it saw while a case ran."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from types import TracebackType

import numpy as np

LOOK_S = 0.1
"""Seconds between two looks at the simulator's counts."""


class SimulatorProcess:
    """The simulator's process, from the driver's side."""

    def __init__(self, latency_s: float, sigma: float = 0.0) -> None:
        """`sigma`: of the logarithm of the latency, whose median `latency_s` is."""
        self._command = [sys.executable, "-m", "scripts.simulate_llm", "--port", "0"]
        self._command += ["--latency", str(latency_s), "--latency-sigma", str(sigma)]

    def __enter__(self) -> SimulatorProcess:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split()[2]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """Of its process, for the accounting that leaves it out."""
        return self._process.pid

    def look(self) -> tuple[int, int]:
        """Calls taken in so far, and those in flight now."""
        with urllib.request.urlopen(f"{self.url.removesuffix('/v1')}/stats") as reply:  # noqa: S310 - loopback, our own server
            told = json.load(reply)
        return int(told["calls"]), int(told["in_flight"])


class Pace:
    """Looks at the simulator's counts while the block runs, from a thread."""

    def __init__(self, server: SimulatorProcess) -> None:
        self._server, self._done = server, threading.Event()
        self._seen: list[tuple[float, int, int]] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Pace:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    @property
    def calls(self) -> int:
        """All of them."""
        return self._seen[-1][1]

    @property
    def calls_per_s(self) -> float:
        """From the first call to the last, slow start and tail included."""
        first, last = self._ends()
        return self.calls / max(last - first, LOOK_S)

    @property
    def steady_in_flight(self) -> float:
        """Mean over the middle half of the time between the first call and the last."""
        first, last = self._ends()
        quarter = (last - first) / 4
        return float(np.mean([flying for moment, _, flying in self._seen if first + quarter <= moment <= last - quarter]))

    def _ends(self) -> tuple[float, float]:
        first = next(moment for moment, calls, _ in self._seen if calls)
        return first, next(moment for moment, calls, _ in self._seen if calls == self.calls)

    def _watch(self) -> None:
        more = True
        while more:
            more = not self._done.wait(LOOK_S)
            self._seen.append((time.monotonic(), *self._server.look()))
