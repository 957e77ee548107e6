"""Which calls are refused, how long the others take and what goes wrong with them. Time is an argument throughout.

Refusals depend on load, as they must. Latency is drawn from the request's hash, a fault from the fault seed, the request's hash
and how often the request was served before: a retry can succeed, and the run still repeats.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from engine.errors import ConfigError
from engine.limits.bucket import TokenBucket
from engine.llm.simulator.config import SimulatorConfig
from engine.records import derive_id


class Fault(StrEnum):
    """What can go wrong with a call; see the settings of the same names."""

    SERVER_ERROR = "server_errors"
    UNAVAILABLE = "unavailable"
    DROPPED = "dropped"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    HANGING = "hanging"
    SLOW_STREAM = "slow_streams"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A 429: why, and how many seconds it asks to wait."""

    reason: str
    retry_after: float


class Traffic:
    """The load on one simulator and its statistics."""

    def __init__(self, config: SimulatorConfig, now: float) -> None:
        """Raises:
        ConfigError: the shares of faults add up to more than 1.
        """
        self._config = config
        self._shares = [(fault, float(getattr(config, fault.value))) for fault in Fault]
        if sum(share for _, share in self._shares) > 1.0 + 1e-9:
            raise ConfigError(
                "server_errors", "the shares of faults add up to more than 1", "a call has at most one fault: lower some of them"
            )
        self._any_fault = any(share for _, share in self._shares)
        self._bucket: TokenBucket | None = None
        if config.rate is not None:
            burst = max(1.0, config.rate)
            self._bucket = TokenBucket(config.rate, burst, now - burst / config.rate)  # starts with its whole credit
        self._served: Counter[int] = Counter()  # by 64 bits of the request's hash; about 100 bytes each, only with faults on
        self.calls, self.in_flight, self.peak_in_flight, self.bad_requests = 0, 0, 0, 0
        self.refused: Counter[str] = Counter()
        self.faults: Counter[Fault] = Counter()

    def refuse(self, now: float) -> Refusal | None:
        """Take the call in, or say why not."""
        if self._config.capacity is not None and self.in_flight >= self._config.capacity:
            return self._refused("capacity", self._config.retry_after)
        if self._bucket is not None:
            if self._bucket.next_start > now:
                return self._refused("rate", self._bucket.next_start - now)
            self._bucket.reserve(1, now)
        return None

    @contextmanager
    def serving(self) -> Iterator[None]:
        """One call in flight."""
        self.calls += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def latency(self, key: str) -> float:
        """Seconds until the reply to this request."""
        if not self._config.latency_sigma:
            return self._config.latency
        return self._config.latency * math.exp(_rng("latency", key).gauss(0.0, self._config.latency_sigma))

    def fault(self, key: str, stream: bool) -> Fault | None:
        """What goes wrong this time. A slow stream needs a stream."""
        if not self._any_fault:
            return None
        seen = int(key[:16], 16)
        self._served[seen] += 1
        drawn = _rng("fault", self._config.fault_seed, key, self._served[seen]).random()
        for fault, share in self._shares:
            drawn -= share
            if drawn < 0.0:
                if fault is Fault.SLOW_STREAM and not stream:
                    return None
                self.faults[fault] += 1
                return fault
        return None

    def headers(self, now: float) -> dict[str, str]:
        """`x-ratelimit-*` as the OpenAI API writes them; empty without a rate."""
        bucket = self._bucket
        if bucket is None:
            return {}
        full = now - (bucket.burst - 1.0) / bucket.rate
        left = (now - max(bucket.next_start, full)) * bucket.rate + 1.0
        return {
            "x-ratelimit-limit-requests": str(int(bucket.burst)),
            "x-ratelimit-remaining-requests": str(max(0, math.floor(left + 1e-6))),
            "x-ratelimit-reset-requests": f"{max(0.0, bucket.next_start - full) * 1000:.0f}ms",
        }

    def stats(self) -> dict[str, object]:
        """What `/stats` shows. `calls` were taken in, bad ones included; refused ones are apart."""
        return {
            "calls": self.calls,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "refused": dict(sorted(self.refused.items())),
            "bad_requests": self.bad_requests,
            "faults": {fault.value: self.faults[fault] for fault in Fault if self.faults[fault]},
        }

    def _refused(self, reason: str, retry_after: float) -> Refusal:
        self.refused[reason] += 1
        return Refusal(reason, retry_after)


def _rng(*parts: str | int) -> random.Random:
    return random.Random(int(derive_id(*parts), 16))
