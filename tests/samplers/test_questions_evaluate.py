"""The evaluator against trying every assignment, and each rule of the semantics by example."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import RejectedError
from samplers.graph.store import Graph
from samplers.questions import evaluate as evaluate_module
from samplers.questions.evaluate import Search, evaluate, witness
from samplers.questions.query import is_variable, keep_atoms, without
from samplers.records import ANSWER, Query, QuestionCause
from tests.samplers.questions_world import ask, brute_answers, world

RELATIONS = ("caused_by", "has_phenotype", "mentioned_with")
IDS = ("d1", "d2", "d3", "d4", "g1", "g2", "g3", "f1")


Rows = list[tuple[str, str, str]]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, Rows]:
    """Up to 18 edges among four diseases, three genes and a finding; d1 and g1 share an alias, d4 is printed like g2."""
    pairs = st.tuples(st.sampled_from(IDS), st.sampled_from(RELATIONS), st.sampled_from(IDS)).filter(lambda row: row[0] != row[2])
    edges = draw(st.lists(pairs, min_size=4, max_size=18, unique=True))
    years = draw(st.dictionaries(st.sampled_from(IDS), st.integers(1990, 1993), max_size=8))
    chromosomes = draw(st.dictionaries(st.sampled_from(IDS), st.sampled_from(("1", "X")), max_size=8))
    names = dict(zip(IDS, IDS, strict=True)) | {"d4": "G2"}
    return world("\n".join(" ".join(row) for row in edges), names, {"d1": "twin", "g1": "Twin"}, years, chromosomes), edges


@st.composite
def cases(draw: st.DrawFn) -> tuple[Graph, Query]:
    """A graph, and a query made of its own edges (so that it often has answers) with now and then a foreign edge and filters.

    Trees, cycles and disconnected parts; up to four variables and two constants.
    """
    graph, edges = draw(graphs())
    chosen = draw(st.lists(st.sampled_from(edges), min_size=1, max_size=5, unique=True))
    entities = draw(st.permutations(sorted({end for source, _, target in chosen for end in (source, target)})))[:6]
    named = set(entities[4:]) if len(entities) > 4 else set(entities[1:][: draw(st.integers(0, 2))])
    free = [entity for entity in entities if entity not in named]
    term = {entity: f"?v{place}" if place else "?x" for place, entity in enumerate(free)} | {entity: entity for entity in named}
    rows = [row for row in chosen if row[0] in term and row[2] in term]
    if draw(st.booleans()) and len(term) > 1:
        one, other = draw(st.permutations(sorted(term)))[:2]
        rows.append((one, draw(st.sampled_from(RELATIONS)), other))
    filters = st.tuples(st.sampled_from(free), st.sampled_from(("approved_year 1990..1992", "approved_year 1991..", "chromosome = X")))
    statements = [f"{term[source]} {relation} {term[target]}" for source, relation, target in dict.fromkeys(rows)]
    statements += [f"{term[entity]} {rest}" for entity, rest in draw(st.lists(filters, max_size=1))]
    return graph, ask(graph, *statements, **{term[entity][1:]: entity for entity in free})


@given(cases())
@settings(max_examples=250, deadline=None)
def test_the_evaluator_finds_what_trying_everything_finds(case: tuple[Graph, Query]) -> None:
    graph, query = case
    expected = brute_answers(graph, query)
    assert list(evaluate(graph, query, 1000)) == expected
    for answer in expected:
        binding = witness(graph, query, answer)
        assert binding[ANSWER] == answer
        assert set(binding) == {item.name for item in query.variables} | {item.entity for item in query.constants}


@given(cases(), st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_a_cap_keeps_that_many_true_answers(case: tuple[Graph, Query], cap: int) -> None:
    graph, query = case
    everything, capped = evaluate(graph, query, 1000), evaluate(graph, query, cap)
    assert len(capped) == min(cap, len(everything))
    assert set(capped) <= set(everything) and list(capped) == sorted(capped)


@given(cases())
@settings(max_examples=50, deadline=None)
def test_dropping_an_atom_never_loses_an_answer_that_is_not_named(case: tuple[Graph, Query]) -> None:
    graph, query = case
    for place in range(len(query.atoms)):
        assert set(evaluate(graph, query, 1000)) <= set(evaluate(graph, without(query, place), 1000))


@given(cases())
@settings(max_examples=50, deadline=None)
def test_a_hasty_reading_never_has_fewer_answers(case: tuple[Graph, Query]) -> None:
    graph, query = case
    assert set(evaluate(graph, query, 1000)) <= set(Search(graph, query, generous=True).answers(1000))


def names(graph: Graph, query: Query) -> list[str]:
    return [graph.entity(answer) for answer in evaluate(graph, query, 1000)]


def test_a_chain_and_a_filter() -> None:
    graph = world("c1 inhibits p1\nc2 inhibits p1\nc3 inhibits p2\ng1 encodes p1", years={"c1": 1999, "c2": 2005})
    assert names(graph, ask(graph, "?x inhibits ?a", "g1 encodes ?a", x="c1", a="p1")) == ["c1", "c2"]
    assert names(graph, ask(graph, "?x inhibits ?a", "g1 encodes ?a", "?x approved_year 2000..", x="c2", a="p1")) == ["c2"]
    assert names(graph, ask(graph, "?x inhibits p1", "?x approved_year 1999..1999", x="c1")) == ["c1"]


def test_a_variable_binds_entities_of_its_kind_only() -> None:
    graph = world("d1 mentioned_with d2\ng1 mentioned_with d2")
    assert names(graph, ask(graph, "?x mentioned_with d2", x="d1")) == ["d1"]
    assert names(graph, ask(graph, "?x mentioned_with d2", x="g1")) == ["g1"]


def test_distinct_variables_bind_distinct_entities() -> None:
    graph = world("d1 caused_by g1\nd2 caused_by g2\nd3 caused_by g2")
    query = ask(graph, "?x caused_by ?a", "?b caused_by ?a", x="d2", a="g2", b="d3")
    assert names(graph, query) == ["d2", "d3"]  # d1 has no second disease beside itself


def test_a_variable_is_never_what_a_constant_denotes() -> None:
    graph = world("d1 caused_by g1\nd2 caused_by g1\nd3 caused_by g1", aliases={"d3": "D1"})
    query = ask(graph, "?x caused_by ?a", "d1 caused_by ?a", x="d2", a="g1")
    assert names(graph, query) == ["d2"]  # d1 is named, and so is d3, which bears the printed name as well


def test_a_constant_denotes_any_bearer_of_its_name_but_one_throughout() -> None:
    edges = (
        "d1 caused_by g1\nd1 has_phenotype f1\nd2 caused_by g2\nd2 has_phenotype f1\nd3 caused_by g1\nd3 caused_by g2\nd1 mentioned_with g2"
    )
    graph = world(edges, aliases={"g2": "G1"})
    assert names(graph, ask(graph, "?x caused_by g1", x="d1")) == ["d1", "d2", "d3"]
    both = ask(graph, "?x caused_by g1", "?x mentioned_with g1", x="d1")
    assert names(graph, both) == []  # caused by the one bearer, mentioned with the other: no one bearer does both


def test_synonyms_are_one_entity() -> None:
    graph = world("d1 caused_by g1\nd2 caused_by g1\nd1 same_as d2\nd3 caused_by g1")
    assert len(evaluate(graph, ask(graph, "?x caused_by g1", x="d1"), 10)) == 2


def test_a_cycle_is_followed_around() -> None:
    edges = "c1 inhibits p1\nc1 treats d1\nd1 caused_by g1\ng1 encodes p1\nc2 inhibits p1\nc2 treats d2\nd2 caused_by g2\ng2 encodes p2"
    graph = world(edges)
    query = ask(graph, "?x inhibits ?p", "?x treats ?d", "?d caused_by ?g", "?g encodes ?p", x="c1", p="p1", d="d1", g="g1")
    assert names(graph, query) == ["c1"]


def test_partners_everywhere_do_not_close_a_cycle() -> None:
    edges = "c1 inhibits p1\nc1 treats d1\nd1 caused_by g1\ng1 encodes p2\nc2 inhibits p2\nc2 treats d2\nd2 caused_by g2\ng2 encodes p1"
    graph = world(edges)  # one ring of eight, where the query asks for a ring of four
    query = ask(graph, "?x inhibits ?p", "?x treats ?d", "?d caused_by ?g", "?g encodes ?p", x="c1", p="p1", d="d1", g="g1")
    assert names(graph, query) == []


def test_variables_of_unconnected_parts_are_distinct_too() -> None:
    graph = world("c1 inhibits p1\nc1 treats d1")
    query = ask(graph, "?x inhibits p1", "?a treats d1", x="c1", a="c1")
    assert names(graph, query) == []


def test_only_the_sort_left_counts_all_of_the_kind() -> None:
    graph = world("c1 inhibits p1\nc2 inhibits p2\nc3 treats d1")
    query = ask(graph, "?x inhibits p1", x="c1")
    assert names(graph, without(query, 0)) == ["c1", "c2", "c3"]


def test_nothing_satisfies_an_edge_from_an_entity_to_itself() -> None:
    graph = world("d1 mentioned_with d2")
    assert names(graph, ask(graph, "?x mentioned_with ?x", x="d1")) == []


def test_too_much_work_is_a_rejection_and_no_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_module, "STEPS", 5)
    edges = "\n".join(f"d{one} mentioned_with d{two}" for one in range(8) for two in range(8) if (one + two) % 2)
    graph = world(edges)
    ring = [f"?{one} mentioned_with ?{two}" for one, two in ("xa", "ab", "bc", "cd", "dx")]  # odd rings: none, after much search
    query = ask(graph, *ring, x="d0", a="d1", b="d2", c="d3", d="d4")
    with pytest.raises(RejectedError) as caught:
        evaluate(graph, query, 10)
    assert caught.value.cause == QuestionCause.PROOF_TOO_LARGE


def test_a_witness_must_exist() -> None:
    graph = world("c1 inhibits p1\nc2 inhibits p2")
    query = keep_atoms(ask(graph, "?x inhibits p1", x="c1"), ask(graph, "?x inhibits p1", x="c1").atoms)
    with pytest.raises(ValueError, match="does not satisfy"):
        witness(graph, query, graph.index("c2"))
    assert all(is_variable(term) or term == "p1" for term in witness(graph, query, graph.index("c1")))
