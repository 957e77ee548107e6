"""Decontamination: what a benchmark asks or is answered by leaves the set, and says which row it met."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from samplers.config import GatesConfig
from samplers.questions.benchmarks import BenchmarkRow, Benchmarks
from samplers.questions.contamination import decontaminate
from samplers.questions.gates import pass_gates
from samplers.questions.likeness import drop_alike, near_duplicates
from samplers.records import Question, QuestionCause
from tests.samplers.gates_world import question

LONG = "Which river that rises in the hills above the old mill town flows past seven bridges before it reaches the northern sea"
WORDS = LONG.split()


def met(rows: Sequence[Question], benchmark: Sequence[BenchmarkRow], **config: object) -> dict[str, str]:
    kept, rejected = decontaminate(rows, benchmark, GatesConfig(**config))
    assert sorted([row.id for row in kept] + [row.input_id for row in rejected]) == sorted(row.id for row in rows)
    assert {row.cause for row in rejected} <= {QuestionCause.CONTAMINATED}
    assert all(row.stage == "decontaminate" and row.trace_id == f"trace {row.input_id}" for row in rejected)
    return {row.input_id: row.detail for row in rejected}


@pytest.mark.parametrize(("shared", "contaminated"), [(12, False), (13, True), (14, True)])
def test_thirteen_words_in_a_row_are_too_many(shared: int, contaminated: bool) -> None:
    own = question("q", " ".join([*(f"word{n}" for n in range(9)), *WORDS[3 : 3 + shared], "tail", "end"]))
    found = met([own, question("clean")], [BenchmarkRow("b.jsonl, row 7", LONG, ())])
    assert list(found) == (["q"] if contaminated else [])
    assert not found or ("b.jsonl, row 7" in found["q"] and " ".join(WORDS[3:16]).casefold() in found["q"])


def test_case_and_marks_do_not_hide_it_and_short_questions_count_as_a_whole() -> None:
    short = "Who wrote the third of the nine letters?"
    rows = [question("a", "Tell me: WHO WROTE — the third of the nine letters; and when?"), question("b", "Who wrote it?"), question("c")]
    benchmark = [
        BenchmarkRow("s, row 1", short, ()),
        BenchmarkRow("s, row 2", "Who wrote it?", ()),
        BenchmarkRow("s, row 3", "And when?", ()),
    ]
    assert sorted(met(rows, benchmark)) == ["a", "b"]  # "And when?" is too short to count inside another question


def test_an_answer_is_met_by_any_of_its_names_unless_it_is_switched_off() -> None:
    rows = [question("a", answer="imatinib", aliases=("Gleevec",), named=("gist",)), question("b", answer="7")]
    benchmark = [BenchmarkRow("s, row 1", "Which drug?", ("gleevec",))]
    assert met(rows, benchmark) == {"a": "its answer 'gleevec' is asked for by s, row 1"}
    assert met(rows, benchmark, answers="off") == {}
    assert met(rows, benchmark, answers="beside_entity") == {}
    beside = [BenchmarkRow("s, row 2", "What treats a GIST?", ("Imatinib",))]
    assert "also speaks of 'gist'" in met(rows, beside, answers="beside_entity")["a"]


@given(st.lists(st.sampled_from("abcdefg"), min_size=0, max_size=30), st.integers(0, 30), st.integers(5, 13))
def test_the_index_agrees_with_looking_for_every_run(words: list[str], cut: int, ngram: int) -> None:
    theirs = [f"w{n}" for n in range(40)]
    ours = [*words, *theirs[cut : cut + 9], *words]
    runs = {" ".join(ours[start : start + ngram]) for start in range(len(ours) - ngram + 1)}
    expected = any(" ".join(theirs[start : start + ngram]) in runs for start in range(len(theirs) - ngram + 1))
    assert bool(met([question("q", " ".join(ours))], [BenchmarkRow("s", " ".join(theirs), ())], ngram=ngram)) == expected


def test_every_format_and_naming_is_read(tmp_path: Path) -> None:
    rows = [
        {"question": LONG, "answer": "the Tyne"},
        {"query": "And which sea is that again, said the man?", "answers": ["North Sea", "the sea"]},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (tmp_path / "b.json").write_text(json.dumps({"version": 2, "data": rows}))
    (tmp_path / "c.csv").write_text('problem,gold\n"Which, then?",x\n')
    (tmp_path / "d.tsv").write_text("id\tquestion\tanswer\n1\tWhich?\ty\n")
    (tmp_path / "deep").mkdir()
    pq.write_table(pa.table({"question": [LONG], "answers": [{"text": ["the Tyne"]}], "weight": [1.0]}), tmp_path / "deep" / "e.parquet")
    (tmp_path / "f.jsonl").write_text('{"graph": []}\n')
    (tmp_path / "notes.md").write_text("# not a benchmark")
    found = Benchmarks(tmp_path)
    read = list(found.rows())
    assert [row.place for row in read] == [
        *("a.jsonl, row 1", "a.jsonl, row 2", "b.json, row 1", "b.json, row 2"),
        *("c.csv, row 1", "d.tsv, row 1", "deep/e.parquet, row 1"),
    ]
    assert read[1].answers == ("North Sea", "the sea") and read[4].answers == ("x",) and read[6].answers == ("the Tyne",)
    assert found.unread == ["f.jsonl"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.jsonl", '{"question": "x"}\noops', "is not JSON"),
        ("a.jsonl", "[1]", "no JSON object"),
        ("a.json", "{", "is not JSON"),
        pytest.param("a.jsonl", "[" * 100_000, "cannot be read", id="deep"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=problem):
        list(Benchmarks(tmp_path).rows())


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Benchmarks(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no benchmark file"):
        Benchmarks(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"text": "no question"}')
    with pytest.raises(InputError, match="no row of any file"):
        list(Benchmarks(tmp_path).rows())


def test_the_shared_benchmarks_meet_what_is_taken_from_them(shared_data: Path) -> None:
    folder = shared_data / "qa"
    taken = [row for row in Benchmarks(folder).rows() if len(row.question.split()) > 8][::10]
    rows = [question(f"q{number:03}", f"Please say: {row.question}") for number, row in enumerate(taken)]
    rows += [question(f"r{number:03}", f"Own words {number}", answer=row.answers[0]) for number, row in enumerate(taken)]
    found = met([*rows, question("own", "Which protein is inhibited by imatinib?")], list(Benchmarks(folder).rows()))
    assert len(taken) > 8 and set(found) == {row.id for row in rows}
    assert all(row.place.split(",")[0] in found[f"q{number:03}"] for number, row in enumerate(taken))


def test_alike_is_exact_and_one_of_each_stays() -> None:
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=40)) for _ in range(60)]
    twins = [f"{text} indeed" for text in texts[:7]]
    pairs = near_duplicates([*texts, *twins])
    assert [(pair.first, pair.second) for pair in pairs] == [(place, 60 + place) for place in range(7)]
    assert all(0.9 < pair.similarity < 1 for pair in pairs)
    rows = [question(f"q{place:02}", text) for place, text in enumerate([*texts, *twins])]
    kept, rejected = drop_alike(rows, 0.8)
    assert [row.input_id for row in rejected] == [f"q{place}" for place in range(60, 67)] and len(kept) == 60
    assert all(row.cause == QuestionCause.NEAR_DUPLICATE and f"question q{place:02}" in row.detail for place, row in enumerate(rejected))
    assert drop_alike(rows, 1.0) == (rows, [])


def test_what_is_like_a_dropped_question_only_stays() -> None:
    words = [f"w{n}" for n in range(60)]
    chain = [" ".join(words[start : start + 44]) for start in (0, 4, 8)]  # each like the next, the ends not like each other
    kept, rejected = drop_alike([question(f"q{place}", text) for place, text in enumerate(chain)], 0.75)
    assert [row.id for row in kept] == ["q0", "q2"] and [row.input_id for row in rejected] == ["q1"]


def test_all_gates_together_account_for_every_row(shared_data: Path, tmp_path: Path) -> None:
    from samplers.config import QuestionConfig

    (tmp_path / "b.jsonl").write_text(json.dumps({"question": LONG, "answer": "nothing of ours"}))
    rows = [question(f"q{n}", f"number {n} of the questions that stand in this set", hidden=(f"e{n // 3}",)) for n in range(40)]
    rows += [question("dirty", LONG), question("twin", rows[0].text)]
    gates = GatesConfig(benchmarks=str(tmp_path), valid=0.1, test=0.1)
    kept, dropped = pass_gates(rows, QuestionConfig(), gates)
    assert sorted([row.id for row in kept] + [row.input_id for row in dropped]) == sorted(row.id for row in rows)
    assert {row.input_id: row.cause for row in dropped if row.input_id in ("dirty", "twin")} == {
        "dirty": QuestionCause.CONTAMINATED,
        "twin": QuestionCause.DUPLICATE,
    }
    assert pass_gates(rows[::-1], QuestionConfig(), gates) == (kept, dropped)
