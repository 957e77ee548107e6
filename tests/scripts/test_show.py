"""One trajectory in the terminal: everything that was said, what it was checked against, and nothing that steers the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from agents.records import Fault, FaultKind, GuidanceLevel, Message, StopReason, Trajectory, Usage
from engine.records import from_table
from samplers.records import Atom, AtomKind, Question
from scripts import show
from serve.runs.reading import atom_in_words
from tests.agents.worlds import conversation, trajectory
from tests.scripts.runs import run


@pytest.fixture(scope="module")
def folder(ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen seeds; whoever asks too many tools gives no training row."""
    folder = tmp_path_factory.mktemp("show") / "run"
    run(folder, "run.max_seeds=15", "policy.max_tool_calls=7")
    return folder


def said(folder: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command prints, as one line: where lines break depends on the terminal."""
    assert show.main([f"run.dir={folder}", *arguments]) == 0
    return " ".join(capsys.readouterr().out.split())


def trajectories(folder: Path) -> list[Trajectory]:
    """All of a run, by id."""
    return sorted(from_table(pq.read_table(folder / "trajectories"), Trajectory), key=lambda row: row.id)


def test_a_trajectory_is_told_from_question_to_proof(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = next(row for row in trajectories(folder) if row.final_answer)
    question = next(row for row in from_table(pq.read_table(folder / "questions"), Question) if row.id == first.question_id)
    assert question.certificate
    told = said(folder, f"id={first.id}", "chars=0", capsys=capsys)
    assert f"trajectory {first.id}" in told and " ".join(first.question.split()) in told
    for message in first.messages[2:]:
        assert " ".join(message.content.split()) in told
        assert all(f"→ {call.name} " in told for call in message.tool_calls)
    assert f"answer ✓ {first.final_answer}" in told and f"gold {first.answer}" in told
    assert f"stopped {first.stop_reason.value} after {first.usage.tool_calls} tool calls" in told
    for drop in question.certificate.drops:
        assert f"without it {drop.answers:,} answers" in told
    assert f"{question.certificate.world.value} world, {len(question.certificate.evidence)} facts as evidence" in told
    assert question.cheat_sheet and "path 1. " in told and "[E1]" not in told


def test_the_first_by_id_results_cut_and_prefixes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = trajectories(folder)
    two = said(folder, "n=2", "chars=20", capsys=capsys)
    assert [row.id for row in rows if f"trajectory {row.id}" in two] == [rows[0].id, rows[1].id]
    assert "more characters" in two
    for name in (rows[3].id[:12], rows[3].question_id, show.row_id(rows[3].id)):
        assert f"trajectory {rows[3].id}" in said(folder, f"id={name}", capsys=capsys)
    shared = next(digit for digit in "0123456789abcdef" if sum(row.id.startswith(digit) for row in rows) > 1)
    assert "more match; n=" in said(folder, f"id={shared}", capsys=capsys)


def test_why_a_trajectory_gave_no_row(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = next(row for row in trajectories(folder) if row.stop_reason == StopReason.MAX_TOOL_CALLS)
    told = said(folder, f"id={lost.id}", capsys=capsys)
    assert "rejected no_final_answer" in told and "✗ none" in told and "stopped max_tool_calls" in told


def test_unknown_ids_and_folders_are_answered_with_a_remedy(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = trajectories(folder)[0].id
    assert show.main([f"run.dir={folder}", f"id={known[:9]}zz"]) == 2
    assert known in capsys.readouterr().err
    assert show.main([f"run.dir={tmp_path}"]) == 2
    assert "is no run directory" in capsys.readouterr().err
    (tmp_path / "config.yaml").write_text("{}")
    assert show.main([f"run.dir={tmp_path}"]) == 2
    assert "holds no trajectory yet" in capsys.readouterr().err


def test_help_teaches_by_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        show.main(["--help"])
    assert "python -m scripts.show run.dir=runs/demo n=3" in capsys.readouterr().out


def test_what_a_page_says_steers_neither_rich_nor_the_terminal() -> None:
    hostile = Trajectory(
        id="t",
        trace_id="s",
        question_id="q",
        question="Is [bold]this[/bold] it?",
        answer="yes",
        answer_aliases=("ja",),
        paradigm="imported",
        hops=0,
        certified=False,
        rollout=0,
        policy="llm",
        tools=("visit",),
        messages=(Message(role="tool", content="\x1b]0;owned\x07[/red] \x1b[31mred", name="visit"),),
        stop_reason=StopReason.GAVE_UP,
        final_answer=None,
        usage=Usage(model_calls=2, prompt_tokens=1200, completion_tokens=7),
    )
    out = io.StringIO()
    show.print_trajectory(Console(file=out, width=200), hostile, None, "", chars=0)
    assert "Is [bold]this[/bold] it?" in out.getvalue() and "[/red] [31mred" in out.getvalue()
    assert "\x1b" not in out.getvalue() and "\x07" not in out.getvalue()
    assert "2 model calls, 1,200 + 7 tokens" in out.getvalue() and "gold      yes (also ja)" in out.getvalue()


def test_guidance_faults_and_verdict_are_told() -> None:
    faults = (
        Fault(call_id="call_0_0", tool="search", kind=FaultKind.TIMEOUT, recovered=True),
        Fault(call_id="call_1_0", tool="visit", kind=FaultKind.STALE, recovered=False),
    )
    guided = trajectory(guidance=GuidanceLevel.FULL, faults=faults, messages=(*conversation(), Message(role="user", content="Sure?")))
    out = io.StringIO()
    show.print_trajectory(Console(file=out, width=200), guided, None, "", 0, judged="right by match")
    told = " ".join(out.getvalue().split())
    assert "guidance full: the agent was shown" in told and "Sure?" in told
    assert "faults timeout in search (call_0_0), recovered stale in visit (call_1_0), not recovered" in told
    assert "judged right by match" in told


def test_what_was_seen_is_told_by_its_digest() -> None:
    seen = trajectory(messages=conversation(), calls_seen=("0123456789abcdef fedcba9876543210",), replies_seen=("a" * 16, "b" * 16))
    out = io.StringIO()
    show.print_trajectory(Console(file=out, width=200), seen, None, "", 0)
    told = " ".join(out.getvalue().split())
    assert told.count("on the tape: 0123456789abcdef fedcba9876543210") == 1 and f"replies {'a' * 16} {'b' * 16} on the tape" in told


def test_the_verdict_stands_in_the_row(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = next(row for row in trajectories(folder) if row.stop_reason == StopReason.ANSWERED)
    told = said(folder, f"id={kept.id}", capsys=capsys)
    assert "judged right by match" in told or "rejected" in told


def test_atoms_in_words() -> None:
    names = {"d:1": "heart failure"}
    assert atom_in_words(Atom(kind=AtomKind.EDGE, predicate="treats", subject="?a", object="d:1"), names) == "?a —treats→ heart failure"
    assert (
        atom_in_words(Atom(kind=AtomKind.RANGE, predicate="year", subject="?x", low=1980, high=1999), names) == "1980 ≤ year of ?x ≤ 1999"
    )
    assert atom_in_words(Atom(kind=AtomKind.RANGE, predicate="year", subject="d:1", low=1980), names) == "1980 ≤ year of heart failure"
    assert atom_in_words(Atom(kind=AtomKind.EQUALS, predicate="route", subject="?x", value="oral"), names) == "route of ?x = oral"
    joined = {kind: atom_in_words(Atom(kind=kind, predicate="p", subject="?x", object="d:1"), names) for kind in AtomKind}
    assert joined[AtomKind.ABSENT] == "not: ?x —p→ heart failure"
    assert joined[AtomKind.ANCESTOR] == "?x —p⁺→ heart failure"
    assert joined[AtomKind.LESS] == "p of ?x < p of heart failure"
