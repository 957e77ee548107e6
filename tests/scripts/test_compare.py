"""Two evaluations side by side: the paired test, the questions that flipped, and what keeps runs from being compared."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from agents.curate.verdict import Verdict
from agents.records import Message, StopReason, Trajectory, Usage
from engine.ledger import Ledger, parquet_bytes
from engine.records import from_table, to_table
from engine.stage import Outcomes
from engine.storage import Storage
from samplers.records import Question
from scripts import compare
from serve.evals.benchmarks.benchmark import question
from serve.evals.records import Graded
from tests.serve.test_score import graded

QUESTIONS = [question("x", f"Q{number}?", f"A{number}") for number in range(12)]


def evaluation(folder: Path, right: int, questions: list[Question] | None = None) -> Path:
    """The first so many questions answered right, the rest with a guess; what scripts.evaluate leaves, as far as a comparison reads it."""
    questions = QUESTIONS if questions is None else questions
    storage = Storage(str(folder))
    rows = [graded(row, 0, row.answer if number < right else "a <guess>") for number, row in enumerate(questions)]
    outcomes = [Outcomes(row.id, (_played(row, rows[number].given or ""),), (), ()) for number, row in enumerate(questions)]
    Ledger(storage).commit("rollout", "trajectories", Trajectory, outcomes)
    score = {
        "rollouts": 1,
        "model": {"fingerprint": f"model-{right}", "policy": "llm"},
        "dataset": {"benchmark": "plain"},
        "judge": {"style": "base"},
    }
    storage.write("score.json", json.dumps(score).encode())
    storage.write("questions/part-00000.parquet", parquet_bytes(to_table(questions, Question)))
    storage.write("rollouts.parquet", parquet_bytes(to_table(rows, Graded)))
    return folder


def _played(row: Question, said: str) -> Trajectory:
    messages = ("S", row.text, "I think <b>so</b>.", f"<answer>{said}</answer>")
    roles = ("system", "user", "assistant", "assistant")
    return Trajectory(
        id=f"t-{row.id}", trace_id=row.trace_id, question_id=row.id, question=row.text, answer=row.answer, answer_aliases=(),
        paradigm="imported", hops=0, certified=False, rollout=0, policy="llm", tools=(),
        messages=tuple(Message(role=role, content=text) for role, text in zip(roles, messages, strict=True)),
        stop_reason=StopReason.ANSWERED, final_answer=said, usage=Usage(),
    )  # fmt: skip


def test_two_runs_are_paired_and_what_flipped_is_shown_with_its_trajectories(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, trained = evaluation(tmp_path / "base", 1), evaluation(tmp_path / "trained", 9)
    assert compare.main([str(base), str(trained)]) == 0
    told, page = capsys.readouterr().out, (trained / compare.PAGE).read_text()
    assert "12 questions that all were asked" in told and "8 questions went better, 0 worse" in told
    assert "trained answers 66.7 points more questions right than base" in " ".join(told.split()) and "p = 0.0078" in " ".join(told.split())
    assert page.count("<article>") == 8 and "I think &lt;b&gt;so&lt;/b&gt;." in page and "a &lt;guess&gt;" in page and "model-9" in page
    assert compare.main([str(base), str(trained), "n=2", f"out={tmp_path / 'two.html'}"]) == 0
    assert (tmp_path / "two.html").read_text().count("<article>") == 2


def test_equal_runs_cannot_be_told_apart_and_three_are_compared_with_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(evaluation(tmp_path / name, 5)) for name in ("one", "two", "three")]
    assert compare.main(runs) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.count("cannot be told apart") == 2 and "two and one" in told and "three and one" in told


def test_what_is_not_shared_or_judged_alike_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, other = evaluation(tmp_path / "base", 3), evaluation(tmp_path / "other", 3, QUESTIONS[:10])
    score = json.loads((other / "score.json").read_text())
    (other / "score.json").write_text(json.dumps({**score, "judge": {"style": "gaia"}}))
    rows = from_table(pq.read_table(other / "rollouts.parquet"), Graded)
    worse = [dataclasses.replace(row, verdict=Verdict.WRONG, given=None) if row.is_right else row for row in rows]
    (other / "rollouts.parquet").write_bytes(parquet_bytes(to_table(worse, Graded)))
    assert compare.main([str(base), str(other)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "2 questions have attempts in only one of them" in told
        and "their judges differ" in told
        and "0 questions went better, 3 worse" in told
    )


def test_what_cannot_be_compared_is_an_error_that_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = evaluation(tmp_path / "base", 3)
    other = evaluation(tmp_path / "deep" / "base", 1, [question("x", "Another?", "B")])
    for runs, told in (
        ([base], "is one alone"),
        ([base, tmp_path], "no evaluation that has ended"),
        ([base, other], "share no question"),
    ):
        assert compare.main([str(run) for run in runs]) == 2
        assert told in capsys.readouterr().err
    shutil.rmtree(base / "trajectories")
    assert compare.main([str(base), str(base)]) == 0  # nothing flipped, so no trajectory is read
