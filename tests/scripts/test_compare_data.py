"""Data sets side by side: what is read, and a judge of pairs over loopback that is resumed, replayed, and never taken for a tie."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from agents.curate.export import sft_row
from agents.records import TrainingRow
from engine.ledger import Ledger, parquet_bytes
from engine.llm.simulator import SimulatorConfig
from engine.records import Rejection, to_table
from engine.stage import Outcomes
from engine.storage import Storage
from samplers.records import Question
from scripts import compare
from scripts.score.dataset import read_dataset
from tests.conftest import ROOT
from tests.scripts.test_compare import evaluation
from tests.scripts.test_synthesize import simulator
from tests.serve.test_pairwise import asked, row_of

CLOSED = "http://127.0.0.1:9/v1"
SIZE = 12


def exported(path: Path, rows: list[TrainingRow]) -> Path:
    path.write_text("".join(json.dumps(sft_row(row, {})) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same questions twice, by a terse and by a wordy agent; of every third question both are as wordy."""
    folder = tmp_path_factory.mktemp("data")
    questions = [asked(number) for number in range(SIZE)]
    wordy = " ".join(f"because{number}" for number in range(30))
    mine = exported(folder / "terse.jsonl", [row_of(each, wordy if place % 3 == 0 else "Yes.") for place, each in enumerate(questions)])
    theirs = exported(folder / "wordy.jsonl", [row_of(each, f"{wordy} {place}") for place, each in enumerate(questions)])
    return mine, theirs


def judged(files: tuple[Path, Path], folder: Path, url: str, *overrides: str) -> dict[str, Any]:
    words = ["judge=llm", f"llm.base_url={url}", "llm.model=simulator", f"run.dir={folder}", "pipeline.object_store_mb=100"]
    assert compare.main([*map(str, files), *words, *overrides]) == 0
    told: dict[str, Any] = json.loads((folder / "compare.json").read_text())
    return told


@pytest.fixture(scope="module")
def compared(ray_local: None, files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison that nothing disturbed."""
    folder = tmp_path_factory.mktemp("compared") / "run"
    with simulator() as (url, _):
        judged(files, folder, url)
    return folder


def test_a_judge_is_asked_in_both_orders_and_the_place_it_favours_is_found(compared: Path) -> None:
    told = json.loads((compared / "compare.json").read_text())
    found, page = told["preference"], (compared / "compare.html").read_text()
    assert found["outcomes"] == {
        "first": 0, "second": 8, "equal": 0, "always_a": 4, "always_b": 0, "wavered": 0, "unreadable": 0, "failed": 0,
    }  # fmt: skip
    assert (found["pairs"], found["decided"], found["win_rate"]["value"], found["p_value"]) == (12, 8, 1.0, 0.007812)
    assert found["judge"].startswith("simulator@fp_sim") and found["failed_calls"] == {} and len(found["prompt"]) == 64
    assert told["sets"][1]["name"] == "wordy.jsonl" and told["in_common"]["wordy.jsonl"]["same_questions"] == SIZE
    documented = (ROOT / "docs" / "evaluation.md").read_text()
    keys = {*told, *found, *found["outcomes"], *told["in_common"]["wordy.jsonl"]} - {"preference"}
    assert sorted(key for key in keys if f"`{key}`" not in documented) == []
    for needed in ("wordy.jsonl is preferred to terse.jsonl in 100.0 %", "4 times what was shown first", "As the judge", "<article>"):
        assert needed.casefold() in page.casefold()
    assert (
        page.index("<b>wordy.jsonl is better</b>") < page.index("<b>what was shown first, both times</b>")
        and page.count("<article>") == SIZE
    )
    assert json.loads((compared / "manifest.json").read_text())["counts"]["attempts"] == 2 * SIZE and "<script" not in page


def test_calls_that_fail_are_no_ties_and_the_next_run_makes_up_for_them(
    compared: Path, files: tuple[Path, Path], tmp_path: Path, ray_local: None
) -> None:
    folder = tmp_path / "run"
    with simulator(SimulatorConfig(malformed=0.4)) as (url, _):
        found = judged(files, folder, url, "pairs=8")["preference"]
    outcomes = found["outcomes"]
    assert outcomes["failed"] > 0 and outcomes["equal"] == 0 and sum(outcomes.values()) == 8
    assert set(found["failed_calls"]) == {"model_malformed_reply"} and "pairs failed" in (folder / "compare.html").read_text()
    with simulator() as (url, played):
        judged(files, folder, url)  # what failed, and the pairs that are new
        assert 2 * SIZE - 16 < played.traffic.calls < 2 * SIZE  # what was answered is not asked again
    assert (folder / "compare.json").read_bytes() == (compared / "compare.json").read_bytes()


def test_a_replay_asks_nobody_and_says_the_same(compared: Path, files: tuple[Path, Path], tmp_path: Path, ray_local: None) -> None:
    folder = tmp_path / "run"
    shutil.copytree(compared, folder)
    for name in ("ledger", "preferences", "compare.json", "compare.html", "manifest.json"):
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
    judged(files, folder, CLOSED, "tape=replay")
    assert (folder / "compare.json").read_bytes() == (compared / "compare.json").read_bytes()


def run_of(folder: Path, questions: list[Question], rows: list[TrainingRow], doubled: list[TrainingRow]) -> Path:
    storage = Storage(str(folder))
    storage.write("questions/part-00000.parquet", parquet_bytes(to_table(questions, Question)))
    Ledger(storage).commit("curate", "rows", TrainingRow, [Outcomes(row.id, (row,), (), ()) for row in rows])
    dropped = [Rejection.at_barrier(row, "deduplicate", "duplicate_trajectory", "") for row in doubled]
    storage.write("rejections/deduplicate.parquet", parquet_bytes(to_table(dropped, Rejection)))
    return folder


def test_runs_exports_and_files_of_questions_are_read_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions = [asked(number) for number in range(4)]
    rows = [row_of(each) for each in questions]
    run = run_of(tmp_path / "run", questions, rows, rows[:1])
    export = exported(tmp_path / "sft.jsonl", rows[1:])
    with export.open("a") as file:
        file.write('{"messages": "none"}\nno JSON\n')
    plain = tmp_path / "qa.jsonl"
    plain.write_text("".join(json.dumps({"question": each.text, "answer": each.answer}) + "\n" for each in questions[:2]))
    ours, theirs, bare = (read_dataset(str(path), path.name) for path in (run, export, plain))
    assert [row.id for row in ours.rows] == [row.id for row in theirs.rows] and len(ours.questions) == 4
    assert {row.question_id: row.hops for row in theirs.rows} == {row.id: row.hops for row in questions[1:]} and theirs.unread == 2
    assert (len(bare.questions), len(bare.rows)) == (2, 0)
    assert compare.main([str(run), str(export), str(plain), f"out={tmp_path / 'all.html'}"]) == 0
    told, numbers = capsys.readouterr().out, json.loads((tmp_path / "all.json").read_text())
    assert "lines that cannot be read" in told and numbers["preference"] is None
    assert [each["rows"] for each in numbers["sets"]] == [3, 3, 0] and numbers["in_common"]["qa.jsonl"]["same_questions"] == 2
    assert compare.main([str(run), str(export)]) == 0 and (tmp_path / "compare.html").exists()  # beside the last


def test_what_cannot_be_compared_is_said_before_anybody_is_asked(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both, broken, empty = [*map(str, files)], tmp_path / "broken.jsonl", tmp_path / "empty"
    broken.write_text("not JSON\n")
    empty.mkdir()
    other = exported(tmp_path / "other.jsonl", [row_of(dataclasses.replace(asked(90, hops=9), answer="x"))])
    evaluated = [str(evaluation(tmp_path / name, 3)) for name in ("one", "two")]
    for arguments, told in (
        (both[:1], "is one alone"),
        ([both[0], str(broken)], "cannot be read as JSON lines"),
        ([both[0], str(empty)], "holds no questions and no training rows"),
        ([both[0], str(tmp_path / "nowhere.jsonl")], "no such file"),
        ([both[0], evaluated[0]], "holds no evaluation that has ended, and others do"),
        ([*evaluated, "judge=llm"], "compares data sets, and these are evaluations"),
        ([*both, str(other), "judge=llm"], "compares two data sets"),
        ([*both, "llm=local"], "is a key of the judge"),
        ([*both, "judge=llm"], "no model endpoint is set"),
        ([*both, "judge=llm", "llm=local", f"llm.base_url={CLOSED}", "llm.default.connect_timeout_s=1"], "does not answer"),
        ([*both, "judge=llm", "llm.modle=x"], "did you mean"),
        ([both[0], str(other), "judge=llm", "llm=local"], "have neither a question nor a kind of question in common"),
    ):
        assert compare.main(arguments) == 2
        assert told in capsys.readouterr().err
    with simulator() as (url, _):
        votes = ["judge=llm", "llm=local", f"llm.base_url={url}", "llm.model=simulator", "curate.judge_votes=3"]
        assert compare.main([*both, *votes, f"run.dir={tmp_path / 'run'}"]) == 2
    assert "asked once in each order" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_one_id_with_other_words_is_no_shared_question(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A question's id is made from its seed: other settings make another question of it, which must not be paired."""
    questions = [asked(number) for number in range(3)]
    changed = [questions[0], dataclasses.replace(questions[1], text="Something else?"), questions[2]]
    runs = [evaluation(tmp_path / "one", 1, questions), evaluation(tmp_path / "two", 1, changed)]
    assert compare.main([*map(str, runs)]) == 2
    assert "1 questions that have the id and not the words" in capsys.readouterr().err
