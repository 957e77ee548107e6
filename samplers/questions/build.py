"""Subgraph → proved query: paradigms are tried by weight, each try more obfuscated than the last, until one is proved.

With a band of difficulty, obfuscation goes on until a question is proved in it, and takes a step back where one is too hard.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from engine.errors import RejectedError
from samplers.config import QuestionConfig
from samplers.graph.store import Graph
from samplers.questions.clues import Clues
from samplers.questions.difficulty import band, difficulty
from samplers.questions.draft import Draft
from samplers.questions.evaluate import Search, bearers
from samplers.questions.paradigms import PARADIGMS
from samplers.questions.proof import prove
from samplers.questions.query import is_variable, terms
from samplers.questions.reading import read_alike
from samplers.records import AtomKind, Certificate, Paradigm, Query, QuestionCause

T = TypeVar("T")

FURTHEST = (
    QuestionCause.LEAK,
    QuestionCause.OUTSIDE_BAND,
    QuestionCause.SHORTCUT,
    QuestionCause.NOT_MINIMAL,
    QuestionCause.PROOF_TOO_LARGE,
    QuestionCause.TOO_FEW_HOPS,
    QuestionCause.NOT_UNIQUE,
    QuestionCause.TOO_FEW_CONTENDERS,
    QuestionCause.NO_USABLE_CLUE,
)
"""Causes by how far a try came before it failed, the furthest first."""

HIGHEST = 12
"""No paradigm grows further beyond this level."""
STRIDE = 2
"""Levels gone up or down at once when a proved question misses the band of difficulty."""
HOPELESS = 99
"""Failures that a try counts for which found nothing to begin with: the paradigm does not suit the subgraph."""


@dataclass(frozen=True, slots=True)
class Try:
    """One query that was tried."""

    paradigm: Paradigm
    level: int
    """Of obfuscation, from 0."""
    ended: RejectedError | None
    """None: it was proved and finished."""


def unwatched(tried: Try) -> None:
    """Nobody looks on."""


def build(
    clues: Clues, config: QuestionConfig, rng: random.Random, finish: Callable[[Certificate], T], watch: Callable[[Try], None] = unwatched
) -> T:
    """`finish(certificate)` of the first try that is proved and that `finish` does not reject.

    Args:
        watch: told of every try as it ends; has no say.

    Raises:
        RejectedError: no try succeeded; the cause is the one that came furthest, the detail counts them all.
    """
    ends: list[RejectedError] = []
    failed: Counter[Paradigm] = Counter()
    level, (least, below) = 0, band(config.difficulty)
    for _ in range(config.attempts):
        paradigm = _draw(config, failed, rng)
        level = min(level + 1, HIGHEST)
        tried = level - 1
        try:
            certificate = certified(clues.graph, PARADIGMS[paradigm](clues, tried, config, rng), config)
            reached = difficulty(clues.graph, certificate)
            if not least <= reached < below:
                level = level + STRIDE if reached < least else max(0, level - STRIDE)
                raise RejectedError(QuestionCause.OUTSIDE_BAND, f"difficulty {reached:g} is not within {least:g} and {below:g}")
            finished = finish(certificate)
        except RejectedError as error:
            watch(Try(paradigm, tried, error))
            ends.append(error)
            failed[paradigm] += HOPELESS if error.cause == QuestionCause.NO_USABLE_CLUE else 1
        else:
            watch(Try(paradigm, tried, None))
            return finished
    causes = Counter(end.cause for end in ends)
    best = next((end for cause in FURTHEST for end in ends if end.cause == cause), ends[-1])
    tally = ", ".join(f"{cause} {causes[cause]}×" for cause in FURTHEST if causes[cause])
    raise RejectedError(best.cause, f"{len(ends)} tries ended in {tally}; {best.detail}")


def certified(graph: Graph, draft: Draft, config: QuestionConfig) -> Certificate:
    """The draft's certificate, if the query also survives a hasty reading.

    Raises:
        RejectedError: the proof fails, or a reader who lets hidden entities be named ones finds other answers.
    """
    certificate = prove(graph, draft, config)
    proved = [(certificate.query, certificate.answers)]
    if certificate.second is not None:
        proved.append((certificate.second.query, certificate.second.answers))
    for query, answers in proved:
        hasty = set(Search(graph, query, generous=True).answers(config.answer_cap))
        named = set().union(*(bearers(graph, constant.name).tolist() for constant in query.constants))
        if hasty - named != {graph.index(answer) for answer in answers} or _denied(graph, query):
            raise RejectedError(QuestionCause.NOT_UNIQUE, "a hasty reading has other answers")
    return certificate


def _denied(graph: Graph, query: Query) -> bool:
    """Whether an absent edge is denied by one of another relation whose words say as much, as of the entities the query is made from."""
    own = {item.name: graph.index(item.entity) for item in query.variables}
    for atom in (atom for atom in query.atoms if atom.kind is AtomKind.ABSENT):
        variable = atom.subject if is_variable(atom.subject) else atom.object
        name = next(item.name for item in query.constants if item.entity in terms(atom))
        codes, neighbours, _ = graph.half_edges(own[variable])
        said = read_alike(graph, 2 * graph.relation_code(atom.predicate) + (variable != atom.subject))
        if set(neighbours[np.isin(codes, said)].tolist()) & set(graph.find(name)):
            return True
    return False


def _draw(config: QuestionConfig, failed: Counter[Paradigm], rng: random.Random) -> Paradigm:
    """By weight; a paradigm that has failed n times counts 1/(n + 1)."""
    weights = {Paradigm(name): weight for name, weight in sorted(config.paradigms.items())}
    return rng.choices(list(weights), [weight / (1 + failed[paradigm]) for paradigm, weight in weights.items()])[0]
