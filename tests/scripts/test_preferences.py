"""Marks in a run directory → weights and pairs that preference trainers read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import load_dataset

from agents.records import Message, Trajectory
from engine.ledger import parquet_bytes
from engine.records import to_table
from engine.storage import Storage
from scripts import preferences
from serve.runs.marks import Mark, MarkBook
from serve.runs.preferences import conversation_pairs, expert_marks
from serve.runs.rows import RowIndex
from tests.agents.worlds import conversation, trajectory

ROWS = [
    trajectory(id="t1"),
    trajectory(id="t2", rollout=1, messages=conversation("FBN1, I think.")),
    trajectory(id="t3", rollout=2, messages=(Message(role="system", content="Be bold."), *conversation()[1:])),
    trajectory(id="t4", question_id="q2"),
    trajectory(id="t5", rollout=3, tools=("search",)),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rollouts of one question, one of them under other rules and one with other tools, and one of another question."""
    storage = Storage(str(tmp_path))
    storage.write("config.yaml", b"run: {name: marked}\n")
    storage.write("trajectories/rollout-1.parquet", parquet_bytes(to_table(ROWS, Trajectory)))
    return tmp_path


def say(folder: Path, own: str, accepted: bool | None, reviewer: str = "Bo") -> None:
    """Mark a trajectory."""
    MarkBook(Storage(str(folder))).add(Mark(trajectory_id=own, reviewer=reviewer, accepted=accepted, note="", when="2026-01-31T12:00:00Z"))


def test_weights_and_pairs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for own, accepted in (("t1", True), ("t2", False), ("t3", False), ("t4", True), ("t5", False)):
        say(folder, own, accepted)
    assert preferences.main([f"run.dir={folder}", f"out={folder / 'pairs.jsonl'}"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "5 rollouts marked (2 accepted, 3 rejected), 3 pairs" and "train.reward.experts.format=1" in told
    assert told[-1].startswith("1 pairs of conversations")
    read = load_dataset("json", data_files=str(folder / "pairs.jsonl"), split="train", cache_dir=str(folder / "cache"))
    assert read.num_rows == 1
    row = json.loads((folder / "pairs.jsonl").read_text())
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    assert row["chosen"][-1]["content"].endswith("<answer>FBN1</answer>") and row["rejected"][-1]["content"].endswith("I think.")
    assert row["chosen"][0]["role"] == row["rejected"][0]["role"] == "assistant"
    assert row["metadata"] == {"question_id": "q1", "chosen_id": "t1", "rejected_id": "t2"}


def test_reviewers_are_counted_and_a_draw_decides_nothing(folder: Path) -> None:
    for reviewer, accepted in (("A", True), ("B", True), ("C", False)):
        say(folder, "t1", accepted, reviewer)
        say(folder, "t2", not accepted, reviewer)
    say(folder, "t3", True, "A")
    say(folder, "t3", False, "B")
    marks = expert_marks(RowIndex(folder), MarkBook(Storage(str(folder))).read())
    assert [(mark.trajectory.id, mark.accepted) for mark in marks] == [("t1", True), ("t2", False)]
    assert [(pair.chosen.id, pair.rejected.id, pair.begin) for pair in conversation_pairs(marks)] == [("t1", "t2", 2)]


def test_what_is_missing_is_told_with_a_remedy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert preferences.main([f"run.dir={folder}"]) == 2
    assert "holds no marks" in capsys.readouterr().err
    say(folder, "t4", True)
    assert preferences.main([f"run.dir={folder}"]) == 2
    assert "mark several rollouts of a question" in capsys.readouterr().err
    say(folder, "gone", True)
    assert preferences.main([f"run.dir={folder}"]) == 2
    assert "gone: is no trajectory of" in capsys.readouterr().err
