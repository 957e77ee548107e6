"""What can be set on the simulator: latency, capacity, faults. Everything is off by default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from engine.config import NonNegative, Positive, Seconds, Share


@dataclass(frozen=True, kw_only=True)
class SimulatorConfig:
    """How the simulator answers. The shares of faults add up to at most 1: a call has at most one fault."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(use_attribute_docstrings=True)  # the command line's help

    latency: Annotated[float, Field(ge=0)] = 0.0
    """Median seconds before a reply."""
    latency_sigma: Annotated[float, Field(ge=0, le=3)] = 0.0
    """Sigma of the latency's logarithm (log-normal, drawn from the request's hash); 0: constant."""
    capacity: Positive | None = None
    """Calls in flight that are served; further ones get 429 with Retry-After."""
    retry_after: Annotated[float, Field(ge=0)] = 0.5
    """Seconds that a 429 for lack of capacity asks to wait."""
    rate: Annotated[float, Field(gt=0)] | None = None
    """Calls per second, one second's worth at once; above it 429, and every reply carries x-ratelimit headers."""
    server_errors: Share = 0.0
    """Share of calls that end in HTTP 500."""
    unavailable: Share = 0.0
    """Share of calls that end in HTTP 503."""
    dropped: Share = 0.0
    """Share of calls whose connection closes without a reply."""
    truncated: Share = 0.0
    """Share of replies that stop halfway, connection closed."""
    malformed: Share = 0.0
    """Share of replies that arrive whole and are no valid JSON (streams: one event is not)."""
    hanging: Share = 0.0
    """Share of calls that are never answered; the caller's time-out ends them."""
    slow_streams: Share = 0.0
    """Share of streamed replies that pause before every chunk."""
    slow_stream_pause: Seconds = 0.5
    """Seconds of that pause."""
    fault_seed: NonNegative = 0
    """Another seed puts the same shares of faults on other calls."""
