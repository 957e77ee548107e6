"""How candidate questions grow: ranges, sketches, what is pruned, and what a solver can follow."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import RejectedError
from samplers.config import QuestionConfig
from samplers.graph.store import Graph
from samplers.questions.clues import REACH, Clues
from samplers.questions.grow import extended, obfuscated, path, pruned
from samplers.questions.naming import Naming
from samplers.questions.paradigms import count
from samplers.questions.ranges import ranges
from samplers.questions.sketch import Clue, Filter, Sketch
from samplers.records import AtomKind, Subgraph
from tests.samplers.questions_world import world


@given(st.integers(1800, 2100))
def test_year_ranges_hold_the_year_and_narrow_to_it(year: int) -> None:
    found = ranges(year, "year")
    assert all(low <= year <= high for low, high in found)
    assert [high - low + 1 for low, high in found] == [20, 10, 5, 1]
    assert all(low % (high - low + 1) == 0 for low, high in found[:-1])


@given(st.floats(1e-6, 1e9))
def test_number_ranges_hold_the_number_and_narrow_to_it(value: float) -> None:
    found = ranges(value, "number")
    assert found[-1] == (value, value) and ranges(-value, "number") == [(-value, -value)]
    assert all(low <= value * (1 + 1e-9) and value <= high * (1 + 1e-9) for low, high in found)
    assert all(wide[1] - wide[0] > narrow[1] - narrow[0] for wide, narrow in pairwise(found))


EDGES = "c1 inhibits p1\nc2 inhibits p1\nc1 treats d1\nc3 treats d1\ng1 encodes p1\nd1 caused_by g2\nd1 has_phenotype f1"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return world(EDGES, years={"c1": 1990})


def clues_of(graph: Graph, *entities: str) -> Clues:
    subgraph = Subgraph(
        id="s",
        trace_id="t",
        seed_name="",
        seed_entity=entities[0],
        strategy="",
        nodes=entities,
        edges=graph.edges_between([graph.index(entity) for entity in entities]),
        backbone=entities[:1],
    )
    return Clues(graph, subgraph, Naming(graph))


def sketch(graph: Graph, answer: str, *steps: str) -> Sketch:
    """A sketch from steps such as `c1 -treats> d1` and `p1 <encodes- g1`."""
    found = Sketch(graph.index(answer))
    for step in steps:
        near, relation, far = step.split()
        code = graph.relation_code(relation.strip("<->"))
        found = found.with_clue(Clue(near=graph.index(near), relation=code, forward=relation.startswith("-"), far=graph.index(far)))
    return found


def names(graph: Graph, entities: tuple[int, ...]) -> list[str]:
    return [graph.entity(entity) for entity in entities]


def test_a_sketch_hides_what_leads_on_and_names_its_leaves(graph: Graph) -> None:
    tree = sketch(graph, "c1", "c1 -inhibits> p1", "p1 <encodes- g1", "c1 -treats> d1")
    assert (names(graph, tree.hidden), names(graph, tree.named), tree.hops, tree.branching) == (["c1", "p1"], ["g1", "d1"], 3, True)
    assert not sketch(graph, "c1", "c1 -inhibits> p1", "p1 <encodes- g1").branching
    assert tree.depth(graph.index("g1")) == 2
    query = tree.query(graph)
    assert [(atom.subject, atom.predicate, atom.object) for atom in query.atoms] == [
        ("?x", "inhibits", "?a"),
        ("g1", "encodes", "?a"),
        ("?x", "treats", "d1"),
    ]
    assert [(item.name, item.entity) for item in query.variables] == [("?x", "c1"), ("?a", "p1")]


def test_a_lost_clue_takes_what_hung_on_it_and_names_nothing_that_was_hidden(graph: Graph) -> None:
    tree = sketch(graph, "c1", "c1 -inhibits> p1", "p1 <encodes- g1", "c1 -treats> d1")
    assert names(graph, tree.without_clue(tree.clues[1]).entities) == ["c1", "d1"]  # p1 would have become a name
    assert names(graph, tree.without_clue(tree.clues[0]).entities) == ["c1", "d1"]
    assert names(graph, tree.without_clue(tree.clues[2]).entities) == ["c1", "p1", "g1"]


def test_a_filter_hides_its_entity_and_may_keep_it(graph: Graph) -> None:
    item = Filter(entity=graph.index("c3"), kind=AtomKind.RANGE, attribute="approved_year", low=1990.0)
    tree = sketch(graph, "d1", "d1 <treats- c3", "d1 -caused_by> g2").with_filter(item)
    assert names(graph, tree.hidden) == ["d1", "c3"]
    assert names(graph, tree.without_filter(item).entities) == ["d1", "g2"]


def test_pruning_leaves_only_what_is_needed(graph: Graph) -> None:
    clues = clues_of(graph, "c1", "p1", "d1")
    loose = sketch(graph, "c1", "c1 -inhibits> p1", "c1 -treats> d1", "p1 <encodes- g1")
    assert pruned(clues, loose, 1) == loose
    d1 = sketch(graph, "d1", "d1 -caused_by> g2", "d1 -has_phenotype> f1", "d1 <treats- c3")
    assert pruned(clues, d1, 1).hops == 1


def test_growth_obeys_what_it_is_asked_for(graph: Graph) -> None:
    clues, rng = clues_of(graph, "c1", "p1", "d1"), random.Random(0)
    start = sketch(graph, "c1", "c1 -inhibits> p1")
    for _ in range(20):
        narrowed = extended(clues, start, lambda count: count == 1, 2, rng)
        assert narrowed is not None and clues.count(narrowed, 2) == 1 and narrowed.hops + len(narrowed.filters) == 2
        vaguer = obfuscated(clues, start, lambda _: True, 2, rng)
        assert vaguer is not None and graph.index("p1") in vaguer.hidden
        whole = path(clues, Sketch(graph.index("c1")), graph.index("c1"), 2, rng)
        assert whole is not None and whole.hops == 2 and len(set(whole.entities)) == 3
    assert extended(clues, start, lambda _: False, 2, rng) is None


def test_a_clue_that_leads_to_a_crowd_is_not_followed() -> None:
    crowd = "\n".join(f"d{n} caused_by g1\nd{n} has_phenotype f1" for n in range(REACH + 1))
    graph = world(crowd + "\nd0 caused_by g2\nc1 treats d0\nc2 treats d1")
    clues = clues_of(graph, "d0", "g1", "f1")
    assert not clues.workable(sketch(graph, "d0", "d0 -caused_by> g1", "d0 -has_phenotype> f1"))
    assert clues.workable(sketch(graph, "d0", "d0 -caused_by> g1", "d0 -caused_by> g2"))
    assert clues.workable(sketch(graph, "c1", "c1 -treats> d0", "d0 -caused_by> g2"))
    assert not clues.workable(sketch(graph, "c1", "c1 -treats> d0", "d0 -caused_by> g1"))


def test_nobody_is_asked_to_look_through_two_crowds() -> None:
    """Five diseases are in both crowds of sixty: a count within bounds, but no page lists a crowd."""
    first = [f"d{n} caused_by g1" for n in range(60)]
    second = [f"d{n} has_phenotype f1" for n in range(55, 115)]
    clues = clues_of(world("\n".join(first + second)), "d55", "d56", "g1", "f1")
    both = sketch(clues.graph, "d55", "d55 -caused_by> g1", "d55 -has_phenotype> f1")
    assert clues.count(both, 21) == 5
    for seed in range(10):
        with pytest.raises(RejectedError):
            count.propose(clues, 0, QuestionConfig(), random.Random(seed))
