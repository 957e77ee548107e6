"""The bundled demo graph: its size, its schemas, and its facts against the shared real graph.

The demo graph was written by hand. The shared graph (Orphanet, DrugMechDB and
phenopacket-store) was not: wherever both say something about the same pair of
entities, they have to say the same kind of thing, apart from the disagreements
that were looked at one by one and are listed in REVIEWED below.
"""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "samplers" / "graph" / "demo"
DEMO_SCHEMA = DEMO / "schema.yaml"
REAL_SCHEMA = ROOT / "samplers" / "graph" / "schemas" / "orphanet_drugmechdb.yaml"
SHARED_KG = Path(os.environ.get("HOPFORGE_SHARED_DATA", str(ROOT.parent / "shared" / "data"))) / "kg"

needs_shared = pytest.mark.skipif(
    not (SHARED_KG / "edges.tsv").is_file(),
    reason=f"no shared graph at {SHARED_KG} (set HOPFORGE_SHARED_DATA)",
)

NODE_COLUMNS = ["id", "name", "kind", "source", "aliases", "specialty", "approved_year", "prevalence_per_100k", "chromosome"]
EDGE_COLUMNS = ["source", "relation", "target", "provenance", "frequency"]

# Which kinds of the shared graph may be the same thing as a kind of the demo graph.
KIND_MATCH = {
    "Disease": {"Disease", "PhenotypicFeature"},
    "Phenotype": {"Phenotype", "PhenotypicFeature", "Disease"},
    "Gene": {"Gene"},
    "Protein": {"Protein", "GeneFamily", "MacromolecularComplex"},
    "Drug": {"Drug", "ChemicalSubstance"},
    "Organism": {"OrganismTaxon"},
    "ChemicalSubstance": {"ChemicalSubstance", "Drug"},
    "Anatomy": {"GrossAnatomicalStructure"},
    "CellType": {"Cell"},
    "InheritanceMode": {"Disease"},
}

# What a relation says, in words that both graphs share. A relation that is not
# listed (correlations, participation, ...) says too little to disagree with anything.
FAMILY = {
    "caused_by_mutation_in": "gene",
    "has_susceptibility_gene": "gene",
    "driven_by_somatic_mutation_in": "gene",
    "Disease-causing germline mutation(s) in": "gene",
    "Disease-causing germline mutation(s) (loss of function) in": "gene",
    "Disease-causing germline mutation(s) (gain of function) in": "gene",
    "Disease-causing somatic mutation(s) in": "gene",
    "Major susceptibility factor in": "gene",
    "Part of a fusion gene in": "gene",
    "Role in the phenotype of": "gene",
    "causal_gene_for": "gene",
    "has_inheritance": "inheritance",
    "has_phenotype": "finding",
    "has phenotype": "finding",
    "phenotype of": "finding",
    "manifestation of": "finding",
    "encodes": "gene product",
    "gene_product_of": "gene product",
    "inhibits": "less active",
    "decreases activity of": "less active",
    "negatively regulates": "less active",
    "activates": "more active",
    "increases activity of": "more active",
    "positively regulates": "more active",
    "treats": "therapy",
    "contraindicated_in": "harm",
    "contraindicated for": "harm",
    "causes_adverse_effect": "harm",
    "caused_by_organism": "infection",
    "causes": "infection",
    "subtype_of": "subclass",
    "is_a": "subclass",
    "superclass of": "subclass",
}

# Value nodes of the shared graph which state that nothing is known, or no inheritance.
NO_INHERITANCE = {
    "unknown inheritance",
    "no inheritance data available",
    "not genetically inherited",
}

# Reviewed disagreements: (check, demo entity, other entity) -> why the demo fact stands.
REVIEWED: dict[tuple[str, str, str], str] = {}


@dataclass
class Graph:
    """A graph as its two TSV files state it, without any rewriting."""

    nodes: dict[str, dict[str, str]]
    edges: list[dict[str, str]]
    by_pair: dict[frozenset[str], set[str]] = field(default_factory=dict)

    def name(self, node: str) -> str:
        return self.nodes[node]["name"]

    def names(self, node: str) -> list[str]:
        row = self.nodes[node]
        return [row["name"], *(a for a in row["aliases"].split("|") if a)]


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


@cache
def graph(folder: Path) -> Graph:
    nodes = {row["id"]: row for row in read_rows(folder / "nodes.tsv")}
    edges = read_rows(folder / "edges.tsv")
    by_pair: dict[frozenset[str], set[str]] = defaultdict(set)
    for edge in edges:
        by_pair[frozenset((edge["source"], edge["target"]))].add(edge["relation"])
    return Graph(nodes, edges, by_pair)


@cache
def schema(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def components(edges: Iterable[dict[str, str]], nodes: Iterable[str]) -> list[set[str]]:
    neighbours: dict[str, set[str]] = {node: set() for node in nodes}
    for edge in edges:
        neighbours[edge["source"]].add(edge["target"])
        neighbours[edge["target"]].add(edge["source"])
    found: list[set[str]] = []
    left = set(neighbours)
    while left:
        queue, part = [left.pop()], set()
        while queue:
            node = queue.pop()
            part.add(node)
            queue.extend(neighbours[node] - part)
        left -= part
        found.append(part)
    return sorted(found, key=len, reverse=True)


# --- 1. size and shape -----------------------------------------------------------------


def test_tables_have_the_agreed_columns() -> None:
    demo = graph(DEMO)
    assert list(next(iter(demo.nodes.values()))) == NODE_COLUMNS
    assert list(demo.edges[0]) == EDGE_COLUMNS


def test_size() -> None:
    demo = graph(DEMO)
    specialties = {row["specialty"] for row in demo.nodes.values() if row["specialty"]}
    relations = {edge["relation"] for edge in demo.edges}
    assert len(demo.nodes) >= 400
    assert len(demo.edges) >= 1500
    assert len(relations) >= 15
    assert len(specialties) >= 12


def test_rows_are_sound() -> None:
    demo = graph(DEMO)
    assert len(read_rows(DEMO / "nodes.tsv")) == len(demo.nodes), "an id occurs twice"
    names = Counter(row["name"].casefold() for row in demo.nodes.values())
    assert [name for name, count in names.items() if count > 1] == []
    triples = Counter((e["source"], e["relation"], e["target"]) for e in demo.edges)
    assert [triple for triple, count in triples.items() if count > 1] == []
    for edge in demo.edges:
        assert edge["source"] != edge["target"]
        assert edge["source"] in demo.nodes and edge["target"] in demo.nodes, edge
    assert {row["source"] for row in demo.nodes.values()} == {"textbook"}


def test_tables_are_sorted() -> None:
    demo = graph(DEMO)
    nodes = [(row["kind"], row["id"]) for row in demo.nodes.values()]
    edges = [(e["relation"], e["source"], e["target"]) for e in demo.edges]
    assert nodes == sorted(nodes)
    assert edges == sorted(edges)


def test_one_component_few_leaves_and_real_hubs() -> None:
    demo = graph(DEMO)
    parts = components(demo.edges, demo.nodes)
    assert len(parts[0]) >= 0.98 * len(demo.nodes)
    degree = Counter(e[end] for e in demo.edges for end in ("source", "target"))
    assert sum(1 for node in demo.nodes if degree[node] == 1) < 0.25 * len(demo.nodes)
    assert sum(1 for count in degree.values() if count > 60) >= 1


def test_numeric_attributes() -> None:
    demo = graph(DEMO)
    years = [int(row["approved_year"]) for row in demo.nodes.values() if row["approved_year"]]
    prevalences = [r["prevalence_per_100k"] for r in demo.nodes.values()]
    assert len(years) >= 50 and min(years) >= 1938 and max(years) <= 2026
    assert len([float(p) for p in prevalences if p]) >= 30
    for edge in demo.edges:
        if edge["frequency"]:
            assert edge["relation"] == "has_phenotype"
            assert 0 < float(edge["frequency"]) <= 1


def test_shared_synonyms_and_duplicates_exist() -> None:
    demo = graph(DEMO)
    bearers: dict[str, set[str]] = defaultdict(set)
    for node in demo.nodes:
        for name in demo.names(node):
            bearers[name.casefold()].add(node)
    shared = {name for name, nodes in bearers.items() if len(nodes) > 1}
    assert {"dmd", "hd", "pah"} <= shared
    assert sum(1 for edge in demo.edges if edge["relation"] == "same_as") >= 8


# --- 2. schemas ------------------------------------------------------------------------

PHRASE_START = re.compile(r"^\[[^\[\]|]+\|[^\[\]|]+\] ")


def wording(path: Path) -> Iterator[tuple[str, str, str]]:
    for name, relation in schema(path)["relations"].items():
        for side, placeholder in (("forward", "{object}"), ("back", "{subject}")):
            if side in relation:
                yield name, relation[side], placeholder


@pytest.mark.parametrize("path", [DEMO_SCHEMA, REAL_SCHEMA], ids=["demo", "real"])
def test_phrases(path: Path) -> None:
    for name, phrase, placeholder in wording(path):
        assert re.findall(r"\{\w*\}", phrase) == [placeholder], f"{name}: {phrase}"
        assert PHRASE_START.match(phrase), f"{name}: {phrase}"


@pytest.mark.parametrize("path", [DEMO_SCHEMA, REAL_SCHEMA], ids=["demo", "real"])
def test_every_relation_is_complete_or_folded(path: Path) -> None:
    relations = schema(path)["relations"]
    wanted = {"subject", "object", "forward", "back", "inverse", "cardinality"}
    wanted |= {"functional", "complete", "open", "clue"}
    for name, relation in relations.items():
        folded = relation.get("canonical") or relation.get("inverse_of")
        if folded:
            assert "forward" in relations[folded], f"{name} is folded into {folded}"
        elif not relation.get("merge"):
            assert wanted <= set(relation), name
            assert relation["open"] == (not relation["functional"] and not relation["complete"])


def check_coverage(path: Path, data: Graph) -> None:
    declared = schema(path)
    assert {row["kind"] for row in data.nodes.values()} <= set(declared["kinds"])
    assert {edge["relation"] for edge in data.edges} <= set(declared["relations"])
    for edge in data.edges:
        relation = declared["relations"][edge["relation"]]
        ends = (edge["source"], edge["target"])
        if "inverse_of" in relation:
            ends = ends[::-1]
        relation = declared["relations"][relation.get("canonical") or relation.get("inverse_of") or edge["relation"]]
        if not relation.get("merge"):
            assert data.nodes[ends[0]]["kind"] in relation["subject"], edge
            assert data.nodes[ends[1]]["kind"] in relation["object"], edge
    assert set(declared["never_a_clue"]) <= set(data.nodes)


def test_demo_schema_covers_the_demo_graph() -> None:
    check_coverage(DEMO_SCHEMA, graph(DEMO))
    assert set(schema(DEMO_SCHEMA)["attributes"]) == set(NODE_COLUMNS[5:])
    for name, rule in schema(DEMO_SCHEMA)["attributes"].items():
        kinds = {row["kind"] for row in graph(DEMO).nodes.values() if row[name]}
        assert kinds <= set(rule["kinds"]), name


@needs_shared
def test_real_schema_covers_the_shared_graph() -> None:
    check_coverage(REAL_SCHEMA, graph(SHARED_KG))


def test_functional_and_complete_relations_hold_in_the_demo_graph() -> None:
    demo = graph(DEMO)
    for name, relation in schema(DEMO_SCHEMA)["relations"].items():
        if relation.get("functional"):
            objects = Counter(e["source"] for e in demo.edges if e["relation"] == name)
            assert max(objects.values()) == 1, name


# --- 3. the demo facts against the shared graph ----------------------------------------


def normal(name: str) -> str:
    """A name without accents, case, punctuation and the word 'inheritance'."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().casefold()
    plain = plain.replace("'s ", " ").replace("haem", "hem").replace("aemia", "emia")
    words = re.sub(r"[^a-z0-9]+", " ", plain).split()
    return " ".join(words).removesuffix(" inheritance").strip()


def spellings(name: str) -> set[str]:
    """The normal form of a name and, for 'Anemia, Sickle Cell', that of its natural order."""
    return {normal(name), normal(" ".join(reversed(name.split(", "))))}


def same_as_groups(data: Graph) -> dict[str, frozenset[str]]:
    links = [edge for edge in data.edges if edge["relation"] == "same_as"]
    ends = {edge[end] for edge in links for end in ("source", "target")}
    groups = {node: frozenset(part) for part in components(links, ends) for node in part}
    return {node: groups.get(node, frozenset((node,))) for node in data.nodes}


@cache
def counterparts() -> dict[str, frozenset[str]]:
    """For each demo entity the entities of the shared graph that bear its name."""
    demo, real = graph(DEMO), graph(SHARED_KG)
    bearers: dict[str, set[str]] = defaultdict(set)
    for node in real.nodes:
        for name in real.names(node):
            for spelling in spellings(name):
                bearers[spelling].add(node)
    real_groups, demo_groups = same_as_groups(real), same_as_groups(demo)
    found: dict[str, frozenset[str]] = {}
    for node, row in demo.nodes.items():
        kinds = KIND_MATCH.get(row["kind"], set())
        names = {normal(name) for twin in demo_groups[node] for name in demo.names(twin)}
        hits = {hit for name in names for hit in bearers.get(name, ())}
        hits = {hit for hit in hits if real.nodes[hit]["kind"] in kinds}
        if hits:
            found[node] = frozenset(twin for hit in hits for twin in real_groups[hit])
    return found


def real_relations(a: str, b: str) -> set[str]:
    real, twins = graph(SHARED_KG), counterparts()
    pairs = {frozenset((x, y)) for x in twins.get(a, ()) for y in twins.get(b, ()) if x != y}
    return {relation for pair in pairs for relation in real.by_pair.get(pair, ())} - {"same_as"}


def pair_verdicts() -> Iterator[tuple[str, str, str, str, set[str], bool]]:
    """(demo relation, a, b, family, shared relations, agree) for each pair in both graphs."""
    demo = graph(DEMO)
    for edge in demo.edges:
        a, b = edge["source"], edge["target"]
        theirs = real_relations(a, b)
        if not theirs or edge["relation"] == "same_as":
            continue
        family = FAMILY.get(edge["relation"], "")
        families = {FAMILY[relation] for relation in theirs if relation in FAMILY}
        agree = not family or not families or family in families
        yield edge["relation"], demo.name(a), demo.name(b), family, theirs, agree


def unreviewed(check: str, rows: Iterable[tuple[str, str, str]]) -> list[str]:
    """Print every disagreement, return those that are not in REVIEWED."""
    left = []
    for a, b, detail in rows:
        reason = REVIEWED.get((check, a, b))
        print(f"{check}: {a} | {b} | {detail} | {reason or 'NOT REVIEWED'}")
        if reason is None:
            left.append(f"{a} | {b} | {detail}")
    return left


@needs_shared
def test_relations_of_shared_pairs_agree() -> None:
    verdicts = list(pair_verdicts())
    telling = [v for v in verdicts if v[3] and any(r in FAMILY for r in v[4])]
    print(f"{len(counterparts())} entities in both graphs, {len(verdicts)} pairs with an edge")
    print(f"in both, {len(telling)} of them comparable:", Counter(v[3] for v in telling))
    assert len(telling) >= 100
    rows = [(a, b, f"{rel} vs {sorted(theirs)}") for rel, a, b, _, theirs, ok in verdicts if not ok]
    assert unreviewed("relation", rows) == []


def demo_objects(relations: set[str]) -> dict[str, set[str]]:
    demo = graph(DEMO)
    groups = same_as_groups(demo)
    objects: dict[str, set[str]] = defaultdict(set)
    for edge in demo.edges:
        if edge["relation"] in relations:
            objects[min(groups[edge["source"]])].add(edge["target"])
    return objects


def shared_neighbours(node: str, family: str) -> set[str]:
    """Names that the shared graph ties to a demo disease by relations of one family."""
    real, names = graph(SHARED_KG), set()
    twins = counterparts().get(node, frozenset())
    for edge in real.edges:
        if FAMILY.get(edge["relation"]) == family:
            ends = {edge["source"], edge["target"]}
            names |= {real.name(other) for other in ends - twins} if ends & twins else set()
    return names


@needs_shared
def test_inheritance_modes_agree() -> None:
    demo, rows, checked = graph(DEMO), [], 0
    for node, modes in demo_objects({"has_inheritance"}).items():
        theirs = {normal(n) for n in shared_neighbours(node, "inheritance") - NO_INHERITANCE}
        ours = {normal(demo.name(mode)) for mode in modes}
        if theirs:
            checked += 1
            rows += [(demo.name(node), m, f"shared: {sorted(theirs)}") for m in ours - theirs]
    print(f"{checked} diseases with inheritance modes in both graphs")
    assert checked >= 40
    assert unreviewed("inheritance", rows) == []


@needs_shared
def test_causal_genes_agree() -> None:
    demo, rows, checked = graph(DEMO), [], 0
    germline = {"caused_by_mutation_in", "has_susceptibility_gene"}
    for node, genes in demo_objects(germline).items():
        theirs = {normal(name) for name in shared_neighbours(node, "gene")}
        if theirs:
            checked += 1
            for gene in genes:
                known = {n for g in same_as_groups(demo)[gene] for n in demo.names(g)}
                if not {normal(n) for n in known} & theirs:
                    rows.append((demo.name(node), demo.name(gene), f"shared: {sorted(theirs)[:6]}"))
    print(f"{checked} diseases with causal genes in both graphs")
    assert checked >= 40
    assert unreviewed("gene", rows) == []
