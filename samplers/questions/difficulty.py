"""How hard a proved question is, as one number."""

from __future__ import annotations

import math
from collections.abc import Mapping

from samplers.questions.query import hops
from samplers.records import Certificate, Paradigm

EXTRA: Mapping[Paradigm, float] = {Paradigm.COUNT: 1.0, Paradigm.COMPARISON: 1.5}
"""Hops' worth of work beyond following the clues: finding all, or finding and comparing all."""


def difficulty(certificate: Certificate) -> float:
    """hops + mean over the clues of log10(answers without that clue) + what the paradigm adds; two decimals.

    The mean is how many orders of magnitude a solver must search who cannot use a clue: 0.3 where a clue decides between two,
    3 where nothing but it leads anywhere (counts are capped at 1,000).
    """
    width = sum(math.log10(max(1, drop.answers)) for drop in certificate.drops) / len(certificate.drops)
    return round(hops(certificate.query) + width + EXTRA.get(certificate.paradigm, 0.0), 2)
