"""Subgraph → proved query: paradigms are tried by weight, each try more obfuscated than the last, until one is proved."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from engine.errors import RejectedError
from samplers.config import QuestionConfig
from samplers.graph.store import Graph
from samplers.questions.clues import Clues
from samplers.questions.draft import Draft
from samplers.questions.evaluate import Search, bearers
from samplers.questions.paradigms import PARADIGMS
from samplers.questions.proof import prove
from samplers.records import Certificate, Paradigm, QuestionCause

T = TypeVar("T")

FURTHEST = (
    QuestionCause.LEAK,
    QuestionCause.SHORTCUT,
    QuestionCause.NOT_MINIMAL,
    QuestionCause.PROOF_TOO_LARGE,
    QuestionCause.TOO_FEW_HOPS,
    QuestionCause.NOT_UNIQUE,
    QuestionCause.TOO_FEW_CONTENDERS,
    QuestionCause.NO_USABLE_CLUE,
)
"""Causes by how far a try came before it failed, the furthest first."""

HOPELESS = 99
"""Failures that a try counts for which found nothing to begin with: the paradigm does not suit the subgraph."""


def build(clues: Clues, config: QuestionConfig, rng: random.Random, finish: Callable[[Certificate], T]) -> T:
    """`finish(certificate)` of the first try that is proved and that `finish` does not reject.

    Raises:
        RejectedError: no try succeeded; the cause is the one that came furthest, the detail counts them all.
    """
    ends: list[RejectedError] = []
    failed: Counter[Paradigm] = Counter()
    for level in range(config.attempts):
        paradigm = _draw(config, failed, rng)
        try:
            return finish(certified(clues.graph, PARADIGMS[paradigm](clues, level, config, rng), config))
        except RejectedError as error:
            ends.append(error)
            failed[paradigm] += HOPELESS if error.cause == QuestionCause.NO_USABLE_CLUE else 1
    causes = Counter(end.cause for end in ends)
    best = next((end for cause in FURTHEST for end in ends if end.cause == cause), ends[-1])
    tally = ", ".join(f"{cause} {causes[cause]}×" for cause in FURTHEST if causes[cause])
    raise RejectedError(best.cause, f"{len(ends)} tries ended in {tally}; {best.detail}")


def certified(graph: Graph, draft: Draft, config: QuestionConfig) -> Certificate:
    """The draft's certificate, if the query also survives a hasty reading.

    Raises:
        RejectedError: the proof fails, or a reader who lets hidden entities be named ones finds other answers.
    """
    certificate = prove(graph, draft.query, draft.paradigm, config, compared=draft.compared, direction=draft.direction)
    hasty = set(Search(graph, draft.query, generous=True).answers(config.answer_cap))
    named = set().union(*(bearers(graph, constant.name).tolist() for constant in draft.query.constants))
    strict = {graph.index(answer) for answer in certificate.answers}
    if hasty - named != strict:
        raise RejectedError(QuestionCause.NOT_UNIQUE, "a hasty reading has other answers")
    return certificate


def _draw(config: QuestionConfig, failed: Counter[Paradigm], rng: random.Random) -> Paradigm:
    """By weight; a paradigm that has failed n times counts 1/(n + 1)."""
    weights = {Paradigm(name): weight for name, weight in sorted(config.paradigms.items())}
    return rng.choices(list(weights), [weight / (1 + failed[paradigm]) for paradigm, weight in weights.items()])[0]
