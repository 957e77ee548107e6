"""How long calls took, in few numbers: buckets that grow by a fixed ratio, so that any percentile is known within 9 %.

A histogram is a `Counter` of bucket → calls: sums over workers and differences between two moments are `+` and `-`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

FIRST_S = 0.001
"""Upper end of bucket 0: no model answers faster."""

PER_OCTAVE = 4
"""Buckets from one duration to its double; the middle of a bucket is then at most 2^(1/8) = 9 % off."""

PERCENTILES = (0.5, 0.9, 0.99)
"""What is told of a histogram."""


def bucket_of(seconds: float) -> int:
    """The bucket a duration falls into."""
    return max(0, math.ceil(PER_OCTAVE * math.log2(max(seconds, FIRST_S) / FIRST_S)))


def middle(bucket: int) -> float:
    """Seconds, the geometric middle of a bucket."""
    return float(FIRST_S * 2 ** ((bucket - 0.5) / PER_OCTAVE))


def percentile(histogram: Mapping[int, int], share: float) -> float | None:
    """Seconds that `share` of the calls did not pass; None without calls."""
    needed, seen = share * sum(histogram.values()), 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen and seen >= needed:
            return middle(bucket)
    return None


def percentiles(histogram: Counter[int]) -> dict[str, float]:
    """`p50`, `p90`, `p99` in seconds, four digits kept; empty without calls."""
    known = {f"p{round(100 * share)}": percentile(histogram, share) for share in PERCENTILES}
    return {name: float(f"{seconds:.4g}") for name, seconds in known.items() if seconds is not None}
