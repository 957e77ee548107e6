"""The five ways to draw a subgraph around a seed."""

from __future__ import annotations

from engine.errors import ConfigError, nearest
from samplers.strategies.mixed import CHOICES, Mixed
from samplers.strategies.strategy import Draw, Strategy

__all__ = ["STRATEGIES", "Draw", "Strategy", "find_strategy"]

STRATEGIES: dict[str, Strategy] = {strategy.name: strategy for strategy in (*CHOICES, Mixed())}


def find_strategy(name: str) -> Strategy:
    """A strategy by name.

    Raises:
        ConfigError: unknown; names the nearest.
    """
    if name not in STRATEGIES:
        near = nearest(name, STRATEGIES) or sorted(STRATEGIES)
        raise ConfigError("sampler.strategy", f"unknown strategy '{name}'", f"did you mean {' or '.join(near)}?")
    return STRATEGIES[name]
