"""One concurrency limit over many workers: who may have how many calls in flight, as a pure state machine."""

from __future__ import annotations

from dataclasses import dataclass, field

SILENT_S = 3.0
"""Seconds without a word after which a worker is taken for dead and its share returns: thirty missed reports."""


@dataclass(slots=True)
class Worker:
    """What is known of one worker."""

    demand: int
    """Calls in flight and waiting, as last reported."""
    share: int
    """What it was last granted; it never has more in flight than its largest share still unfinished."""
    seen: float


@dataclass(slots=True)
class Shares:
    """Max-min fair division: nobody gets more than it asks for, and what some leave others use.

    The sum of shares never exceeds the limit, except while calls granted under a higher limit are still in flight.
    """

    workers: dict[str, Worker] = field(default_factory=dict)

    def report(self, worker: str, in_flight: int, waiting: int, limit: int, now: float) -> int:
        """A worker says what it does and wants; returns its share from now on."""
        self._forget_silent(now)
        self.workers[worker] = Worker(in_flight + waiting, in_flight, now)
        free = limit - sum(other.share for name, other in self.workers.items() if name != worker)
        share = max(in_flight if free >= in_flight else 0, min(self._fair(worker, limit), free), 0)
        self.workers[worker].share = max(share, in_flight)
        return share

    @property
    def in_demand(self) -> int:
        """Calls wanted by all."""
        return sum(worker.demand for worker in self.workers.values())

    def _fair(self, worker: str, limit: int) -> int:
        """Water-filling: satisfy small demands first, divide the rest evenly; an idle worker keeps one call's worth."""
        left, open_workers = limit, sorted((max(1, known.demand), name) for name, known in self.workers.items())
        for position, (demand, name) in enumerate(open_workers):
            fair = min(demand, -(-left // (len(open_workers) - position)))
            if name == worker:
                return fair
            left -= fair
        return 0

    def _forget_silent(self, now: float) -> None:
        for name in [name for name, known in self.workers.items() if now - known.seen > SILENT_S]:
            del self.workers[name]
