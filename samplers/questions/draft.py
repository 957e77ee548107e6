"""What a paradigm proposes to the proof."""

from __future__ import annotations

from dataclasses import dataclass

from samplers.records import Paradigm, Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A query that is likely to be provable."""

    query: Query
    paradigm: Paradigm
    compared: str = ""
    """Comparison only: the numeric attribute."""
    direction: str = ""
    """Comparison only: `least` or `most`."""
