"""Facts in words: grammar, and pages that state every fact of their entity once."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from samplers.graph.documents import documents, page_url
from samplers.graph.infer import infer_schema
from samplers.graph.phrases import attribute_phrase, listing, noun, range_phrase, sentence, verb_phrase, with_article
from samplers.graph.schema import Attribute, GraphSchema, parse_schema
from samplers.graph.store import Graph
from tests.samplers.conftest import make_graph, table

YEAR = Attribute(form="year", clause="[was|were] approved {range}")
NUMBER = Attribute(form="number", clause="[has|have] a prevalence {range}", unit="per 100,000 people")


def test_verb_phrases_agree(tiny_schema: GraphSchema) -> None:
    assert verb_phrase(tiny_schema, "inhibits", True, "KIT", False) == "inhibits KIT"
    assert verb_phrase(tiny_schema, "inhibits", True, "KIT", True) == "inhibit KIT"
    assert verb_phrase(tiny_schema, "inhibits", False, "imatinib", True) == "are inhibited by imatinib"
    assert verb_phrase(tiny_schema, "encodes", True, r"oxidase [flavin|x] {object} \1", False) == r"encodes oxidase [flavin|x] {object} \1"
    assert (noun(tiny_schema, "Phenotype"), noun(tiny_schema, "Phenotype", True)) == ("clinical finding", "clinical findings")


@pytest.mark.parametrize(
    ("attribute", "low", "high", "words"),
    [
        (YEAR, 1998.0, 1998.0, "in 1998"),
        (YEAR, 1998.0, 2003.0, "between 1998 and 2003"),
        (YEAR, 1998.0, None, "in 1998 or later"),
        (YEAR, None, 2003.0, "in 2003 or earlier"),
        (NUMBER, 0.5, 0.5, "of 0.5 per 100,000 people"),
        (NUMBER, 1000.0, 2e6, "of between 1,000 and 2,000,000 per 100,000 people"),
        (NUMBER, 10.0, None, "of at least 10 per 100,000 people"),
        (NUMBER, None, 0.0, "of at most 0 per 100,000 people"),
    ],
)
def test_ranges(attribute: Attribute, low: float | None, high: float | None, words: str) -> None:
    assert range_phrase(attribute, low, high) == words


def test_attribute_phrases() -> None:
    assert attribute_phrase(YEAR, 2001.0) == "was approved in 2001"
    assert attribute_phrase(Attribute(form="text", clause="[lies|lie] on {value}"), "1q", plural=True) == "lie on 1q"


AN = (
    "enzyme,organism,hour,heir,MRI,LDL,X-linked disease,AIDS drug,mRNA,siRNA,RNA,S phase,FDA drug,8-year study,11th case,uninformative test"
)
A = "gene,unit,union,European drug,US drug,HIV drug".replace("HIV drug", "T cell").split(",")


@pytest.mark.parametrize("words", [*AN.split(","), "ultrasound", "HIV drug", "Alzheimer drug", "ulcer"])
def test_an(words: str) -> None:
    assert with_article(words) == f"an {words}"


@pytest.mark.parametrize(
    "words", [*A, "urea cycle defect", "HeLa cell", "tRNA", "UDP", "uterine test", "one-sided test", "1st case", "Fabry case"]
)
def test_a(words: str) -> None:
    assert with_article(words) == f"a {words}"


@given(st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=5))
def test_listing_names_all(items: list[str]) -> None:
    text = listing(items)
    assert [word for word in text.replace(",", "").split() if word != "and"] == items
    assert text.count("and") == (len(items) > 1)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("imatinib inhibits KIT", "Imatinib inhibits KIT."),
        ("mTOR is a protein", "mTOR is a protein."),
        ("p53 is a protein", "p53 is a protein."),
        ("lamin A/C acts", "Lamin A/C acts."),
        ("who knows?", "Who knows?"),
        ("α-synuclein folds", "Α-synuclein folds."),
    ],
)
def test_sentences(text: str, written: str) -> None:
    assert sentence(text) == written


def test_a_page_reads_well(tiny_graph: Graph) -> None:
    page = documents(tiny_graph)[tiny_graph.index("c:imatinib")]
    assert page.text.split("\n") == [
        "Imatinib is a drug.",
        "Imatinib is also known as Gleevec and Glivec.",
        "Imatinib was approved in 2001.",
        "Imatinib inhibits BCR-ABL1.",
        "Imatinib inhibits KIT receptor.",
        "Imatinib is used to treat chronic myeloid leukemia.",
        "Imatinib is used to treat gastrointestinal stromal tumor.",
    ]
    assert (page.id, page.title, page.url) == ("c:imatinib", "imatinib", "hopforge://tiny/c%3Aimatinib")
    assert (page.source, page.license) == ("twenty textbook facts", "Apache-2.0")


def test_tags_are_stated_too(tiny_graph: Graph) -> None:
    assert "The specialty of Marfan syndrome is cardiology." in documents(tiny_graph)[tiny_graph.index("d:marfan")].text.split("\n")


@pytest.mark.parametrize("which", ["tiny_graph", "demo_graph"])
def test_every_fact_stands_on_both_its_pages_once(which: str, request: pytest.FixtureRequest) -> None:
    graph: Graph = request.getfixturevalue(which)
    pages = [page.text.split("\n") for page in documents(graph)]
    for edge_id in range(graph.edge_count):
        edge = graph.edge(edge_id)
        source, target = graph.index(edge.source), graph.index(edge.target)
        forward = sentence(f"{graph.name(source)} {verb_phrase(graph.schema, edge.relation, True, graph.name(target))}")
        back = sentence(f"{graph.name(target)} {verb_phrase(graph.schema, edge.relation, False, graph.name(source))}")
        assert forward in pages[source] and back in pages[target]
    for index, lines in enumerate(pages):
        stated = [key for key in graph.schema.attributes if graph.attribute(index, key) is not None]
        assert len(lines) == 1 + bool(graph.aliases(index)) + len(stated) + graph.degree(index)
        assert all(line.endswith((".", "?", "!")) and "  " not in line and "{" not in line and "[" not in line for line in lines)


def test_urls_name_the_entity(demo_graph: Graph) -> None:
    urls = [page.url for page in documents(demo_graph)]
    assert len(set(urls)) == len(demo_graph)
    assert unquote(urlsplit(page_url(demo_graph, 5)).path[1:]) == demo_graph.entity(5)


@pytest.mark.parametrize(
    ("relation", "forward", "back"),
    [
        ("inhibits", "inhibits B", "is one that A inhibits"),
        ("negatively regulates", "negatively regulates B", "is one that A negatively regulates"),
        ("located in", "is located in B", "is one that A is located in"),
        ("has_phenotype", "has the phenotype B", "is a phenotype of A"),
        ("is_part_of", "is part of B", "is one that A is part of"),
        ("Role [x] in the disease", "is linked by “Role x in the disease” to B", "is linked by “Role x in the disease” from A"),
        ("causal_gene_for", "is linked by “causal gene for” to B", "is linked by “causal gene for” from A"),
    ],
)
def test_a_schema_is_inferred_from_names(relation: str, forward: str, back: str) -> None:
    nodes = table(("id", "name", "kind", "firstYear"), [("a", "A", "ChemicalSubstance", "1990"), ("b", "B", "gene_family", "")])
    schema = infer_schema("x", nodes, table(("source", "relation", "target", "score"), [("a", relation, "b", "0.5")]))
    assert verb_phrase(schema, relation, True, "B") == forward
    assert verb_phrase(schema, relation, False, "A") == back
    assert (noun(schema, "ChemicalSubstance"), noun(schema, "gene_family", True)) == ("chemical substance", "gene families")
    assert schema.attributes["firstYear"].form == "year" and schema.edge_attributes["score"].form == "number"


def test_inferred_spellings_are_folded_and_synonyms_merged() -> None:
    nodes = [(name, name, "Thing") for name in "abcd"]
    edges = [("a", "part of", "b"), ("a", "part_of", "c"), ("a", "Part-Of", "d"), ("c", "owl:sameAs", "d")]
    schema = infer_schema("x", table(("id", "name", "kind"), nodes), table(("source", "relation", "target"), edges))
    assert list(schema.relations) == ["Part-Of"]
    graph = make_graph(nodes, edges, schema)
    assert (graph.edge_count, len(graph), graph.report.dropped_duplicates) == (2, 3, 1)


@example("[")
@example("{x}")
@given(st.text(min_size=1, max_size=12).filter(lambda text: text.strip() and not text.isspace()))
def test_whatever_the_names_an_inferred_schema_is_valid(word: str) -> None:
    nodes = table(("id", "name", "kind"), [("a", "A", word), ("b", "B", word)])
    schema = infer_schema("x", nodes, table(("source", "relation", "target"), [("a", word, "b")]))
    for relation in schema.relations.values():
        entry = {"forward": relation.forward, "back": relation.back}
        parse_schema({"name": "x", "kinds": {"k": {"noun": "k", "plural": "ks"}}, "relations": {"r": entry}})
