"""The proof: a query in, a certificate out, or a rejection with its cause (DESIGN.md, invariant 7)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.errors import RejectedError
from samplers.config import QuestionConfig
from samplers.graph.names import normalise
from samplers.graph.store import Graph
from samplers.questions.evaluate import bearers, evaluate, witness
from samplers.questions.query import distances, hops, is_variable, without
from samplers.questions.shortcut import describe, find_shortcut
from samplers.records import (
    ANSWER,
    Atom,
    AtomKind,
    Certificate,
    Drop,
    Edge,
    Paradigm,
    Query,
    QuestionCause,
    World,
)

LEAST_COUNT, MOST_COUNT = 3, 20
"""Answers of a count question: fewer is a list, more is guesswork."""
LEAST_CONTENDERS = 4


def prove(
    graph: Graph, query: Query, paradigm: Paradigm, config: QuestionConfig, *, compared: str = "", direction: str = ""
) -> Certificate:
    """Prove that `query` is a good question of its paradigm.

    Args:
        compared: comparison only, the numeric attribute.
        direction: comparison only, `least` or `most`.

    Raises:
        RejectedError: `too_few_hops`, `not_unique`, `not_minimal`, `shortcut`, `too_few_contenders` or `proof_too_large`.
    """
    if hops(query) < config.min_hops:
        raise RejectedError(QuestionCause.TOO_FEW_HOPS, f"{hops(query)} edges, at least {config.min_hops} are asked for")
    answers = evaluate(graph, query, config.answer_cap)
    needed = len(answers) + 1
    if paradigm is Paradigm.COUNT:
        _check_count(graph, answers)
    elif paradigm is Paradigm.COMPARISON:
        _check_contenders(graph, answers, compared, direction)
    else:
        _check_single(graph, answers)
        needed = config.min_candidates
    drops = _drops(graph, query, needed, config.answer_cap)
    if paradigm is not Paradigm.COUNT:
        _check_shortcuts(graph, query, _winner(graph, answers, compared, direction))
    return Certificate(
        query=query,
        paradigm=paradigm,
        answers=tuple(sorted(graph.entity(answer) for answer in answers)),
        drops=drops,
        min_candidates=config.min_candidates,
        answer_cap=config.answer_cap,
        evidence=_evidence(graph, query, answers),
        compared=compared,
        direction=direction,
        world=world(graph, query),
        graph_hash=graph.hash,
    )


def world(graph: Graph, query: Query) -> World:
    """Closed only if every relation used is functional or complete.

    Assumed of attributes: a value that the graph records is the value, and an entity of which it records none is outside every
    range and equal to nothing.
    """
    relations = [graph.schema.relations[atom.predicate] for atom in query.atoms if atom.kind is AtomKind.EDGE]
    return World.CLOSED if all(relation.functional or relation.complete for relation in relations) else World.OPEN


def extremum(graph: Graph, contenders: Sequence[int], compared: str, direction: str) -> int:
    """The one contender with the least or most of a numeric attribute.

    Raises:
        RejectedError: `too_few_contenders` (fewer than four, or one without a value), `not_unique` (a tie).
    """
    if len(contenders) < LEAST_CONTENDERS:
        raise RejectedError(QuestionCause.TOO_FEW_CONTENDERS, f"{len(contenders)} contenders, at least {LEAST_CONTENDERS} are needed")
    column = graph.attribute_values(compared)
    values = {entity: float(column[entity]) for entity in contenders}
    unknown = [graph.name(entity) for entity, value in values.items() if math.isnan(value)]
    if unknown:
        raise RejectedError(QuestionCause.TOO_FEW_CONTENDERS, f"no {compared} is known of {', '.join(unknown[:3])}")
    best = (min if direction == "least" else max)(values.values())
    winners = [entity for entity, value in values.items() if value == best]
    if len(winners) > 1:
        raise RejectedError(QuestionCause.NOT_UNIQUE, f"{len(winners)} contenders share the {direction} {compared}")
    return winners[0]


def edges_of(graph: Graph, query: Query, binding: dict[str, int]) -> list[Edge]:
    """The graph's edges that make the query's atoms true under a binding, in the order of the atoms; ValueError when one is missing."""
    found = []
    for atom in query.atoms:
        if atom.kind is AtomKind.EDGE:
            codes, neighbours, edges = graph.half_edges(binding[atom.subject])
            own = edges[(codes == 2 * graph.relation_code(atom.predicate)) & (neighbours == binding[atom.object])]
            if not len(own):
                raise ValueError(f"no such edge: {atom.subject} —{atom.predicate}→ {atom.object} under {binding}")
            found.append(graph.edge(int(own[0])))
    return found


def _winner(graph: Graph, answers: Sequence[int], compared: str, direction: str) -> int:
    return extremum(graph, answers, compared, direction) if compared else answers[0]


def _check_single(graph: Graph, answers: Sequence[int]) -> None:
    if len(answers) != 1:
        raise RejectedError(QuestionCause.NOT_UNIQUE, f"{len(answers)} answers")
    _check_name(graph, answers[0])


def _check_name(graph: Graph, answer: int) -> None:
    """A printed answer must tell one entity of its kind from all others."""
    namesakes = [other for other in graph.find(graph.name(answer)) if other != answer and graph.kind(other) == graph.kind(answer)]
    if namesakes:
        detail = f"the name {graph.name(answer)!r} is also borne by {', '.join(map(graph.entity, namesakes[:3]))}"
        raise RejectedError(QuestionCause.NOT_UNIQUE, detail)


def _check_count(graph: Graph, answers: Sequence[int]) -> None:
    if not LEAST_COUNT <= len(answers) <= MOST_COUNT:
        cause = QuestionCause.TOO_FEW_CONTENDERS if len(answers) < LEAST_COUNT else QuestionCause.NOT_UNIQUE
        raise RejectedError(cause, f"{len(answers)} entities to count, {LEAST_COUNT} to {MOST_COUNT} are asked for")
    if len({normalise(graph.name(answer)) for answer in answers}) < len(answers):
        raise RejectedError(QuestionCause.NOT_UNIQUE, "two of the counted entities are printed alike")


def _check_contenders(graph: Graph, answers: Sequence[int], compared: str, direction: str) -> None:
    _check_name(graph, extremum(graph, answers, compared, direction))


def _drops(graph: Graph, query: Query, needed: int, cap: int) -> tuple[Drop, ...]:
    """What remains without each atom; every one must have been necessary."""
    drops = []
    for place, atom in enumerate(query.atoms):
        left = len(evaluate(graph, without(query, place), cap))
        if left < needed:
            raise RejectedError(QuestionCause.NOT_MINIMAL, f"without {_words(atom)} {left} answers, at least {needed} are asked for")
        drops.append(Drop(atom=place, answers=left))
    return tuple(drops)


def _check_shortcuts(graph: Graph, query: Query, answer: int) -> None:
    far = distances(query)
    for constant in query.constants:
        path = find_shortcut(graph, bearers(graph, constant.name), answer, far[constant.entity] - 1)
        if path:
            detail = f"from {constant.name!r}, {far[constant.entity]} steps away, {describe(graph, path)} leads to the answer alone"
            raise RejectedError(QuestionCause.SHORTCUT, detail)


def _evidence(graph: Graph, query: Query, answers: Sequence[int]) -> tuple[Edge, ...]:
    """The edges of one way to satisfy the query per answer, sorted, each once; the query's own entities come first."""
    own = {item.name: graph.index(item.entity) for item in query.variables} | {
        item.entity: graph.index(item.entity) for item in query.constants
    }
    edges = set()
    for answer in answers:
        binding = own if answer == own[ANSWER] else witness(graph, query, answer)
        edges |= set(edges_of(graph, query, binding))
    return tuple(sorted(edges, key=lambda edge: (edge.source, edge.relation, edge.target)))


def _words(atom: Atom) -> str:
    ends = " ".join(term for term in (atom.subject, atom.predicate, atom.object) if term)
    return f"the clue ‘{ends}’" if is_variable(atom.subject) or is_variable(atom.object) else f"‘{ends}’"
