"""A token bucket as virtual scheduling (GCRA, ITU-T I.371): a pure state machine, time is an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """Grants start times spaced `1/rate` apart; up to `burst` calls may start at once after a pause."""

    rate: float
    """Calls per second."""
    burst: float = 1.0
    next_start: float = 0.0
    """The earliest start of a call that nobody has reserved yet, in the caller's clock."""

    def reserve(self, count: int, now: float) -> float:
        """Reserve `count` consecutive slots.

        Returns:
            Start of the first slot on the caller's clock; the i-th slot starts `i / rate` later. A start before `now`
            is unused credit: that slot may be used at once.
        """
        start = max(self.next_start, now - (self.burst - 1.0) / self.rate)
        self.next_start = start + count / self.rate
        return start
