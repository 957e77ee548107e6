"""What can be set in the samplers' room, beside what each key drives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from engine.config import Positive, Share


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """Which graph, and how it is read."""

    source: Literal["demo", "path"] = "demo"
    """`demo`: the bundled graph; `path`: a folder with nodes.* and edges.* (tsv, csv or parquet)."""
    path: str | None = None
    """The folder, for `source: path`."""
    schema: str = "auto"
    """`auto`: PATH/schema.yaml, else the bundled schema that declares every relation; `infer`: from the names; or a file."""


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """How subgraphs are drawn around a seed."""

    strategy: str = "mixed"
    """max_chain, augmented_chain, community_core_path, dual_core_bridge or mixed."""
    size: Annotated[int, Field(ge=3, le=64)] = 8
    """Entities per subgraph; reached whenever the component allows."""
    per_seed: Positive = 1
    """Subgraphs per seed."""
    hub_degree: Positive = 100
    """Entities with more edges than this are hubs: ends of a chain, never a way through."""


@dataclass(frozen=True, kw_only=True)
class QuestionConfig:
    """How a subgraph becomes a proved question."""

    author: Literal["template"] = "template"
    """Who words the proved query."""
    attempts: Positive = 8
    """Queries tried per subgraph, each more obfuscated than the last."""
    min_candidates: Annotated[int, Field(ge=2)] = 2
    """k: without any one clue at least this many answers remain."""
    min_hops: Positive = 2
    """Questions with fewer edges are rejected."""
    answer_cap: Positive = 1000
    """Answers are counted up to here."""
    paradigms: Mapping[str, float] = field(default_factory=lambda: {"chain": 4.0, "intersection": 4.0, "count": 1.0, "comparison": 1.0})
    """Weights of the paradigms tried first."""
    max_answer_share: Share = 0.03
    """No answer takes a larger share of a set."""
    min_deep_share: Share = 0.4
    """At least this share of a set has three hops or more."""
