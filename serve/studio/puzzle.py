"""A question as a small drawing: what is named under its name, what is hidden as `?x` until somebody wants to know."""

from __future__ import annotations

from typing import Any

import numpy as np

from samplers.graph.store import Graph
from samplers.records import AtomKind, Query, Question
from serve.studio.drawing import Lit, picture
from serve.studio.ego import Ego
from serve.studio.layout import arrange

NAMES_PX = 120
"""Room for the names at the right."""


def puzzle(graph: Graph, question: Question, solved: bool) -> dict[str, Any]:
    """ECharts options: one node per term of the question's queries, one line per atom that joins two.

    Args:
        solved: hidden entities show their names.
    """
    certificate = question.certificate
    assert certificate
    queries = [certificate.query] + ([certificate.second.query] if certificate.second else [])
    entities = list(dict.fromkeys(index for query in queries for index in _terms(graph, query).values()))
    place = {entity: number for number, entity in enumerate(entities)}
    ties = {pair: relation for query in queries for pair, relation in _ties(graph, query, place).items()}
    pairs = np.array(sorted(ties), dtype=np.int32).reshape(-1, 2)
    nodes = np.array(entities, dtype=np.int32)
    ego = Ego(nodes, np.arange(len(nodes), dtype=np.int32).clip(max=1), pairs, 0)
    hidden = {place[graph.index(item.entity)]: item.name for query in queries for item in query.variables}
    labels = {number: f"{term} {graph.name(entities[number])}" if solved else term for number, term in hidden.items()}
    flat = arrange(len(nodes), pairs, ego.steps)
    upright = flat if len(queries) > 1 else flat[:, ::-1]  # names stand beside the nodes; two parts stand side by side
    options = picture(graph, ego, upright, Lit(frozenset(range(len(nodes))), (), ties), labels)
    options["series"][0]["label"] |= {"position": "right"}
    options["series"][0]["right"] = NAMES_PX
    return options


def _terms(graph: Graph, query: Query) -> dict[str, int]:
    """Term → entity it stands for, `?x` first."""
    return {item.name: graph.index(item.entity) for item in query.variables} | {
        item.entity: graph.index(item.entity) for item in query.constants
    }


def _ties(graph: Graph, query: Query, place: dict[int, int]) -> dict[tuple[int, int], str]:
    terms, ties = _terms(graph, query), dict[tuple[int, int], str]()
    for atom in query.atoms:
        if atom.object:
            ends = sorted((place[terms[atom.subject]], place[terms[atom.object]]))
            said = atom.predicate.replace("_", " ")
            ties[ends[0], ends[1]] = {AtomKind.ABSENT: f"not {said}", AtomKind.LESS: f"{said} <"}.get(atom.kind, said)
    return ties
