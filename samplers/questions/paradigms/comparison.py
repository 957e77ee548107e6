"""Comparison: which of the entities that meet all clues has the least or the most of something."""

from __future__ import annotations

import random

from engine.errors import RejectedError
from samplers.config import QuestionConfig
from samplers.questions.clues import Clues
from samplers.questions.draft import Draft
from samplers.questions.evaluate import evaluate, witness
from samplers.questions.paradigms.count import gathered
from samplers.questions.proof import LEAST_CONTENDERS, extremum
from samplers.questions.sketch import rebound
from samplers.records import Paradigm, QuestionCause

MOST_CONTENDERS = 12
"""More would make looking each of them up a chore and no reasoning."""
STARTS = 6
"""Exemplars tried per proposal."""


def propose(clues: Clues, level: int, config: QuestionConfig, rng: random.Random) -> Draft:
    """A tree of clues with 4 to 12 answers, all with a value of one attribute, one of them the strict extremum.

    Raises:
        RejectedError: `no_usable_clue`, `too_few_contenders` or `not_unique`.
    """
    comparable = [entity for entity in clues.entities if _attributes(clues, entity)]
    if not comparable:
        raise RejectedError(QuestionCause.NO_USABLE_CLUE, "no entity of the subgraph has an attribute that is compared")
    cause = QuestionCause.TOO_FEW_CONTENDERS
    for _ in range(STARTS):
        exemplar = rng.choice(comparable)
        if not clues.may_hide(exemplar):
            continue
        sketch = gathered(clues, exemplar, LEAST_CONTENDERS, MOST_CONTENDERS, config.min_hops + rng.choice((0, 0, 1)) + level // 4, rng)
        if sketch is None or sketch.filters:
            continue
        query = sketch.query(clues.graph)
        contenders = evaluate(clues.graph, query, MOST_CONTENDERS)
        for compared, direction in rng.sample(_attributes(clues, exemplar), len(_attributes(clues, exemplar))):
            try:
                winner = extremum(clues.graph, contenders, compared, direction)
            except RejectedError as error:
                cause = QuestionCause(error.cause)
                continue
            query = rebound(clues.graph, query, witness(clues.graph, query, winner))
            return Draft(query=query, paradigm=Paradigm.COMPARISON, compared=compared, direction=direction)
    raise RejectedError(cause, f"no clues leave {LEAST_CONTENDERS} to {MOST_CONTENDERS} contenders that can be compared")


def _attributes(clues: Clues, entity: int) -> list[tuple[str, str]]:
    """(attribute, direction) pairs in which an entity can be compared."""
    schema, kind = clues.graph.schema, clues.graph.kind(entity)
    pairs = []
    for name, item in schema.attributes.items():
        if item.numeric and (not item.kinds or kind in item.kinds) and clues.graph.attribute(entity, name) is not None:
            pairs += [(name, direction) for direction in ("least", "most") if getattr(item, direction)]
    return pairs
