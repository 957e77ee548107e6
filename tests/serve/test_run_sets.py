"""Questions of a run as a set: gathered, chosen, counted, compared, tagged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.ledger import parquet_bytes
from engine.records import to_table
from engine.storage import Storage
from samplers.records import Edge, Question
from serve.runs.figures import BINS, _bins, doubles, figures, in_common, options
from serve.runs.leakage import contaminated, shared_between
from serve.runs.opened import OpenRun
from serve.runs.sets import QuestionSelection, choose_questions, in_order
from serve.runs.tags import FILE, TagRule
from tests.agents import worlds
from tests.serve.shelf import shelve


@pytest.fixture
def run(tmp_path: Path) -> OpenRun:
    """The shelf, of whose five questions three are in the run as questions: of one entity, of a number, imported."""
    folder = shelve(tmp_path / "shelf")
    (tmp_path / "world").mkdir()
    graph = worlds.write_world(tmp_path / "world")
    first = worlds.chain(graph)
    assert first.certificate
    proof = replace(first.certificate, evidence=(Edge(source="g:kit", relation="encodes", target="p:kit", provenance="A"),))
    made = [
        replace(first, id="q1", difficulty=4.0, tags=("specialty:cardiology",), certificate=proof),
        replace(worlds.count(graph), id="q2", difficulty=6.0, tags=()),
        replace(first, id="q9", difficulty=7.0, certified=False, certificate=None, tags=()),
    ]
    Storage(str(folder)).write("questions/part-00000.parquet", parquet_bytes(to_table(made, Question)))
    return OpenRun("shelf", folder)


def found(run: OpenRun, **wanted: str) -> str:
    """Ids that a selection chooses."""
    table = run.told()
    places = choose_questions(table, QuestionSelection(**wanted), run.marks.read(), run.rows.read())
    return " ".join(table["id"].take(pa.array(places)).to_pylist())


def test_questions_stand_beside_what_their_rollouts_came_to(run: OpenRun) -> None:
    lines = {line["id"]: line for line in run.told().to_pylist()}
    assert {own: (line["rollouts"], line["right"], line["kept"]) for own, line in lines.items()} == {
        "q1": (2, 2, 1), "q2": (1, 0, 0), "q3": (1, 0, 0), "q4": (1, 0, 0), "q5": (1, 1, 0), "q9": (0, 0, 0),
    }  # fmt: skip
    assert {own: line["kind"] for own, line in lines.items()} == {
        "q1": "Drug", "q2": "number", "q9": "text", "q3": "text", "q4": "text", "q5": "text",
    }  # fmt: skip
    assert lines["q3"]["question"] == "Which gene?" and lines["q3"]["difficulty"] is None and lines["q1"]["world"] == "open"


def test_every_condition_chooses(run: OpenRun) -> None:
    assert found(run) == "q1 q2 q3 q4 q5 q9" and found(run, kind="number") == "q2" and found(run, paradigm="count") == "q2"
    assert found(run, difficulty="easy") == "q1" and found(run, difficulty="hard") == "q9" and found(run, hops="1") == "q2 q3"
    assert found(run, solved="always") == "q1 q5" and found(run, solved="never") == "q2 q3 q4" and found(run, solved="untried") == "q9"
    assert found(run, rows="some") == "q1" and found(run, rows="none", text="q3") == "q3" and found(run, tag="specialty:cardiology") == "q1"
    assert found(run, text="WHICH GENE?", solved="never") == "q3 q4"
    table = run.told()
    order = in_order(table, choose_questions(table, QuestionSelection(), {}, run.rows.read()), "difficulty", descending=True)
    assert table["id"].take(pa.array(order)).to_pylist()[:3] == ["q9", "q2", "q1"]
    for name, counts in options(table).items():
        assert all(len(found(run, **{name: value}).split()) == count for value, count in counts.items()), name


def test_rules_tag_what_meets_them_and_leave_the_shards_alone(run: OpenRun) -> None:
    before = {file: file.read_bytes() for file in run.path.rglob("*.parquet")}
    run.tags.add(TagRule(tag="set:first", adds=True, where={"solved": "always"}))
    run.tags.add(TagRule(tag="set:second", adds=True, where={"tag": "set:first", "rows": "some"}))
    run.tags.add(TagRule(tag="set:first", adds=False, where={"text": "q5"}))
    assert found(run, tag="set:first") == "q1" and found(run, tag="set:second") == "q1"
    run.tags.add(TagRule(tag="by:model", adds=True, ids=("q9", "gone"), by="tiny"))
    assert found(run, tag="by:model") == "q9"
    run.tags.add(TagRule(tag="specialty:cardiology", adds=False))
    assert found(run, tag="specialty:cardiology") == ""
    assert before == {file: file.read_bytes() for file in run.path.rglob("*.parquet")}
    again = OpenRun("again", run.path)
    assert found(again, tag="set:second") == "q1"
    rows = again.rows_told()
    assert [own for own, tags in zip(rows["id"].to_pylist(), rows["tags"].to_pylist(), strict=True) if "set:second" in tags] == ["a1", "a2"]


@pytest.mark.parametrize("tag", ["", " ", "split:test", "reward:1", "a\nb", "x" * 61, "<b>"])
def test_what_is_no_tag_is_refused(run: OpenRun, tag: str) -> None:
    with pytest.raises(InputError, match="tag"):
        run.tags.add(TagRule(tag=tag, adds=True))
    assert not run.storage.exists(FILE)


def test_figures_add_up(run: OpenRun) -> None:
    told = {figure.name: figure for figure in figures(run.told(), run.rows.read())}
    assert told["hops"].counts == options(run.told())["hops"] and told["solved"].counts == {"always": 2, "never": 3, "untried": 1}
    assert told["tools"].counts == {"graph": 1, "search": 4, "visit": 4} and told["tokens"].counts == {"100": 1}
    for name in ("paradigm", "hops", "kind", "solved", "words"):
        assert sum(told[name].counts.values()) == told[name].of == 6


@given(st.lists(st.integers(0, 10**6) | st.integers(0, 20), min_size=1, max_size=40) | st.lists(st.floats(0, 100), min_size=1, max_size=40))
def test_bins_hold_every_value_once(values: list[int] | list[float]) -> None:
    counts = _bins(pa.chunked_array([values]))
    assert sum(counts.values()) == len(values) and len(counts) <= 2 * BINS + 2


def test_two_sets_have_in_common_what_they_share(run: OpenRun) -> None:
    table = run.told()
    same = in_common(table, table)
    assert (same.same_questions, same.near_duplicates, same.same_answers) == (6, 0, same.answers)
    other = table.filter(pa.compute.equal(table["id"], "q2"))
    assert in_common(other, table).same_questions == 1
    text = "which of the many drugs that are used to treat the disease also inhibits the KIT receptor"
    near = pa.table({"id": ["n1", "n2"], "question": [text, f"{text} today"], "answer": ["a", "b"]})
    assert in_common(table, near).near_duplicates == 0 and in_common(near.slice(0, 1), near).near_duplicates == 1
    alike = doubles([text, f"{text} today", "another question altogether"])
    assert alike and alike.questions == 1 and alike.pairs[0][:2] == (0, 1)


def test_parts_and_benchmarks_that_share_something(run: OpenRun, tmp_path: Path) -> None:
    first = replace(run.questions.pick(["q1"])[0], tags=("split:train",))
    second = replace(first, tags=("split:test",))
    shared = shared_between([first, replace(second, id="other")])
    assert len(shared) == 1 and shared[0].counts["answer"] == 1 and shared[0].counts["fact"] >= 1 and shared[0].questions == 1
    assert shared_between([first, first]) == [] and shared_between(run.questions.pick(["q1", "q2"])) == []
    benchmark = tmp_path / "benchmark.jsonl"
    benchmark.write_text(f'{{"question": "Whatever?", "answer": "{first.answer}"}}\n')
    assert [row.input_id for row in contaminated(run.questions.pick(["q1", "q2"]), benchmark)] == ["q1"]
    benchmark.write_text("nonsense")
    with pytest.raises(InputError):
        contaminated([first], benchmark)
