"""Ranges with round ends around a value, the widest first."""

from __future__ import annotations

import math

from samplers.graph.schema import AttributeForm

YEARS = (20, 10, 5)
"""Widths of year ranges; each begins at a multiple of its width."""

Range = tuple[float, float]


def ranges(value: float, form: AttributeForm) -> list[Range]:
    """Ranges that hold `value`, both ends included, from vague to exact."""
    if form == "year":
        starts = [(math.floor(value / width) * width, width) for width in YEARS]
        return [*((float(start), float(start + width - 1)) for start, width in starts), (value, value)]
    if value <= 0:
        return [(value, value)]
    floor = 10.0 ** math.floor(math.log10(value))
    return [(_tidy(floor / 10), _tidy(floor * 10)), (_tidy(floor), _tidy(floor * 10)), (value, value)]


def _tidy(value: float) -> float:
    """Powers of ten without the dust of floating point."""
    return float(f"{value:.12g}")
