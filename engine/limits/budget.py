"""A hard stop on money and tokens: worst case reserved before a call, settled after; a pure state machine."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field

ROUNDING_USD = 1e-8
"""A millionth of a cent: sums of prices are not exact."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Money and tokens of one or many calls."""

    usd: float = 0.0
    tokens: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.usd + other.usd, self.tokens + other.tokens)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.usd - other.usd, self.tokens - other.tokens)

    def covers(self, other: Cost) -> bool:
        """Whether this is enough for `other`."""
        return self.usd >= other.usd - ROUNDING_USD and self.tokens >= other.tokens


NOTHING = Cost()


@dataclass(slots=True)
class Budget:
    """Never lets what is spent plus what is reserved pass a limit.

    Workers report running totals, not differences, so a restarted governor knows all that live workers know. A dead
    worker's reservation stays counted: it may have been spent.
    """

    usd: float | None
    """US dollars; None is no limit."""
    tokens: int | None
    """Prompt and completion tokens together; None is no limit."""
    spent: dict[str, Cost] = field(default_factory=dict)
    """Worker → all it has spent."""
    reserved: dict[str, Cost] = field(default_factory=dict)
    """Worker → what it may still spend."""

    @property
    def total_spent(self) -> Cost:
        """By all workers."""
        return sum(self.spent.values(), NOTHING)

    def account(self, worker: str, spent: Cost, reserved: Cost) -> None:
        """A worker's running totals."""
        self.spent[worker], self.reserved[worker] = spent, reserved

    def grant(self, worker: str, want: Cost) -> bool:
        """Reserve `want` for a worker, or say that it is not there."""
        if not self._limit.covers(self.total_spent + sum(self.reserved.values(), NOTHING) + want):
            return False
        self.reserved[worker] = self.reserved.get(worker, NOTHING) + want
        return True

    def could_ever(self, want: Cost) -> bool:
        """Whether `want` would fit if no running call cost anything."""
        return self._limit.covers(self.total_spent + want)

    @property
    def _limit(self) -> Cost:
        return Cost(math.inf if self.usd is None else self.usd, sys.maxsize if self.tokens is None else self.tokens)
