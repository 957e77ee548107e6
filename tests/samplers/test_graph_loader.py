"""Files → graph: the same graph whatever the format and the order of rows, and an answer to every wrong file."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError, InputError
from samplers.config import GraphConfig
from samplers.graph.loader import load_graph
from samplers.graph.schema import GraphSchema
from samplers.graph.store import Graph
from tests.samplers.conftest import EDGE_HEADER, NODE_HEADER, TINY_EDGES, TINY_NODES, TINY_SCHEMA, make_graph

Rows = Sequence[Sequence[str]]


def write(folder: Path, nodes: Rows = TINY_NODES, edges: Rows = TINY_EDGES, suffix: str = ".tsv", schema: str = TINY_SCHEMA) -> Path:
    folder.mkdir(exist_ok=True)
    for stem, header, rows in (("nodes", NODE_HEADER, nodes), ("edges", EDGE_HEADER, edges)):
        path = folder / f"{stem}{suffix}"
        if suffix == ".parquet":
            pa.parquet.write_table(pa.table({name: [row[place] or None for row in rows] for place, name in enumerate(header)}), path)
        elif suffix == ".csv":
            path.write_text(
                "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in (header, *rows)), encoding="utf-8-sig", newline="\r\n"
            )
        else:
            path.write_text("".join("\t".join(row) + "\n" for row in (header, *rows)), encoding="utf-8")
    (folder / "schema.yaml").write_text(schema, encoding="utf-8")
    return folder


def load(folder: Path, schema: str = "auto") -> Graph:
    return load_graph(GraphConfig(source="path", path=str(folder), schema=schema))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".parquet"])
def test_every_format_gives_the_same_graph(tmp_path: Path, tiny_graph: Graph, suffix: str) -> None:
    graph = load(write(tmp_path / "kg", suffix=suffix))
    assert graph.hash == tiny_graph.hash
    assert graph.report == tiny_graph.report


def test_report_counts_what_was_merged_and_dropped(tiny_graph: Graph) -> None:
    report = tiny_graph.report
    assert (report.nodes, report.entities, report.merged_classes) == (21, 20, 1)
    assert (report.edges, report.triples, report.dropped_duplicates, report.dropped_self_loops) == (26, 22, 2, 0)


def test_synonyms_become_the_better_connected_entity(tiny_graph: Graph) -> None:
    merged = tiny_graph.index("o:740")
    assert merged == tiny_graph.index("d:hgps")
    assert (tiny_graph.entity(merged), tiny_graph.name(merged)) == ("d:hgps", "Hutchinson-Gilford progeria syndrome")
    assert "Hutchinson Gilford progeria" in tiny_graph.aliases(merged)


def test_folded_spellings_are_the_canonical_relation(tiny_graph: Graph) -> None:
    assert "causes" not in tiny_graph.relations and "has phenotype" not in tiny_graph.relations and "same_as" not in tiny_graph.relations
    edge = next(tiny_graph.edge(i) for i in range(tiny_graph.edge_count) if tiny_graph.edge(i).target == "g:lmna")
    assert (edge.source, edge.relation) in {("d:dcm", "caused_by"), ("d:edmd", "caused_by"), ("d:hgps", "caused_by")}
    both = [tiny_graph.edge(i).provenance for i in range(tiny_graph.edge_count) if tiny_graph.edge(i).source == "d:hgps"]
    assert "A|B" in both  # the same triple, once as caused_by and once as causes


@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(tiny_schema: GraphSchema, rng: random.Random) -> None:
    nodes, edges = list(TINY_NODES), list(TINY_EDGES)
    rng.shuffle(nodes)
    rng.shuffle(edges)
    assert make_graph(nodes, edges, tiny_schema).hash == make_graph(TINY_NODES, TINY_EDGES, tiny_schema).hash


@given(st.integers(0, len(TINY_NODES) - 1), st.sampled_from([0, 1, 2]))
def test_any_change_of_content_changes_the_hash(tiny_schema: GraphSchema, place: int, column: int) -> None:
    changed = [list(row) for row in TINY_NODES]
    edges = [list(row) for row in TINY_EDGES]
    old = changed[place][column]
    changed[place][column] = "Place" if column == 2 and old != "Place" else "Gene" if column == 2 else f"{old}x"
    if column == 0:
        edges = [[f"{cell}x" if cell == old else cell for cell in row] for row in edges]
    original, other = make_graph(TINY_NODES, TINY_EDGES, tiny_schema), make_graph(changed, edges, tiny_schema)
    hidden = column == 2 and TINY_NODES[place][0] == "o:740"  # the kind of a merged member is its class's
    assert (original.hash == other.hash) == hidden


@given(st.integers(1, 21), st.sampled_from([(1, "mentioned_with"), (2, "f:cafe"), (3, "Z"), (4, "0.25")]))
def test_any_change_of_an_edge_changes_the_hash(tiny_schema: GraphSchema, place: int, change: tuple[int, str]) -> None:
    edges = [list(row) for row in TINY_EDGES]
    edges[place][change[0]] = change[1]
    assert make_graph(TINY_NODES, edges, tiny_schema).hash != make_graph(TINY_NODES, TINY_EDGES, tiny_schema).hash


def test_which_edge_has_which_provenance_is_content(tiny_schema: GraphSchema) -> None:
    rows = [("a", "one", "Gene"), ("b", "two", "Gene"), ("c", "three", "Gene")]
    one, other = (make_graph(rows, [("a", "encodes", "b", x), ("a", "encodes", "c", y)], tiny_schema).hash for x, y in ("XY", "YX"))
    assert one != other


def test_parquet_columns_may_be_numbers_and_lists_but_not_structures(tmp_path: Path) -> None:
    folder = write(tmp_path / "kg", suffix=".parquet")
    nodes = pa.parquet.read_table(folder / "nodes.parquet").to_pydict()
    nodes["aliases"] = [alias.split("|") if alias else None for alias in nodes["aliases"]]
    nodes["approved_year"] = [int(year) if year else None for year in nodes["approved_year"]]
    pa.parquet.write_table(pa.table(nodes), folder / "nodes.parquet")
    graph = load(folder)
    imatinib = graph.index("c:imatinib")
    assert (graph.aliases(imatinib), graph.attribute(imatinib, "approved_year")) == (("Gleevec", "Glivec"), 2001.0)
    pa.parquet.write_table(pa.table(nodes | {"name": [{"en": name} for name in nodes["name"]]}), folder / "nodes.parquet")
    with pytest.raises(InputError, match=r"column 'name' of type struct.* cannot be read as text"):
        load(folder)


def test_cells_are_trimmed(tmp_path: Path, tiny_graph: Graph) -> None:
    padded = [[f" {cell} " for cell in row] for row in TINY_EDGES]
    assert load(write(tmp_path / "kg", edges=padded, suffix=".csv")).hash == tiny_graph.hash


def test_ids_of_merged_members_are_content(tiny_schema: GraphSchema) -> None:
    rows = [("a", "one", "Gene"), ("b", "one", "Gene"), ("c", "two", "Gene"), ("d", "three", "Gene")]
    link = [("a", "encodes", "c"), ("d", "encodes", "c")]
    hashes = {
        make_graph(rows, [*link, ("a", "same_as", "b")], tiny_schema).hash,
        make_graph(rows, [*link, ("d", "same_as", "b")], tiny_schema).hash,
    }
    assert len(hashes) == 2


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_synonym_classes_are_connected_components(tiny_schema: GraphSchema, pairs: list[tuple[int, int]]) -> None:
    nodes = [(f"n{i}", f"name {i}", "Gene") for i in range(8)] + [("x", "x", "Gene"), ("y", "y", "Gene")]
    graph = make_graph(nodes, [*((f"n{a}", "same_as", f"n{b}") for a, b in pairs), ("x", "encodes", "y")], tiny_schema)
    component = {i: {i} for i in range(8)}
    for a, b in pairs:
        joined = component[a] | component[b]
        component |= dict.fromkeys(joined, joined)
    for i in range(8):
        index = graph.index(f"n{i}")
        assert graph.entity(index) == f"n{min(component[i])}"  # equal degrees: the smallest id
        assert {graph.name(index), *graph.aliases(index)} == {f"name {j}" for j in component[i]}
    assert graph.report.merged_classes == len({frozenset(members) for members in component.values() if len(members) > 1})


def test_a_relation_between_synonyms_is_dropped_and_counted(tiny_schema: GraphSchema) -> None:
    nodes = [("a", "a", "Gene"), ("b", "b", "Gene"), ("c", "c", "Gene")]
    edges = [("a", "same_as", "b"), ("b", "encodes", "a"), ("a", "encodes", "c"), ("c", "encodes", "c")]
    graph = make_graph(nodes, edges, tiny_schema)
    assert (graph.edge_count, graph.report.dropped_self_loops) == (1, 2)


def test_attributes_of_a_class_come_from_whoever_has_them(tiny_schema: GraphSchema) -> None:
    nodes = [("a", "a", "Drug", "", "", "7", ""), ("b", "b", "Drug", "", "1990", "8", ""), ("c", "c", "Drug", "", "", "", "")]
    graph = make_graph(nodes, [("a", "same_as", "b"), ("a", "encodes", "c")], tiny_schema)
    index = graph.index("b")
    assert (graph.attribute(index, "approved_year"), graph.attribute(index, "chromosome")) == (1990.0, "7")


def test_equal_rows_of_one_id_are_one_entity(tiny_schema: GraphSchema) -> None:
    nodes = [("a", "a", "Gene", "x", "", "", ""), ("a", "a", "Gene", "y", "", "2", ""), ("b", "b", "Gene", "", "", "", "")]
    graph = make_graph(nodes, [("a", "encodes", "b")], tiny_schema)
    assert (len(graph), graph.aliases(0), graph.attribute(0, "chromosome")) == (2, ("x", "y"), "2")


def test_tsv_knows_no_quotes(tmp_path: Path) -> None:
    nodes = [("a", 'the "big" one', "Gene", "", "", "", ""), ("b", '"open', "Gene", "", "", "", "")]
    graph = load(write(tmp_path / "kg", nodes, [("a", "encodes", "b", "", "")]))
    assert [graph.name(i) for i in (0, 1)] == ['the "big" one', '"open']


def test_undeclared_columns_are_reported(tmp_path: Path) -> None:
    folder = write(tmp_path / "kg", schema=TINY_SCHEMA.replace("  specialty: {kinds: [Disease], form: tag}\n", ""))
    assert load(folder).report.ignored_columns == ("nodes.tsv: specialty",)


WRONG = [
    ("nodes.tsv", "id\tname\t", "id\tnmae\t", 1, "column 'name' is missing", "rename 'nmae' to 'name'"),
    ("edges.tsv", "\ttarget\t", "\tobject\t", 1, "column 'target' is missing", "add a column 'target'"),
    ("nodes.tsv", "chromosome", "kind", 1, "column 'kind' is given twice", "rename"),
    ("nodes.tsv", "f:cafe\t", "f:cafe", 21, "has 6 fields where the header has 7", "separators"),
    ("nodes.tsv", "\tscoliosis\t", "\t\t", 20, "name is empty", "fill in"),
    ("nodes.tsv", "f:alopecia\t", "f:scoliosis\t", 20, "has two names, 'alopecia' and 'scoliosis' (see line 19)", "aliases"),
    ("nodes.tsv", "KIT\tGene", "KIT\tGen", 11, "kind 'Gen' is not in the schema", "did you mean 'Gene'"),
    ("nodes.tsv", "\t2001\t", "\t2oo1\t", 16, "approved_year '2oo1' is no number", "declare approved_year as text"),
    ("edges.tsv", "d:marfan\tcaused_by", "d:marfann\tcaused_by", 6, "source 'd:marfann' is not in nodes.tsv", "did you mean 'd:marfan'?"),
    ("edges.tsv", "\tw:world", "\tqqqqqqqqqqq", 22, "target 'qqqqqqqqqqq' is not in nodes.tsv", "add a row"),
    ("edges.tsv", "\ttreats\t", "\ttreat\t", 18, "relation 'treat' is not in the schema", "did you mean 'treats'"),
    ("edges.tsv", "\t0.9\n", "\thigh\n", 2, "frequency 'high' is no number", "declare"),
]


@pytest.mark.parametrize(("file", "old", "new", "line", "problem", "remedy"), WRONG)
def test_a_wrong_file_names_file_line_and_remedy(
    tmp_path: Path, file: str, old: str, new: str, line: int, problem: str, remedy: str
) -> None:
    folder = write(tmp_path / "kg")
    edit(folder / file, old, new)
    with pytest.raises(InputError) as caught:
        load(folder)
    assert caught.value.path == str(folder / file)
    assert caught.value.line == line
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_blank_lines_and_quoted_line_ends_do_not_shift_the_line(tmp_path: Path) -> None:
    folder = write(tmp_path / "kg", suffix=".csv")
    (folder / "nodes.csv").write_text('id,name,kind,aliases\n\na,"one\n line",Gene,\n\nb,two,Genie,\n', encoding="utf-8")
    (folder / "edges.csv").write_text("source,relation,target\na,encodes,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="Genie") as caught:
        load(folder)
    assert caught.value.line == 6


def test_a_wrong_encoding_names_the_line(tmp_path: Path) -> None:
    folder = write(tmp_path / "kg")
    raw = (folder / "nodes.tsv").read_bytes()
    (folder / "nodes.tsv").write_bytes(raw.replace("café".encode(), "café".encode("latin1")))
    with pytest.raises(InputError, match="iconv") as caught:
        load(folder)
    assert caught.value.line == 21
    (folder / "nodes.tsv").write_text("id\tname\tkind\n", encoding="utf-16")
    with pytest.raises(InputError, match="not UTF-8") as caught:
        load(folder)
    assert caught.value.line == 1


def test_missing_empty_and_doubled_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load(tmp_path / "none")
    folder = write(tmp_path / "kg")
    (folder / "nodes.csv").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"nodes.tsv and nodes.csv"):
        load(folder)
    (folder / "nodes.tsv").unlink()
    with pytest.raises(InputError, match="is empty"):
        load(folder)
    (folder / "nodes.csv").write_text("id,name,kind\n", encoding="utf-8")
    with pytest.raises(InputError, match="no rows"):
        load(folder)
    (folder / "nodes.csv").unlink()
    with pytest.raises(InputError, match="holds no nodes file"):
        load(folder)
    (folder / "nodes.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match="no Parquet file"):
        load(folder)
    with pytest.raises(ConfigError, match=r"graph\.path"):
        load_graph(GraphConfig(source="path"))


def test_auto_takes_the_bundled_schema_that_fits_else_says_what_is_missing(tmp_path: Path) -> None:
    nodes = [("a", "imatinib", "Drug", "", "", "", ""), ("b", "KIT", "Protein", "", "", "", "")]
    folder = write(tmp_path / "kg", nodes, [("a", "inhibits", "b", "", "")])
    (folder / "schema.yaml").unlink()
    assert load(folder).schema.name == "demo"
    edit(folder / "edges.tsv", "inhibits", "tickles")
    with pytest.raises(InputError, match=r"no bundled schema fits .*'tickles'"):
        load(folder)


def test_a_named_schema_file_wins(tmp_path: Path) -> None:
    folder = write(tmp_path / "kg")
    other = tmp_path / "other.yaml"
    other.write_text(TINY_SCHEMA.replace("name: tiny", "name: other"), encoding="utf-8")
    assert load(folder, str(other)).schema.name == "other"


def test_the_demo_graph_is_whole(demo_graph: Graph) -> None:
    assert len(demo_graph) > 600 and demo_graph.edge_count > 1000
    assert demo_graph.report.ignored_columns == ()
    assert demo_graph.attribute(demo_graph.find("imatinib")[0], "approved_year") == 2001.0


def test_a_real_graph_loads_without_a_schema(shared_data: Path) -> None:
    graph = load(shared_data / "kg", "infer")
    assert (graph.report.nodes, graph.report.edges) == (14_625, 31_937)
    assert graph.report.merged_classes > 600 and graph.report.dropped_self_loops == 1
    assert {"has phenotype"} == {name for name in graph.relations if name.replace("_", " ") == "has phenotype"}


def test_a_real_graph_loads_with_the_bundled_schema(shared_graph: Graph) -> None:
    assert shared_graph.schema.name == "orphanet_drugmechdb"
    assert {"LMNA", "Hutchinson-Gilford progeria"} < {shared_graph.name(index) for index in shared_graph.find("HGPS")}
    unusable = [shared_graph.name(index) for index in range(len(shared_graph)) if not shared_graph.usable(index)]
    assert "no age of onset data available" in unusable and len(unusable) == len(shared_graph.schema.never_a_clue)
