"""Intersection: two or more branches that meet at the answer or at something hidden on the way to it."""

from __future__ import annotations

import random

from engine.errors import RejectedError
from samplers.config import QuestionConfig
from samplers.questions.clues import Clues
from samplers.questions.draft import Draft
from samplers.questions.grow import extended, obfuscated, path, pruned
from samplers.questions.sketch import Sketch
from samplers.records import Paradigm, QuestionCause

STARTS, ROUNDS = 3, 8
"""Answers tried per proposal, and steps of growing, pruning and obfuscating for each."""
TARGETS = (3, 3, 3, 4)
"""Hops aimed at on the lowest level; a higher level adds to them."""
MOST_HOPS = 7


def propose(clues: Clues, level: int, config: QuestionConfig, rng: random.Random) -> Draft:
    """A tree of clues with one answer and nothing superfluous; where no branches can be made to meet, it is a chain.

    Raises:
        RejectedError: `no_usable_clue` or `not_unique`.
    """
    cause, best = QuestionCause.NO_USABLE_CLUE, None
    target = max(config.min_hops, rng.choice(TARGETS) + level // 3)
    for _ in range(STARTS):
        answer = clues.answer(rng)
        start = None if answer is None else path(clues, Sketch(answer), answer, rng.choice((1, 2)), rng)
        if start is not None:
            cause = QuestionCause.NOT_UNIQUE
            best = max(filter(None, (best, _grown(clues, start, target, config.min_hops, rng))), key=_rank, default=None)
        if best is not None and best.branching and best.hops >= target:
            break
    if best is None:
        raise RejectedError(cause, f"no clues about {STARTS} entities tell one of them from all others")
    return Draft(query=best.query(clues.graph), paradigm=Paradigm.INTERSECTION if best.branching else Paradigm.CHAIN)


def _grown(clues: Clues, sketch: Sketch, target: int, least: int, rng: random.Random) -> Sketch | None:
    """The best sketch with one answer on the way to `target` hops, or None."""
    best: Sketch | None = None
    for _ in range(ROUNDS):
        if clues.count(sketch, 2) == 1:
            sketch = pruned(clues, sketch, 1)
            if sketch.hops >= least and clues.workable(sketch):
                best = max(filter(None, (best, sketch)), key=_rank)
                if best.branching and best.hops >= target:
                    break
            grown = obfuscated(clues, sketch, lambda _: True, 2, rng)
        else:
            grown = extended(clues, sketch, lambda _: True, 2, rng)
        if grown is None or grown.hops > MOST_HOPS:
            break
        sketch = grown
    return best


def _rank(sketch: Sketch) -> tuple[bool, int]:
    return sketch.branching, min(sketch.hops, 4)
