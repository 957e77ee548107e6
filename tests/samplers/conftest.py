"""Graphs for the tests of this room and of those that build on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import settings

from samplers.config import GraphConfig
from samplers.graph.loader import graph_from_tables, load_graph
from samplers.graph.schema import GraphSchema, read_schema
from samplers.graph.store import Graph
from samplers.graph.tables import Table

settings.register_profile("shared_cores", deadline=None)  # a busy machine is no failing law
settings.load_profile("shared_cores")

TINY_SCHEMA = """
name: tiny
license: Apache-2.0
source: twenty textbook facts
kinds:
  Disease: {noun: disease, plural: diseases}
  Gene: {noun: gene, plural: genes}
  Protein: {noun: protein, plural: proteins}
  Drug: {noun: drug, plural: drugs}
  Phenotype: {noun: clinical finding, plural: clinical findings}
  Place: {noun: place, plural: places}
relations:
  caused_by:
    subject: [Disease]
    object: [Gene]
    forward: "[is|are] caused by mutations in {object}"
    back: "[is a gene|are genes] whose mutations cause {subject}"
  causes: {inverse_of: caused_by}
  has_phenotype:
    subject: [Disease]
    object: [Phenotype]
    forward: "[shows|show] {object}"
    back: "[is a finding|are findings] in {subject}"
  has phenotype: {canonical: has_phenotype}
  encodes:
    subject: [Gene]
    object: [Protein]
    forward: "[encodes|encode] {object}"
    back: "[is|are] encoded by {subject}"
    cardinality: one-to-one
    functional: true
    complete: true
    open: false
  inhibits:
    subject: [Drug]
    object: [Protein]
    forward: "[inhibits|inhibit] {object}"
    back: "[is|are] inhibited by {subject}"
  treats:
    subject: [Drug]
    object: [Disease]
    forward: "[is|are] used to treat {object}"
    back: "[is|are] treated with {subject}"
  occurs_in:
    subject: [Disease]
    object: [Place]
    forward: "[occurs|occur] in {object}"
    back: "[has|have] cases of {subject}"
  mentioned_with:
    forward: "[is|are] mentioned with {object}"
    back: "[is|are] mentioned with {subject}"
    clue: false
  same_as: {merge: true}
never_a_clue: [Worldwide]
attributes:
  approved_year:
    kinds: [Drug]
    form: year
    noun: year of approval
    clause: "[was|were] approved {range}"
    least: was approved first
    most: was approved last
  chromosome: {kinds: [Gene], form: text, noun: chromosome, clause: "[lies|lie] on chromosome {value}"}
  specialty: {kinds: [Disease], form: tag}
edge_attributes:
  frequency: {form: number, noun: frequency}
"""

TINY_NODES = [
    ("d:hgps", "Hutchinson-Gilford progeria syndrome", "Disease", "HGPS|progeria", "", "", "genetics"),
    ("o:740", "Hutchinson Gilford progeria", "Disease", "Progeria", "", "", ""),
    ("d:dcm", "dilated cardiomyopathy", "Disease", "DCM", "", "", "cardiology"),
    ("d:edmd", "Emery-Dreifuss muscular dystrophy", "Disease", "", "", "", "neurology"),
    ("d:marfan", "Marfan syndrome", "Disease", "", "", "", "cardiology"),
    ("d:cml", "chronic myeloid leukemia", "Disease", "CML", "", "", "oncology"),
    ("d:gist", "gastrointestinal stromal tumor", "Disease", "GIST", "", "", "oncology"),
    ("g:lmna", "LMNA", "Gene", "HGPS", "", "1", ""),
    ("g:fbn1", "FBN1", "Gene", "", "", "15", ""),
    ("g:kit", "KIT", "Gene", "", "", "4", ""),
    ("p:lamin", "lamin A", "Protein", "", "", "", ""),
    ("p:fibrillin", "fibrillin-1", "Protein", "", "", "", ""),
    ("p:kit", "KIT receptor", "Protein", "CD117", "", "", ""),
    ("p:bcrabl", "BCR-ABL1", "Protein", "", "", "", ""),
    ("c:imatinib", "imatinib", "Drug", "Gleevec|Glivec", "2001", "", ""),
    ("c:dasatinib", "dasatinib", "Drug", "", "2006", "", ""),
    ("c:sunitinib", "sunitinib", "Drug", "", "2006", "", ""),
    ("f:alopecia", "alopecia", "Phenotype", "hair loss", "", "", ""),
    ("f:scoliosis", "scoliosis", "Phenotype", "", "", "", ""),
    ("f:cafe", "café-au-lait spot", "Phenotype", "", "", "", ""),
    ("w:world", "Worldwide", "Place", "", "", "", ""),
]

TINY_EDGES = [
    ("d:hgps", "caused_by", "g:lmna", "A", "0.9"),
    ("g:lmna", "causes", "o:740", "B", ""),
    ("d:dcm", "caused_by", "g:lmna", "A", ""),
    ("d:edmd", "caused_by", "g:lmna", "A", ""),
    ("d:marfan", "caused_by", "g:fbn1", "A", ""),
    ("d:gist", "caused_by", "g:kit", "A", ""),
    ("g:lmna", "encodes", "p:lamin", "A", ""),
    ("g:fbn1", "encodes", "p:fibrillin", "A", ""),
    ("g:kit", "encodes", "p:kit", "A", ""),
    ("d:hgps", "has_phenotype", "f:alopecia", "A", "1.0"),
    ("o:740", "has phenotype", "f:scoliosis", "A", ""),
    ("d:marfan", "has_phenotype", "f:scoliosis", "A", "0.5"),
    ("c:imatinib", "inhibits", "p:kit", "A", ""),
    ("c:imatinib", "inhibits", "p:bcrabl", "A", ""),
    ("c:dasatinib", "inhibits", "p:bcrabl", "A", ""),
    ("c:sunitinib", "inhibits", "p:kit", "A", ""),
    ("c:imatinib", "treats", "d:cml", "A", ""),
    ("c:dasatinib", "treats", "d:cml", "A", ""),
    ("c:imatinib", "treats", "d:gist", "A", ""),
    ("c:sunitinib", "treats", "d:gist", "A", ""),
    ("d:cml", "occurs_in", "w:world", "A", ""),
    ("d:marfan", "occurs_in", "w:world", "A", ""),
    ("d:dcm", "mentioned_with", "d:edmd", "A", ""),
    ("d:hgps", "same_as", "o:740", "xref", ""),
    ("o:740", "same_as", "d:hgps", "xref", ""),
    ("d:hgps", "caused_by", "g:lmna", "A", ""),
]

NODE_HEADER = ("id", "name", "kind", "aliases", "approved_year", "chromosome", "specialty")
EDGE_HEADER = ("source", "relation", "target", "provenance", "frequency")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], path: str = "memory.parquet") -> Table:
    """Rows of strings as the loader's table; Parquet in name, so that errors give no line."""
    columns = [pa.array([row[place] for row in rows], pa.large_string()) for place in range(len(header))]
    return Table(Path(path), pa.table(columns, names=list(header)))


def make_graph(nodes: Sequence[Sequence[str]], edges: Sequence[Sequence[str]], schema: GraphSchema) -> Graph:
    """A graph from rows that start with (id, name, kind) and (source, relation, target); further cells as in the tiny graph's headers."""
    return graph_from_tables(table(NODE_HEADER[: len(nodes[0])], nodes), table(EDGE_HEADER[: len(edges[0])], edges), schema)


@pytest.fixture(scope="session")
def tiny_schema(tmp_path_factory: pytest.TempPathFactory) -> GraphSchema:
    path = tmp_path_factory.mktemp("schema") / "schema.yaml"
    path.write_text(TINY_SCHEMA, encoding="utf-8")
    return read_schema(path)


@pytest.fixture(scope="session")
def tiny_graph(tiny_schema: GraphSchema) -> Graph:
    return make_graph(TINY_NODES, TINY_EDGES, tiny_schema)


@pytest.fixture(scope="session")
def demo_graph() -> Graph:
    return load_graph(GraphConfig())


@pytest.fixture(scope="session")
def shared_graph(shared_data: Path) -> Graph:
    return load_graph(GraphConfig(source="path", path=str(shared_data / "kg")))
