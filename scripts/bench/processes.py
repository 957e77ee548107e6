"""CPU and memory of this process and all its descendants (Ray's included), read from /proc."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence
from types import TracebackType

TICKS_PER_S = os.sysconf("SC_CLK_TCK")

LOOK_S = 0.25
"""Seconds between two looks: a process that ends in between loses at most this much of its CPU time from the sum."""


def family(without: Collection[int] = ()) -> dict[int, float]:
    """This process and its descendants → CPU seconds so far. `without` and what descends from it is left out."""
    parents, seconds = {}, {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - some hundred names several times a second
        stat = _read(f"/proc/{name}/stat") if name.isdecimal() else ""
        if stat:
            fields = stat.rpartition(")")[2].split()
            parents[int(name)], seconds[int(name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    members = {os.getpid()}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in members and pid not in members and pid not in without}
        members |= more
        grown = bool(more)
    return {pid: seconds[pid] for pid in members if pid in seconds}


def seconds_of(titles: Sequence[str]) -> float:
    """CPU seconds so far of the descendants whose titles begin with one of these."""
    return sum(spent for pid, spent in family().items() if _read(f"/proc/{pid}/cmdline").startswith(tuple(titles)))


def pss_bytes(without: Collection[int] = ()) -> int:
    """Proportional set size of the family: shared pages count once, divided among those who map them."""
    total = 0
    for pid in family(without):
        lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


class Meter:
    """CPU seconds that the family spends inside the block; processes that come and go are counted too."""

    def __init__(self, without: Collection[int] = (), *, memory: bool = False) -> None:
        """`memory`: watch the sum of proportional set sizes as well, which takes some milliseconds a process."""
        self._without, self._memory = without, memory
        self.seconds, self.peak_pss = 0.0, 0

    def __enter__(self) -> Meter:
        self._before = family(self._without)
        self._last = dict(self._before)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
        self._look()
        self.seconds = sum(spent - self._before.get(pid, 0.0) for pid, spent in self._last.items())

    def _watch(self) -> None:
        looks = 0
        while not self._done.wait(LOOK_S):
            self._look()
            looks += 1
            if self._memory and looks % 8 == 0:
                self.peak_pss = max(self.peak_pss, pss_bytes(self._without))

    def _look(self) -> None:
        self._last |= family(self._without)


def memory_gb() -> float:
    """RAM of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _read(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - four times faster, for what is counted with all the rest
            return file.read().decode()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
