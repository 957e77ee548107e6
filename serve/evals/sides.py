"""Evaluations side by side, over the questions that all of them were asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from engine.errors import InputError
from serve.evals.comparison import Comparison, compare
from serve.evals.evaluated import Evaluated
from serve.evals.records import Graded
from serve.evals.report import estimate_cells
from serve.evals.score import Evaluation
from serve.evals.statistics import Estimate

HEADINGS = ("run", "right", "95 % interval", "standard error", "questions", "clusters")


@dataclass(frozen=True)
class Side:
    """One of the evaluations."""

    name: str
    run: Evaluated

    @cached_property
    def found(self) -> Evaluation:
        """Its rollouts, counted."""
        return Evaluation(self.run.questions, self.run.rollouts, self.run.graded, self.run.refused, self.run.failed)

    @property
    def told(self) -> str:
        """Its name and what answered."""
        return f"{self.name} ({self.run.score['model']['fingerprint'] or self.run.score['model']['policy']})"


def shared(sides: Sequence[Side]) -> list[str]:
    """Questions that all were asked, by id."""
    return sorted(set.intersection(*(set(side.found.shares) for side in sides)))


def rows(sides: Sequence[Side]) -> list[list[str]]:
    """A line per run, over the questions that all of them were asked."""
    common = shared(sides)
    means: list[tuple[Side, Estimate | None]] = [(side, side.found.mean({key: side.found.shares[key] for key in common})) for side in sides]
    return [[side.told, *estimate_cells(asdict(found))] for side, found in means if found is not None]


def paired(first: Side, other: Side) -> Comparison:
    """The paired test.

    Raises:
        InputError: they share no question, or what has one id in both is not one question.
    """
    asked = {row.id: (row.text, row.answer) for row in first.run.questions}
    if changed := [row.id for row in other.run.questions if row.id in asked and asked[row.id] != (row.text, row.answer)]:
        problem = f"asks {len(changed):,} questions that have the id and not the words of one of {first.name}, as {changed[0]}"
        raise InputError(other.name, problem, "compare evaluations of the same data set")
    try:
        return compare(first.found.shares, other.found.shares, first.found.clusters, (first.name, other.name), first.found.seed)
    except ValueError as error:
        raise InputError(other.name, str(error), "compare evaluations of the same data set") from None


def apart(first: Side, other: Side) -> str:
    """What keeps the two from being compared in full."""
    ours, theirs = first.found, other.found
    told = []
    if alone := len(ours.shares.keys() ^ theirs.shares.keys()):
        told.append(f"{alone:,} questions have attempts in only one of them and are left out")
    if failed := ours.failed + theirs.failed:
        told.append(f"{failed:,} rollouts failed and count on neither side")
    if first.run.score["judge"] != other.run.score["judge"]:
        told.append("their judges differ: python -m scripts.evaluate rejudge=DIR grades one again")
    return "".join(f"; {part}" for part in told)


def flipped(first: Side, other: Side) -> list[str]:
    """Questions whose share of right attempts changed, most first."""
    ours, theirs = first.found.shares, other.found.shares
    gains = {key: theirs[key] - ours[key] for key in ours.keys() & theirs.keys() if theirs[key] != ours[key]}
    return sorted(gains, key=lambda key: (-abs(gains[key]), key))


def attempt(side: Side, key: str) -> Graded | None:
    """The one that is shown of a question: a right one where there is one, else the first; None where all were refused."""
    return min(side.found.by_question.get(key, ()), key=lambda row: (not row.is_right, row.rollout), default=None)


def marks(side: Side, key: str) -> str:
    """`2 of 4 right`."""
    rows = side.found.by_question.get(key, ())
    return f"{sum(row.is_right for row in rows)} of {sum(side.found.counts[key])} right"
