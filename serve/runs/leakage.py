"""What parts of a data set share with each other, and with benchmarks that it must not teach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from engine.records import Rejection
from samplers.config import GatesConfig
from samplers.questions.benchmarks import Benchmarks
from samplers.questions.contamination import decontaminate
from samplers.questions.split import TAG, Split, keepsakes, split_of
from samplers.records import Question

KINDS = ("answer", "entity", "fact")
"""Of what a model could remember from a question: the answer, an entity that is hidden, a fact of the proof."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What two parts have in common."""

    first: Split
    second: Split
    counts: dict[str, int]
    """Kind of `KINDS` → different things that both hold."""
    questions: int
    """Questions of the smaller part that hold one of them."""


def shared_between(questions: Sequence[Question]) -> list[Shared]:
    """Every two parts of a set that was split; empty where it was not."""
    tagged = [row for row in questions if any(tag.startswith(TAG) for tag in row.tags)]
    holdings = {part: [keepsakes(row) for row in tagged if split_of(row.tags) is part] for part in Split}
    found = []
    for first, second in combinations([part for part in Split if holdings[part]], 2):
        common = set[str]().union(*holdings[first]) & set[str]().union(*holdings[second])
        smaller = min((holdings[first], holdings[second]), key=len)
        counts = {kind: sum(thing.startswith(f"{kind} ") for thing in common) for kind in KINDS}
        found.append(Shared(first, second, counts, sum(bool(held & common) for held in smaller)))
    return found


def contaminated(questions: Sequence[Question], benchmark: Path) -> list[Rejection]:
    """The questions that a benchmark file asks, or whose answer it asks for, each with the first such row of it.

    Raises:
        InputError: it is no file of questions.
    """
    return decontaminate(questions, Benchmarks(benchmark).rows(), GatesConfig())[1]
