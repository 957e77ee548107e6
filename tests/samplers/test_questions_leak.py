"""No name of anything hidden stands in the text, however it is spelt; and what only looks like a leak is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samplers.graph.names import tokens
from samplers.questions.leak import Words, find_leak
from samplers.questions.naming import Naming
from tests.samplers.questions_world import world


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("imatinib", "Which drug like Imatinib inhibits KIT?"),
        ("BCR-ABL1", "Which drug inhibits BCR ABL1?"),
        ("BCR ABL1", "Which drug inhibits BCRABL1?"),
        ("BCRABL1", "Which drug inhibits bcr-abl1?"),
        ("chronic myeloid leukemia", "Which drug treats Chronic Myeloid Leukemias?"),
        ("Statins", "Which statin was approved first?"),
        ("lamin A", "Which gene encodes lamin A?"),
        ("ＭＥＫ", "Which drug inhibits MEK?"),
        ("p53", "Which gene encodes p53"),
        ("IL", "Which drug inhibits IL-2?"),
        ("Huntington's disease", "What is Huntington’s disease caused by?"),
    ],
)
def test_a_name_in_another_guise_is_told(name: str, text: str) -> None:
    assert Words(text).tell(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CF", "Which disease is caused by mutations in ACF or CFTR?"),
        ("lamin A", "Which gene encodes lamin and actin?"),
        ("Marfan syndrome", "Which syndrome is named after Marfan?"),
        ("A", "Which gene encodes a protein?"),
        ("?", "Which gene encodes a protein?"),
        ("gist", "Which drug treats logistic trouble?"),
        ("mass", "Which gene encodes ma?"),
        ("", "Which?"),
    ],
)
def test_what_only_resembles_a_name_is_no_leak(name: str, text: str) -> None:
    assert not Words(text).tell(name)


words = st.text("abc", min_size=1, max_size=4)


@given(st.lists(words, max_size=5), st.lists(words, min_size=1, max_size=3), st.lists(words, max_size=5), st.sampled_from(" -/"))
def test_a_name_is_found_wherever_it_stands(before: list[str], name: list[str], after: list[str], glue: str) -> None:
    text = " ".join([*before, glue.join(name), *after])
    assert Words(text).tell(" ".join(name)) == (len("".join(name)) >= 2)


@given(st.text(max_size=30), st.text(max_size=6))
def test_a_name_is_told_only_by_its_own_letters(text: str, name: str) -> None:
    letters = "".join(tokens(name)).removesuffix("s")
    if Words(text).tell(name):
        assert letters in "".join(tokens(text))


def test_aliases_count_and_the_noun_of_the_own_kind_does_not() -> None:
    graph = world(
        "d1 caused_by g1\nd2 caused_by g1", names={"d2": "Disease", "d1": "progeria", "g1": "LMNA"}, aliases={"g1": "lamin A/C|FPL"}
    )
    gene, thing = graph.index("g1"), graph.index("d2")
    assert find_leak(graph, [gene], "Which disease is caused by FPL?") == "FPL"
    assert find_leak(graph, [gene], "Which disease shows lamin A-C?") == "lamin A/C"
    assert find_leak(graph, [gene, thing], "Which diseases are caused by mutations?") == ""


def test_a_rare_word_shared_by_two_names_gives_one_away() -> None:
    names = {f"d{n}": f"syndrome {n}" for n in range(30)} | {
        "d90": "fibrillin syndrome 90",
        "p1": "fibrillin",
        "p2": "syndrome factor",
        "g1": "FBN1",
    }
    naming = Naming(graph := world("d90 caused_by g1", names=names))
    assert naming.gives_away(graph.index("p1"), graph.index("d90"))
    assert not naming.gives_away(graph.index("p2"), graph.index("d90"))  # every other disease is a syndrome
    assert not naming.gives_away(graph.index("g1"), graph.index("d90"))


def test_hubs_classes_and_the_unusable_are_never_hidden() -> None:
    edges = [f"d{n} occurs_in w{n % 2}" for n in range(60)] + [f"d{n} mentioned_with g1" for n in range(101)] + ["d1 caused_by g2"]
    naming = Naming(graph := world("\n".join(edges), names={"w3": "Worldwide"}))
    hideable = {key: naming.may_hide(graph.index(key)) for key in ("w0", "g1", "g2", "d1", "w3")}
    assert hideable == {"w0": False, "g1": False, "g2": True, "d1": True, "w3": False}
