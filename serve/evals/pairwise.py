"""Which of two data sets is better, row against row: each pair is judged in both orders, and what both say is counted.

Judges favour what they are shown first, or last (Zheng et al., "Judging LLM-as-a-Judge", arXiv 2306.05685, section 3.3). So a verdict
counts only where it is the same after swapping; where it is not, it tells of the judge and not of the data, and is no tie either.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from scipy.stats import binomtest

from engine.records import Ending, Record
from serve.evals.dataset import DIGITS
from serve.evals.pairs import Pair
from serve.evals.statistics import CONFIDENCE, Estimate, clusters_needed, estimate, sign_flip_p

CLEAR = 0.1
"""The preference beyond one half that a reader is told how many pairs it takes to see."""


class Choice(StrEnum):
    """What a judge says of the two that it is shown."""

    A = "A"
    B = "B"
    EQUAL = "equal"


class Outcome(StrEnum):
    """What both orders together say of a pair."""

    FIRST = "first"
    """The first data set's row is better, in both orders."""
    SECOND = "second"
    EQUAL = "equal"
    """Neither is, in both orders."""
    ALWAYS_A = "always_a"
    """Position bias: whichever was shown first was better."""
    ALWAYS_B = "always_b"
    WAVERED = "wavered"
    """Equal in one order, and not in the other."""
    UNREADABLE = "unreadable"
    """One of the calls ended for good without a verdict."""
    FAILED = "failed"
    """One of the calls failed, and is made again by the next run."""


AGREED = (Outcome.FIRST, Outcome.SECOND, Outcome.EQUAL)
DISAGREED = (Outcome.ALWAYS_A, Outcome.ALWAYS_B, Outcome.WAVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference(Record):
    """A judge's word on a pair in one order."""

    pair_id: str
    swapped: bool
    """False: A is the first data set's row."""
    choice: Choice
    reason: str


_SAID = re.compile(r"(?:^|\n)[\W_]*(?:better|verdict)[\W_]*:[\W_]*(A|B|equal|tie)[\W_]*?(?=\n|$)|\[\[([ABC])\]\]", re.IGNORECASE)


def read_choice(text: str) -> Choice | None:
    """The choice in a judge's free text, `better: A` or `[[A]]`; None where there is none, or more than one."""
    said = {(found[0] or found[1]).casefold() for found in _SAID.findall(text.rpartition("</think>")[2])}
    if len(said) != 1:
        return None
    return {"a": Choice.A, "b": Choice.B}.get(said.pop(), Choice.EQUAL)


def outcome(given: Choice, swapped: Choice) -> Outcome:
    """What the two orders together say.

    Args:
        given: the choice with the first data set's row as A.
        swapped: the choice with the second's as A.
    """
    match given, swapped:
        case Choice.EQUAL, Choice.EQUAL:
            return Outcome.EQUAL
        case (Choice.EQUAL, _) | (_, Choice.EQUAL):
            return Outcome.WAVERED
        case Choice.A, Choice.B:
            return Outcome.FIRST
        case Choice.B, Choice.A:
            return Outcome.SECOND
        case _:
            return Outcome.ALWAYS_A if given is Choice.A else Outcome.ALWAYS_B


@dataclass(frozen=True)
class Preferences:
    """What all pairs together say of the second data set against the first."""

    first: str
    second: str
    pairs: Sequence[Pair]
    outcomes: Mapping[str, Outcome]
    """By pair."""
    seed: int = 0

    @classmethod
    def of(
        cls, names: tuple[str, str], pairs: Sequence[Pair], said: Iterable[Preference], rejected: Iterable[Ending], seed: int
    ) -> Preferences:
        """Put together from single calls; a pair that lacks one, and was not rejected, failed."""
        choices = {(row.pair_id, row.swapped): row.choice for row in said}
        unread = {row.input_id for row in rejected}
        outcomes = {}
        for pair in pairs:
            given, swapped = (choices.get((pair.id, order)) for order in (False, True))
            lost = Outcome.UNREADABLE if pair.id in unread else Outcome.FAILED
            outcomes[pair.id] = outcome(given, swapped) if given and swapped else lost
        return cls(*names, pairs, outcomes, seed)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Of every outcome."""
        counted = Counter(self.outcomes.values())
        return {each.value: counted[each] for each in Outcome}

    @cached_property
    def wins(self) -> dict[str, float]:
        """Decided pair → 1 where the second data set's row is better, 0 where the first's is."""
        return {pair.id: float(found is Outcome.SECOND) for pair in self.pairs if (found := self.outcomes[pair.id]) in AGREED[:2]}

    @cached_property
    def clusters(self) -> dict[str, str]:
        """Pair → cluster."""
        return {pair.id: pair.trace_id for pair in self.pairs}

    @cached_property
    def win_rate(self) -> Estimate | None:
        """The second's share of the decided pairs; None without any."""
        return self._share(self.wins) if self.wins else None

    @cached_property
    def p_value(self) -> float:
        """Two-sided: the sign test where every decided pair is a cluster of its own, else its form that flips the signs of clusters."""
        values, places = list(self.wins.values()), [self.clusters[key] for key in self.wins]
        if not values:
            return 1.0
        if len(set(places)) == len(places):
            return float(binomtest(int(sum(values)), len(values)).pvalue)
        return sign_flip_p([2 * value - 1 for value in values], places, self.seed)

    @cached_property
    def position_p(self) -> float:
        """Two-sided sign test of always A against always B: small where the judge favours a place, and does not merely guess."""
        kept = self.counts[Outcome.ALWAYS_A], self.counts[Outcome.ALWAYS_B]
        return float(binomtest(kept[0], sum(kept)).pvalue) if sum(kept) else 1.0

    @property
    def agreement(self) -> float | None:
        """The share of the pairs judged in both orders in which both say the same; None without any."""
        agreed, judged = sum(self.counts[each] for each in AGREED), sum(self.counts[each] for each in (*AGREED, *DISAGREED))
        return agreed / judged if judged else None

    @property
    def sentences(self) -> list[str]:
        """What it says, for a reader who knows no statistics."""
        equal = self.counts[Outcome.EQUAL]
        ties = [f"In {equal:,} further pairs neither is better, in both orders."] if equal else []
        return [self._preferred(), *ties, *self._disagreed(), *self._lost()]

    def _preferred(self) -> str:
        found = self.win_rate
        if found is None or found.low is None or found.high is None:
            return f"{self.second} and {self.first}: {len(self.wins):,} pairs were decided, too few to compare."
        span = f"{CONFIDENCE:.0%} interval {100 * found.low:.1f} to {100 * found.high:.1f} %; p = {self.p_value:.3g}"
        told = f"{self.second} is preferred to {self.first} in {100 * found.value:.1f} % of {found.observations:,} decided pairs ({span})."
        if self.p_value < 1 - CONFIDENCE:
            return f"{told} So clear a preference is seldom chance."
        needed = clusters_needed(found, CLEAR)
        more = f" To see a preference of {0.5 + CLEAR:.0%}, about {needed:,} decided pairs are needed." if needed else ""
        return f"{told} They cannot be told apart.{more}"

    def _disagreed(self) -> list[str]:
        disagreed = sum(self.counts[each] for each in DISAGREED)
        if not disagreed:
            return []
        of_a, of_b = self.counts[Outcome.ALWAYS_A], self.counts[Outcome.ALWAYS_B]
        told = f"In {disagreed:,} further pairs the verdict changed when the two changed places: {of_a:,} times what was shown first was"
        told += f" better, {of_b:,} times what was shown second, {self.counts[Outcome.WAVERED]:,} times they were equal in one order only."
        bias = " The judge favours a place; a better judge would decide more pairs." if self.position_p < 1 - CONFIDENCE else ""
        return [f"{told} They count for neither.{bias}"]

    def _lost(self) -> list[str]:
        unread, failed = self.counts[Outcome.UNREADABLE], self.counts[Outcome.FAILED]
        told = [f"{unread:,} pairs have no verdict that can be read, and count for neither."] if unread else []
        return told + ([f"{failed:,} pairs failed; the same command tries them again."] if failed else [])

    def figures(self) -> dict[str, Any]:
        """Every number, JSON-ready."""
        found = self.win_rate
        groups = {pair.id: (pair.match.value, pair.kind) for pair in self.pairs}
        members = {name: [key for key in self.wins if name in groups[key]] for name in sorted({*itertools.chain(*groups.values())})}
        return {
            "pairs": len(self.pairs),
            "decided": len(self.wins),
            "outcomes": self.counts,
            "win_rate": _told(found) if found else {},
            "p_value": round(self.p_value, DIGITS),
            "agreement": None if self.agreement is None else round(self.agreement, DIGITS),
            "position_p_value": round(self.position_p, DIGITS),
            "by_group": {name: _told(self._share(keys)) for name, keys in members.items() if keys},
        }

    def _share(self, keys: Collection[str]) -> Estimate:
        """The second's share of some decided pairs. Where each is a cluster of its own the interval is the exact one of the sign test,
        so that it holds one half if and only if the test finds nothing."""
        values, places = [self.wins[key] for key in keys], [self.clusters[key] for key in keys]
        found = estimate(values, places)
        if len(values) < 2 or found.clusters < len(values):
            return found
        exact = binomtest(int(sum(values)), len(values)).proportion_ci(CONFIDENCE, method="exact")
        return dataclasses.replace(found, low=float(exact.low), high=float(exact.high))


def _told(found: Estimate) -> dict[str, Any]:
    values = dataclasses.asdict(found)
    return {name: round(value, DIGITS) if isinstance(value, float) else value for name, value in values.items()}
