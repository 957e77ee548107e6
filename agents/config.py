"""What can be set in the agents' room, beside what each key drives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from engine.config import NonNegative, Positive, Seconds


@dataclass(frozen=True, kw_only=True)
class ToolsConfig:
    """What the agent may call."""

    names: tuple[str, ...] = ("search", "visit", "graph_lookup")
    """Tools offered, in this order."""
    corpus: str | None = None
    """A docs.jsonl (id, title, url, text) searched together with the pages written from the graph."""
    results: Positive = 8
    """Hits per search."""
    page_chars: Annotated[int, Field(ge=500)] = 3000
    """Characters a tool result may have; longer pages are cut to the passages that fit the goal best."""


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Who plays the agent, and how far."""

    kind: Literal["scripted", "llm"] = "scripted"
    """`scripted` walks the certificate with real tool calls; `llm` asks the agent role's model."""
    rollouts: Positive = 1
    """Rollouts per question."""
    max_turns: Positive = 24
    """Assistant messages per rollout."""
    max_tool_calls: Positive = 48
    """Tool calls per rollout."""
    max_tokens: Positive = 32_000
    """Estimated tokens of a whole conversation."""
    time_limit_s: Seconds = 300.0
    """Seconds a rollout may take."""


@dataclass(frozen=True, kw_only=True)
class CurateConfig:
    """Thresholds of the named filters."""

    min_turns: NonNegative = 3
    """Assistant messages."""
    max_turns: Positive = 48
    max_tokens: Positive = 32_000
    tokenizer: str | None = None
    """A tokenizer.json of the target model; null: the documented estimate."""
