"""Queries looked at without a graph: what hangs together, how far it is, and when two queries are the same."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from samplers.questions.query import canonical, distances, fingerprint, hops, keep_atoms, touching, without
from samplers.records import Atom, AtomKind, Constant, Query, Variable

TERMS = ("?x", "?a", "?b", "?c", "k1", "k2")


def edge(subject: str, object: str, predicate: str = "r") -> Atom:
    return Atom(kind=AtomKind.EDGE, predicate=predicate, subject=subject, object=object)


def at_least(subject: str, low: float) -> Atom:
    return Atom(kind=AtomKind.RANGE, predicate="year", subject=subject, low=low)


def query(*atoms: Atom) -> Query:
    everything = Query(
        variables=tuple(Variable(name=term, kind="Gene", entity=f"g{term}") for term in TERMS if term.startswith("?")),
        constants=tuple(Constant(entity=term, name=f"Name {term}") for term in TERMS if not term.startswith("?")),
        atoms=(),
    )
    return keep_atoms(everything, atoms)


FORK = query(edge("?x", "?a"), edge("?a", "k1"), edge("?x", "?b", "s"), edge("k2", "?b"), at_least("?b", 1990))


def test_hops_are_edges_and_not_filters() -> None:
    assert hops(FORK) == 4


def test_distances_are_counted_in_edges_from_the_answer() -> None:
    assert distances(FORK) == {"?x": 0, "?a": 1, "?b": 1, "k1": 2, "k2": 2}


def test_touching_finds_edges_and_filters_of_a_term() -> None:
    assert touching(FORK, "?b") == [FORK.atoms[2], FORK.atoms[3], FORK.atoms[4]]


def test_dropping_an_atom_takes_what_it_cuts_off_along() -> None:
    left = without(FORK, 2)
    assert left.atoms == FORK.atoms[:2]
    assert [item.name for item in left.variables] == ["?x", "?a"]
    assert [item.entity for item in left.constants] == ["k1"]


def test_dropping_an_outer_atom_keeps_the_inner_one() -> None:
    assert without(FORK, 1).atoms == (FORK.atoms[0], *FORK.atoms[2:])


def test_dropping_the_only_atom_leaves_the_answer_and_its_sort() -> None:
    left = without(query(edge("?x", "k1")), 0)
    assert left.atoms == () and left.constants == () and [item.name for item in left.variables] == ["?x"]


def test_what_hangs_on_a_shared_constant_stays() -> None:
    ring = query(edge("?x", "k1"), edge("?a", "k1"), edge("?x", "?a", "s"))
    assert without(ring, 2).atoms == ring.atoms[:2]


pairs = st.tuples(st.sampled_from(TERMS), st.sampled_from("rs"), st.sampled_from(TERMS)).filter(lambda row: row[0] != row[2])


@given(st.lists(pairs, min_size=1, max_size=6, unique=True), st.booleans(), st.randoms(use_true_random=False))
def test_canonical_form_does_not_depend_on_names_of_variables_or_order(
    rows: list[tuple[str, str, str]], filtered: bool, rng: random.Random
) -> None:
    original = query(*(edge(subject, object, relation) for subject, relation, object in rows), *([at_least("?a", 1)] if filtered else []))
    hidden = [item.name for item in original.variables if item.name != "?x"]
    fresh = dict(zip(hidden, rng.sample([f"?{letter}" for letter in "pqrstu"], len(hidden)), strict=True))
    atoms = [
        replace(atom, subject=fresh.get(atom.subject, atom.subject), object=fresh.get(atom.object, atom.object)) for atom in original.atoms
    ]
    variables = [replace(item, name=fresh.get(item.name, item.name), entity="elsewhere") for item in original.variables]
    renamed = Query(
        variables=tuple(rng.sample(variables, len(variables))),
        constants=original.constants[::-1],
        atoms=tuple(rng.sample(atoms, len(atoms))),
    )
    assert canonical(renamed) == canonical(original)


def rings(*groups: str) -> Query:
    """Directed rings of variables beside `?x`: refinement alone cannot tell a ring of three from a ring of four."""
    pairs = [(group[place], group[(place + 1) % len(group)]) for group in groups for place in range(len(group))]
    variables = tuple(
        Variable(name=name, kind="Gene", entity="") for name in ("?x", *(f"?{letter}" for group in groups for letter in group))
    )
    return Query(variables=variables, constants=(), atoms=tuple(edge(f"?{one}", f"?{other}") for one, other in pairs))


def test_canonical_form_sees_through_variables_that_look_alike() -> None:
    assert canonical(rings("abc", "defg")) == canonical(rings("defg", "abc")) == canonical(rings("efg", "abcd"))
    assert canonical(rings("abc", "defg")) != canonical(rings("abcdefg"))


def test_canonical_form_tells_different_queries_apart() -> None:
    different = [
        FORK,
        without(FORK, 1),
        query(edge("?x", "?a"), edge("?a", "k1")),
        query(edge("?a", "?x"), edge("?a", "k1")),  # direction
        query(edge("?x", "?a", "s"), edge("?a", "k1")),  # relation
        query(edge("?x", "?a"), edge("?a", "k2")),  # constant
        query(edge("?x", "?a"), edge("?a", "k1"), at_least("?a", 1)),
        query(edge("?x", "?a"), edge("?a", "k1"), at_least("?x", 1)),
        query(edge("?x", "?a"), edge("?a", "k1"), at_least("?a", 2)),
        replace(
            query(edge("?x", "?a"), edge("?a", "k1")),
            variables=(Variable(name="?x", kind="Drug", entity=""), Variable(name="?a", kind="Gene", entity="")),
        ),
    ]
    assert len({canonical(one) for one in different}) == len(different)
    assert len({fingerprint(one) for one in different}) == len(different)


def test_which_variable_is_asked_for_matters_even_in_a_symmetric_query() -> None:
    path = query(edge("?x", "?a"), edge("?a", "?b"))
    middle = query(edge("?a", "?x"), edge("?x", "?b"))
    assert canonical(path) != canonical(middle)


def test_a_constant_counts_by_its_printed_name() -> None:
    one = query(edge("?x", "k1"))
    other = Query(variables=one.variables, constants=(Constant(entity="z9", name="name K1"),), atoms=(edge("?x", "z9"),))
    assert canonical(one) == canonical(other)
