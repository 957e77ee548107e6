"""Seeds from every format, from the graph, and what is said of a wrong file."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.shared import Shared
from engine.stage import run_stage
from samplers.config import SamplerConfig
from samplers.graph.names import normalise
from samplers.graph.store import Graph
from samplers.sample import SampleStage
from samplers.seeds import make_seed, read_seeds, seeds_from_graph
from tests.samplers.questions_world import world

NAMES = ["LMNA", "dilated cardiomyopathy", 'the "big" one', "naïve, T cell"]


def write(folder: Path, suffix: str, column: str = "entity") -> Path:
    path = folder / f"seeds{suffix}"
    text = {
        ".tsv": "\n".join([f"x\t{column}", *(f"1\t{name}" for name in NAMES)]),
        ".csv": "\n".join([f"x,{column}", *('1,"{}"'.format(name.replace('"', '""')) for name in NAMES)]),
        ".txt": "\r\n".join(["", *NAMES, "  "]),
        ".json": json.dumps([NAMES[0], *({column: name} for name in NAMES[1:])], indent=1),
        ".jsonl": "\n".join([json.dumps(NAMES[0]), "", *(json.dumps({column: name}) for name in NAMES[1:])]),
    }
    if suffix == ".parquet":
        pa.parquet.write_table(pa.table({column: NAMES, "x": [1, 2, 3, 4]}), path)
    else:
        path.write_text(text[suffix], encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("column", ["entity", "name"])
@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".txt", ".json", ".jsonl", ".parquet"])
def test_every_format(tmp_path: Path, suffix: str, column: str) -> None:
    assert [seed.name for seed in read_seeds(write(tmp_path, suffix, column))] == NAMES


def test_equal_names_are_one_seed_in_the_first_spelling(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("Marfan syndrome\n marfan-syndrome \nMARFAN  SYNDROME\nLMNA\n", encoding="utf-8")
    seeds = read_seeds(tmp_path / "s.txt")
    assert [seed.name for seed in seeds] == ["Marfan syndrome", "LMNA"]
    assert seeds[0].id == seeds[0].trace_id == make_seed("marfan–syndrome").id


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip))
def test_ids_depend_on_the_normal_form_only(one: str, other: str) -> None:
    assert make_seed(one).id == make_seed(f" {one.casefold()} ").id
    assert (make_seed(one).id == make_seed(other).id) == (normalise(one) == normalise(other))


WRONG = [
    ("s.csv", b"id,title\n1,x\n", 1, "no column 'entity' or 'name' (found: id, title)", "rename"),
    ("s.csv", b"entity,x\nLMNA,1\n,2\n", 3, "name is empty", "fill"),
    ("s.csv", b"entity,x\nLMNA,1\nKIT\n", 3, "has 1 fields", "separators"),
    ("s.csv", b"entity\ncaf\xe9\n", 2, "not UTF-8", "iconv"),
    ("s.csv", b"entity\n", None, "no rows", "at least one row"),
    ("s.csv", b"", None, "is empty", "header"),
    ("s.txt", b"LMNA\nKIT\ncaf\xe9\n", 3, "not UTF-8", "iconv"),
    ("s.txt", b"\n \n", None, "is empty", "at least one"),
    ("s.json", b"", None, "is empty", "at least one"),
    ("s.json", b"[]", None, "is empty", "at least one"),
    pytest.param("s.json", b"[" * 100_000, 1, "cannot be read as JSON", "string", id="s.json-deep"),
    ("s.json", b'["LMNA",\n oops]', 2, "is not JSON", "string"),
    ("s.json", b'{"entity": "LMNA"}', None, "is no JSON list", "first name"),
    ("s.json", b'["LMNA", 3]', None, "item 2 holds no name: 3", "string"),
    ("s.jsonl", b'"LMNA"\n\n{"title": "x"}\n', 3, 'holds no name: {"title": "x"}', "entity"),
    ("s.jsonl", b'"LMNA"\n{"name": null}\n', 2, "holds no name", "entity"),
    ("s.jsonl", b'"LMNA"\nLMNA\n', 2, "is not JSON", "string"),
    ("s.xlsx", b"x", None, "'.xlsx' is no known format", ".csv"),
]


@pytest.mark.parametrize(("file", "content", "line", "problem", "remedy"), WRONG)
def test_a_wrong_file_names_line_and_remedy(tmp_path: Path, file: str, content: bytes, line: int | None, problem: str, remedy: str) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_seeds(tmp_path / file)
    assert caught.value.path == str(tmp_path / file)
    assert caught.value.line == line
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_seeds(tmp_path / "none.csv")
    with pytest.raises(InputError, match="no such file"):
        read_seeds(tmp_path)


def test_seeds_from_the_graph_are_usable_and_neither_lonely_nor_hubs(tiny_graph: Graph) -> None:
    names = [seed.name for seed in seeds_from_graph(tiny_graph, hub_degree=4)]
    assert names == sorted(names)
    assert "imatinib" in names and "LMNA" in names
    assert not {"Worldwide", "alopecia", "café-au-lait spot"} & set(names)  # never a clue, one edge, none
    assert "imatinib" not in [seed.name for seed in seeds_from_graph(tiny_graph, hub_degree=3)]  # has four


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.tsv", "name\tspecialty\nLMNA\tcardiology\nKIT\t\n"),
        ("s.json", '[{"name": "LMNA", "specialty": "cardiology"}, {"name": "KIT", "specialty": null}]'),
        ("s.jsonl", '{"entity": "LMNA", "specialty": "cardiology"}\n"KIT"\n'),
    ],
)
def test_a_specialty_becomes_a_tag(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert [(seed.name, seed.tags) for seed in read_seeds(tmp_path / name)] == [("LMNA", ("specialty:cardiology",)), ("KIT", ())]


async def test_a_seeds_tags_reach_its_subgraphs() -> None:
    graph = world("d1 caused_by g1\nd2 caused_by g1\nd2 has_phenotype f1\nd3 has_phenotype f1\nd3 caused_by g2", names={"g1": "LMNA"})
    stage = SampleStage(Shared.local(graph), SamplerConfig(size=4))
    await stage.open()
    drawn = (await run_stage(stage, make_seed("LMNA", "cardiology"), 0, 10)).rows[0]
    assert drawn.tags == ("specialty:cardiology",)


def test_the_shared_seed_list(shared_data: Path) -> None:
    assert [seed.name for seed in read_seeds(shared_data / "seeds.json")][:3] == ["LMNA", "dilated cardiomyopathy", "PCSK9"]
