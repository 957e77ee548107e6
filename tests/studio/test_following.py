"""A run directory read while it grows: nothing twice, nothing torn, and the same as the ledger says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.ledger import Ledger
from engine.llm.retry import ModelCause
from engine.records import Failure, Rejection, derive_id
from engine.stage import Outcomes
from engine.storage import Storage
from samplers.records import Seed
from samplers.seeds import make_seed
from serve.runs.following import MarksTail, MetricsTail, tail
from serve.runs.material import read_losses, read_material
from serve.studio.launch import RunState
from serve.studio.watching import RunWatch, listed, opened
from serve.studio.workspace import Workspace


def test_lines_are_read_once_and_torn_ones_when_they_are_whole(tmp_path: Path) -> None:
    metrics, file = MetricsTail(tmp_path), tmp_path / "metrics.jsonl"
    assert not metrics.refresh()
    file.write_text('{"a": 1}\n{"a"')
    assert metrics.refresh() and metrics.lines == [{"a": 1}]
    with file.open("a") as more:
        more.write(': 2}\nbroken\n{"a": 3}\n')
    assert metrics.refresh() and not metrics.refresh() and [line["a"] for line in metrics.lines] == [1, 2, 3]
    file.write_text('{"a": 9}\n')
    assert metrics.refresh() and metrics.lines == [{"a": 9}]


def test_the_end_of_a_log_begins_with_a_whole_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log) == ""
    log.write_text("first line\nsecond\n")
    assert tail(log) == "first line\nsecond\n" and tail(log, 10) == "second\n"


def ended(name: str, *, rejected: bool = False, attempts: int = 0) -> Outcomes[Seed]:
    seed = make_seed(name)
    told = {
        "id": derive_id(name, attempts),
        "trace_id": name,
        "input_id": seed.id,
        "stage": "question",
        "ordinal": 0,
        "detail": f"of {name}",
    }
    return Outcomes(
        seed.id,
        () if rejected or attempts else (seed,),
        (Rejection(**told, cause="no_proof"),) if rejected else (),
        (Failure(**told, cause="timeout", attempts=attempts),) if attempts else (),
    )


def commit(folder: Path, *ends: Outcomes[Seed]) -> None:
    Ledger(Storage(str(folder))).commit("question", "candidates", Seed, ends)


def test_marks_count_each_input_once_as_the_ledger_does(tmp_path: Path) -> None:
    marks = MarksTail(tmp_path)
    assert not marks.refresh() and marks.steps({}) == []
    commit(tmp_path, ended("a"), ended("b", rejected=True), ended("c", attempts=1), ended("d", attempts=1))
    assert marks.refresh() and not marks.refresh()
    (step,) = marks.steps({"question": {"no_proof": 1}})
    assert (step.attempts, step.rows, step.rejected, step.failed, step.causes) == (4, 1, 1, 2, {"no_proof": 1})
    commit(tmp_path, ended("c"), ended("d", attempts=2))  # tried again: one went well
    assert marks.refresh()
    (step,) = marks.steps({})
    assert (step.attempts, step.rows, step.rejected, step.failed) == (4, 2, 1, 1)
    commit(tmp_path, ended("c", attempts=1), ended("e"))  # replayed in another grouping: the better end of an input counts
    assert marks.refresh()
    (step,) = marks.steps({})
    assert (step.attempts, step.rows, step.failed) == (5, 3, 1)
    storage = Storage(str(tmp_path))
    assert [(loss.cause, loss.count, loss.final) for loss in marks.losses()] == [("no_proof", 1, True), ("timeout", 1, False)]
    assert marks.losses() == read_losses(storage, Ledger(storage).index())


def test_a_mark_that_was_struck_out_and_a_file_that_is_damaged_are_left_out(tmp_path: Path) -> None:
    commit(tmp_path, ended("a"), ended("b", rejected=True))
    (tmp_path / "ledger" / "question-struck.json").write_bytes(b"")
    marks = MarksTail(tmp_path)
    marks.refresh()
    assert marks.steps({})[0].attempts == 2
    next((tmp_path / "rejections").iterdir()).write_bytes(b"torn")
    assert marks.losses() == [] and next((tmp_path / "ledger").glob("question-*.json")).read_bytes() != b""


def test_a_finished_run_is_seen_as_its_report_tells_it(workspace: Path) -> None:
    watch, material = RunWatch(workspace / "small"), read_material(str(workspace / "small"))[1]
    view = watch.look()
    assert view.state is RunState.FINISHED and view.calls is None and view.eta_s is None and view.budget_usd is None
    assert list(watch.steps()) == list(material.steps) and list(watch.losses()) == list(material.losses)
    assert watch.losses() is watch.losses()
    assert {curve.name for curve in view.curves} >= {"question", "rollout"} and view.elapsed_s > 0


def test_model_calls_are_summed_over_sessions_and_told_of_now(tmp_path: Path) -> None:
    numbers = {"answered": 5, "replies": 5, "replayed": 1, "calls": 5, "prompt_tokens": 100, "completion_tokens": 10, "usd": 0.5}
    failures = {ModelCause.OVERLOADED.value: 4, "timeout": 1}
    site = {"role": "agent", "stage": "rollout", "model": "m", **numbers, "in_flight": 3, "waiting": 2, "failures": failures, "latency": {}}
    stages = {"rollout": {"inputs": 1, "rows": 1, "rejections": {}, "failures": {}}}
    line = {"elapsed_s": 5.0, "stages": stages, "calls": [site], "period": {"calls_per_s": 1.5}, "total": 9, "eta_s": 40.0}
    lines = [line, {**line, "elapsed_s": 2.0}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    (tmp_path / "config.yaml").write_text("limits: {budget_usd: 2.0}\n")
    view = RunWatch(tmp_path).look()
    assert view.calls and (view.calls.ended, view.calls.in_flight, view.calls.waiting, view.calls.per_s) == (10, 3, 2, 1.5)
    assert (view.calls.overloaded, view.calls.failed, view.calls.replayed) == (8, 2, 2)
    assert (view.spent_usd, view.budget_usd, view.eta_s, view.second_leg) == (1.0, 2.0, 40.0, True)


def test_runs_are_listed_also_before_they_have_a_configuration(workspace: Path) -> None:
    told = {"module": "x", "overrides": [], "pid": 1, "born": "never", "started": 1.0, "stops": 0}
    (workspace / "begun").mkdir(exist_ok=True)
    (workspace / "begun" / "studio.json").write_text(json.dumps(told))
    found = {run.name: run for run in listed(Workspace(str(workspace)))}
    assert found["small"].state is RunState.FINISHED and (found["small"].rows or 0) > 0
    assert found["begun"].state is RunState.FAILED and found["begun"].rows is None
    assert opened(Workspace(str(workspace)), "begun").path == workspace / "begun"
    with pytest.raises(Exception, match="no run directory"):
        opened(Workspace(str(workspace)), "nothing")
