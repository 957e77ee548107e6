"""Every benchmark, in made-up rows of the encoding it is published in: read back, and the gold answer scores 1.0."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import io
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.curate.verdict import Verdict
from engine.errors import ConfigError, InputError
from engine.records import from_table, to_table
from samplers.records import Question
from serve.evals.benchmarks.benchmark import Gold, LeftOut, Loaded, cluster_of, digest, question
from serve.evals.benchmarks.ciphers import hashed, unshift, unxor
from serve.evals.benchmarks.gaia import is_same
from serve.evals.benchmarks.multihop import overlap
from serve.evals.benchmarks.registry import BENCHMARKS, find_benchmark

CANARY = "MADE-UP CANARY for tests 5f0c"


def shifted(text: str, by: int = 3) -> str:
    return base64.b64encode("".join(chr(ord(character) + by) for character in text).encode()).decode()


def xored(text: str, key: bytes) -> str:
    return base64.b64encode(bytes(one ^ other for one, other in zip(text.encode(), itertools.cycle(key), strict=False))).decode()


def sha(canary: str) -> bytes:
    return hashlib.sha256(canary.encode()).digest()


def table(path: Path, rows: list[dict[str, str]]) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def trial(number: str, ingredient: str) -> list[dict[str, str]]:
    """The five tasks of one made-up trial, as they are published before they are hidden."""
    asked = {
        "Ingredient": ingredient.upper(), "Applicant_Full_Name": "ACME PHARMA", "Patent_Expire_Date_Text_prompt": "Aug 13, 2027",
        "Exclusivity_Date": "Nov 17, 2026", "Open_on_Approval": "15.959999",
    }  # fmt: skip
    return [
        {"prompt": f'"For clinical trial NCT{number}, think of {ingredient}.\\nReturn {task}."', "gold": gold, "Some_name_prompt": task}
        for task, gold in asked.items()
    ]


def medbrowsecomp_of(folder: Path, ingredients: list[str], hide: bool = True) -> Path:
    """A trial per ingredient."""
    rows = [row for number, name in enumerate(ingredients, 1) for row in trial(f"{number:08d}", name)]
    return table(folder / "med.csv", [{shifted(key): shifted(text) for key, text in row.items()} for row in rows] if hide else rows)


def medbrowsecomp(folder: Path, hide: bool = True) -> Path:
    return medbrowsecomp_of(folder, ["Alphamab", "Betanib", "Alphamab"], hide)


def browsecomp(folder: Path) -> Path:
    row = {
        "problem": xored("Who, of all?", sha(CANARY)),
        "answer": xored("Nobody, ünd nïx", sha(CANARY)),
        "problem_topic": "Art",
        "canary": CANARY,
    }
    return table(folder / "browse.csv", [row, {**row, "answer": xored("Somebody", sha(CANARY))}])


def xbench(folder: Path) -> Path:
    keys = ["key one", "钥匙"]
    rows = [
        {"id": str(number), "prompt": xored("答案是什么？", key.encode()), "answer": xored("42", key.encode()),
         "reference_steps": xored("…", key.encode()), "canary": key}
        for number, key in enumerate(keys)
    ]  # fmt: skip
    return table(folder / "xbench.csv", rows)


def gaia(folder: Path) -> Path:
    row = {"task_id": "t1", "Question": "How many?", "Level": 1, "Final answer": "17", "file_name": "", "Annotator Metadata": {}}
    rows = [row, {**row, "task_id": "t2", "Final answer": "a b, 3"}, {**row, "task_id": "t3", "file_name": "x.png"}]
    return lines(folder / "metadata.jsonl", [*rows, {**row, "task_id": "t4", "Final answer": "St. Mary's", "Level": "2"}])


def hotpot(folder: Path) -> Path:
    rows = [{"_id": "h1", "question": "Which team?", "answer": "The Red Sox", "type": "bridge", "level": "hard", "supporting_facts": []}]
    (folder / "hotpot.json").write_text(json.dumps(rows))
    return folder / "hotpot.json"


def musique(folder: Path) -> Path:
    row = {
        "id": "3hop1__1_2_3",
        "question": "Who?",
        "answer": "Ann",
        "answer_aliases": ["Anna"],
        "answerable": True,
        "question_decomposition": [],
    }
    return lines(folder / "musique.jsonl", [row, {**row, "id": "2hop__4_5", "answerable": False}])


def medqa(folder: Path) -> Path:
    options = {"A": "Aspirin", "B": "C. difficile", "C": "Warfarin"}
    rows = [{"question": "Which?", "options": options, "answer": "Warfarin", "answer_idx": "C", "meta_info": "step1"}]
    rows += [{"question": "And?", "options": options, "answer": "Aspirin"}]
    return lines(folder / "medqa.jsonl", rows)


def mmlu(folder: Path) -> Path:
    rows = [{"question": "Which?", "choices": ["one", "two"], "answer": 1, "subject": "anatomy"}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "mmlu.parquet")
    return folder / "mmlu.parquet"


def medmcqa(folder: Path) -> Path:
    row = {"id": "m1", "question": "Which?", "opa": "one", "opb": "two", "opc": "three", "opd": "four", "cop": 3, "subject_name": "Surgery"}
    return lines(folder / "medmcqa.jsonl", [row])


def plain(folder: Path) -> Path:
    rows = [{"question": "Q?", "answer": "A", "aliases": ["Ay"], "cluster": "c1", "hops": 3, "specialty": "oncology", "tags": ["part:x"]}]
    return lines(folder / "plain.jsonl", [*rows, {"question": "P?", "answer": 7}])


FILES = {
    "medbrowsecomp": medbrowsecomp, "browsecomp": browsecomp, "xbench": xbench, "gaia": gaia, "multihop": hotpot,
    "multiple_choice": medqa, "plain": plain,
}  # fmt: skip


def load(path: Path, name: str = "auto") -> Loaded:
    return find_benchmark(name, path).load(path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_recognised_and_its_gold_answers_are_right_and_nothing_else_is(name: str, tmp_path: Path) -> None:
    path = FILES[name](tmp_path)
    benchmark = find_benchmark("auto", path)
    assert benchmark.name == name and benchmark.manifest.title and benchmark.manifest.licence
    for row in benchmark.load(path).questions:
        gold = Gold.of(row)
        right, wrong = benchmark.score(row.answer, gold), benchmark.score("something else entirely", gold)
        assert right is not None and right.verdict is Verdict.RIGHT
        assert wrong is None or wrong.verdict is Verdict.WRONG
        assert benchmark.f1 is None or (benchmark.f1(row.answer, gold), benchmark.f1("zzz", gold)) == (1.0, 0.0)
        assert benchmark.hint in row.text and not row.certified
    assert load(path, name).questions == benchmark.load(path).questions


@given(st.text(st.characters(blacklist_categories=["Cc", "Cs", "Cn", "Co"], max_codepoint=0x10000), min_size=1), st.text(min_size=1))
def test_ciphers_give_back_what_was_hidden(text: str, key: str) -> None:
    if text.strip() and all(not 0xD800 <= ord(character) + 3 <= 0xDFFF for character in text):
        assert unshift(shifted(text), 3) == text
    if text.strip():
        assert unxor(xored(text, sha(CANARY)), hashed(CANARY)) == text
        assert unxor(xored(text, key.encode(errors="replace")), key.encode(errors="replace")) == text


def test_what_decrypts_to_control_characters_was_not_decrypted() -> None:
    for cell, key in ((xored("abcd", b"a"), b"\x01"), (xored("    ", b"k"), b"k"), (xored("abc", b"k"), b"")):
        with pytest.raises(ValueError, match=r"no text|is empty"):
            unxor(cell, key)


def test_medbrowsecomp_is_clustered_by_ingredient_and_counts_its_hops(tmp_path: Path) -> None:
    rows = load(medbrowsecomp(tmp_path)).questions
    clusters = [cluster_of(row.tags, row.id) for row in rows]
    assert clusters == ["ingredient alphamab"] * 5 + ["ingredient betanib"] * 5 + ["ingredient alphamab"] * 5
    assert [row.hops for row in rows] == [1, 2, 3, 4, 5] * 3 and len({row.id for row in rows}) == 15
    assert rows[0].text == "For clinical trial NCT00000001, think of Alphamab.\nReturn Ingredient."
    assert load(medbrowsecomp(tmp_path, hide=False)).questions == rows  # decoded by the user


def test_medbrowsecomp_reads_dates_and_prices_and_leaves_names_to_a_judge(tmp_path: Path) -> None:
    benchmark, rows = BENCHMARKS["medbrowsecomp"], load(medbrowsecomp(tmp_path)).questions

    def verdict(task: int, said: str) -> str:
        found = benchmark.score(said, Gold.of(rows[task]))
        return "open" if found is None else found.verdict.value

    assert verdict(0, "INGREDIENT: alphamab") == "right" and verdict(0, "Alphamab-xyzz") == "open"
    assert verdict(2, "date: 2027") == "right" and verdict(2, "2026 or 2027") == "wrong" and verdict(2, "Aug 2027") == "right"
    assert verdict(3, "date: 11-17-2026") == "right" and verdict(3, "2026") == "wrong" and verdict(3, "17 November 2026") == "right"
    assert verdict(4, "$15.96") == "right" and verdict(4, "16.96") == "wrong" and verdict(4, "NOT LISTED") == "wrong"


def test_gaia_scores_numbers_lists_and_texts_by_its_own_rule() -> None:
    assert is_same("$1,234%", "1234") and is_same("17.0", "17") and not is_same("seventeen", "17")
    assert is_same("a  b ,3.0", "a b, 3") and not is_same("3, a b", "a b, 3") and not is_same("a b", "a b, 3")
    assert is_same("st marys", "St. Mary's") and not is_same("St. Mary", "St. Mary's")
    assert is_same("nan", "NaN") and not is_same("x.y, z", "xy, z")  # items keep their punctuation


def test_gaia_leaves_out_questions_with_a_file_and_refuses_the_test_split(tmp_path: Path) -> None:
    found = load(gaia(tmp_path))
    assert len(found.questions) == 3 and [row.cause for row in found.left_out] == [LeftOut.NEEDS_FILE]
    assert [row.tags for row in found.questions] == [("level:1",), ("level:1",), ("level:2",)]
    with pytest.raises(InputError, match="answers are kept secret"):
        load(lines(tmp_path / "test.jsonl", [{"Question": "How?", "Final answer": "?", "file_name": ""}]))
    with pytest.raises(InputError, match="all 1 rows are left out"):
        load(lines(tmp_path / "files.jsonl", [{"Question": "How?", "Final answer": "1", "file_name": "x.png"}]))


def test_f1_counts_shared_words_and_yes_and_no_whole() -> None:
    assert overlap("the Boston Red Sox", "Red Sox") == pytest.approx(0.8) and overlap("The Red Sox!", "red sox") == 1.0
    assert overlap("yes it is", "yes") == 0.0 == overlap("no", "yes") and overlap("yes", "Yes.") == 1.0 and overlap("x", "y") == 0.0


def test_multihop_takes_hops_and_aliases_from_the_row(tmp_path: Path, shared_data: Path) -> None:
    found = load(musique(tmp_path))
    assert [(row.hops, row.answer_aliases) for row in found.questions] == [(3, ("Anna",))]
    assert [row.cause for row in found.left_out] == [LeftOut.UNANSWERABLE]
    assert load(hotpot(tmp_path)).questions[0].tags == ("type:bridge", "level:hard")
    real = load(shared_data / "qa" / "hotpot_2wiki_musique_3x30.jsonl")
    benchmark = BENCHMARKS["multihop"]
    assert len(real.questions) == 90
    assert all((found := benchmark.score(row.answer, Gold.of(row))) and found.verdict is Verdict.RIGHT for row in real.questions)


@pytest.mark.parametrize(
    ("said", "expected"),
    [("C", "right"), ("(c)", "right"), ("**C**", "right"), ("C. Warfarin", "right"), ("Answer: C", "right"), ("warfarin", "right"),
     ("A", "wrong"), ("B. Warfarin", "wrong"), ("Aspirin", "wrong"), ("C. difficile", "open"), ("Cwarfarin", "wrong"), ("I-131", "wrong")],
)  # fmt: skip
def test_an_option_is_named_by_letter_or_words(said: str, expected: str, tmp_path: Path) -> None:
    row = load(medqa(tmp_path)).questions[0]
    found = BENCHMARKS["multiple_choice"].score(said, Gold.of(row))
    assert (found.verdict.value if found else "open") == expected


def test_options_come_in_several_forms(tmp_path: Path) -> None:
    forms = [load(each(tmp_path)).questions for each in (medqa, mmlu, medmcqa)]
    assert [[row.answer for row in rows] for rows in forms] == [["C", "A"], ["B"], ["D"]]
    assert forms[1][0].text.startswith("Which?\n\nA. one\nB. two\n") and forms[1][0].tags == ("specialty:anatomy",)
    as_objects = {"question": "Q?", "options": [{"key": "A", "value": "x"}, {"key": "B", "value": "y"}], "answer_idx": "B"}
    assert load(lines(tmp_path / "o.jsonl", [as_objects])).questions[0].answer_aliases == ("y",)


def test_plain_rows_carry_clusters_and_numbers_and_repeats_count(tmp_path: Path) -> None:
    first, second = load(plain(tmp_path)).questions
    assert cluster_of(first.tags, first.id) == "c1" and cluster_of(second.tags, second.id) == second.id
    assert first.hops == 3 and "specialty:oncology" in first.tags and "part:x" in first.tags and second.answer == "7"
    twice = load(lines(tmp_path / "twice.jsonl", [{"question": "Q?", "answer": "A"}] * 2)).questions
    assert len({row.id for row in twice}) == 2


def own_questions() -> list[Question]:
    return [question("x", f"Q{number}?", f"A{number}") for number in range(3)]


def test_our_own_runs_are_read_and_split_ones_by_their_test_part(tmp_path: Path) -> None:
    rows = own_questions()
    (tmp_path / "questions").mkdir()
    (tmp_path / "config.yaml").write_text("run: {}\n")
    shard = tmp_path / "questions" / "part-00000.parquet"
    pq.write_table(to_table(rows, Question), shard)
    assert len(load(tmp_path).questions) == 3 == len(load(shard).questions) and find_benchmark("auto", tmp_path).name == "own"
    assert cluster_of(load(tmp_path).questions[0].tags, "") == load(tmp_path).questions[0].trace_id
    pq.write_table(to_table([dataclasses.replace(rows[0], tags=("split:test",)), *rows[1:]], Question), shard)
    found = load(tmp_path)
    assert [row.text for row in found.questions] == ["Q0?"] and {row.cause for row in found.left_out} == {LeftOut.IN_TRAINING}
    with pytest.raises(InputError, match="is no run directory"):
        load(tmp_path / "questions")


def test_an_rl_export_is_read(tmp_path: Path) -> None:
    row = {
        "prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q?"}],
        "reward_model": {"style": "rule", "ground_truth": "A"},
        "extra_info": {"question_id": "q1", "trace_id": "s1", "answer_aliases": ["Ay"], "paradigm": "chain", "hops": 2, "certified": True},
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "rl.parquet")
    found = load(tmp_path / "rl.parquet").questions[0]
    assert (found.id, found.text, found.answer, found.hops, found.paradigm.value) == ("q1", "Q?", "A", 2, "chain")
    assert found.certified and cluster_of(found.tags, "") == "s1"
    other = BENCHMARKS["own"].score("B", Gold.of(found))
    assert other is not None and other.verdict is Verdict.WRONG  # every accepted name is known
    pq.write_table(pa.Table.from_pylist([{**row, "prompt": []}]), tmp_path / "bad.parquet")
    with pytest.raises(InputError, match="no user message"):
        load(tmp_path / "bad.parquet")


def test_wrong_keys_are_named_with_their_row(tmp_path: Path) -> None:
    good = {"problem": xored("Who?", sha(CANARY)), "answer": xored("Nobody at all", sha(CANARY)), "canary": CANARY}
    for name, bad in (
        ("canary", {**good, "canary": "another"}),
        ("cell", {**good, "answer": "not base64!"}),
        ("none", {**good, "canary": ""}),
    ):
        with pytest.raises(InputError, match=r"line 3: .*canary"):
            load(table(tmp_path / f"{name}.csv", [good, bad]))
    row = {"id": "1", "prompt": xored("问题", b"k"), "answer": xored("x", b"k"), "canary": "k2"}
    with pytest.raises(InputError, match="does not decrypt with the row's canary"):
        load(table(tmp_path / "x.csv", [row]))
    hidden = [{shifted(key, 5): shifted(text, 5) for key, text in each.items()} for each in trial("00000001", "Alphamab")]
    with pytest.raises(InputError, match="no columns prompt and gold"):
        load(table(tmp_path / "m.csv", hidden), "medbrowsecomp")
    half = [{shifted(key): shifted(text, 5 if key == "gold" else 3) for key, text in each.items()} for each in trial("00000001", "Zeta")]
    assert load(table(tmp_path / "h.csv", half)).questions[0].answer != "ZETA"  # a wrong shift of letters is text too: nobody can tell


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", '{"question": "Q?"}', "no column 'answer'"),
        ("b.jsonl", '{"question": "Q?", "answer": ""}', "line 1: has no text in answer"),
        ("c.jsonl", '{"question": "Q?", "answer": "A"}\n{broken', "line 2: is not JSON"),
        ("d.jsonl", '{"question": "Q?", "answer": "A", "aliases": "x"}', "no list of texts"),
        ("e.jsonl", '{"question": "Q?", "answer": "A", "hops": "many"}', "hops is no count"),
        ("f.jsonl", "", "of no known benchmark"),
        ("p.jsonl", "[" * 100_000, "cannot be read as JSON"),
        ("q.jsonl", '{"question": ' + "1" * 6000 + "}", "cannot be read as JSON"),
        ("r.jsonl", '{"question": "\\ud800", "answer": "A"}', "half a character"),
        ("g.csv", 'question,answer\n"Q, A?",A,extra\n', "line 2: has 3 cells, not 2"),
        ("h.parquet", "no parquet", "is no Parquet file"),
        ("i.txt", "x", "no file of a kind that is read"),
        ("j.jsonl", "[1]", "is no JSON object"),
        ("k.json", '{"data": [{"question": "Q?", "options": {"A": "x", "B": "y"}, "answer_idx": "E"}]}', "none of the options"),
        ("l.jsonl", '{"question": "Q?", "options": ["x"], "answer": 0}', "are no letters with texts"),
        ("m.jsonl", '{"question": "Q?", "options": ["x", "y"], "answer": -1}', "no place among 2 options"),
        ("n.csv", "prompt,gold,kind\nWhat is it?,A,Ingredient\n", "names no trial"),
        ("o.csv", "prompt,gold,kind\nWhat of NCT00000001?,A,Colour\n", "none of the five tasks"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(name: str, content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=told):
        load(tmp_path / name, "plain" if name[0] in "abcdeg" else "auto")


def test_unknown_names_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean browsecomp"):
        find_benchmark("browsecmp", tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("prüfung".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8"):
        load(tmp_path / "latin.csv")
    assert digest(plain(tmp_path)) == hashlib.sha256((tmp_path / "plain.jsonl").read_bytes()).hexdigest()


COLUMNS = (
    "question", "answer", "aliases", "id", "hops", "tags", "options", "cop", "opa", "supporting_facts", "set", "answerable", "prompt",
    "gold", "kind", "canary", "problem", "Question", "Final answer", "file_name", "reward_model", "extra_info",
)  # fmt: skip
SHAPES = (
    {"question": "Q?", "answer": "A"}, {"question": "Q?", "options": ["x", "y"], "answer": 0}, {"Question": "Q?", "Final answer": "A"},
    {"problem": "eA==", "answer": "eA==", "canary": "c"}, {"prompt": "What of NCT00000001?", "gold": "A", "kind": "Ingredient"},
    {"prompt": [{"role": "user", "content": "Q?"}], "reward_model": {"ground_truth": "x"}, "extra_info": {"hops": 2}},
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["A", "yes", "NCT00000001", "eA=="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["A", "text", "hops", "role"]), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(SHAPES), st.dictionaries(st.sampled_from(COLUMNS), VALUES, max_size=3), st.sampled_from(["auto", *BENCHMARKS]))
@example(SHAPES[5], {"extra_info": {"hops": "many"}}, "auto")
@example(SHAPES[5], {"prompt": True}, "own")
@example(SHAPES[0], {"hops": 10**30}, "plain")
def test_whatever_a_row_holds_it_is_read_or_named(shape: dict[str, Any], changes: dict[str, Any], name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = lines(Path(folder) / "rows.jsonl", [{**shape, **changes}])
        try:
            found = load(path, name).questions
        except InputError as error:
            assert str(path) in str(error) and "→" in str(error)
            return
    assert from_table(to_table(found, Question), Question) == found
