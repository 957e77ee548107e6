"""Runs as processes that outlive the studio: what their directory alone tells of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import InputError
from serve.studio.launch import FRESH_S, LOG, RECORD, RunState, birth, launch_of, start, state_of, stop
from tests.conftest import ROOT

SLEEPER = "tests.studio.sleeper"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def wait_for(told: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not told():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def said(folder: Path) -> str:
    return (folder / LOG).read_text() if (folder / LOG).exists() else ""


def test_a_run_is_started_stopped_and_taken_up_again_with_the_same_command(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    begun = start(folder, ["run.max_seeds=3"], SLEEPER)
    wait_for(lambda: "waiting run.max_seeds=3" in said(folder))
    assert state_of(folder) is RunState.RUNNING and launch_of(folder) == begun
    with pytest.raises(InputError, match="at work already"):
        start(folder, [], SLEEPER)
    stop(folder)
    assert state_of(folder) in (RunState.STOPPING, RunState.STOPPED)
    wait_for(lambda: state_of(folder) is RunState.STOPPED)
    assert "stopped on request" in said(folder)
    with pytest.raises(InputError, match="Ctrl-C"):
        stop(folder)
    again = start(folder, begun.overrides, begun.module)
    wait_for(lambda: said(folder).count("waiting") == 2)
    assert again.pid != begun.pid and state_of(folder) is RunState.RUNNING
    stop(folder)
    wait_for(lambda: not again.is_alive)


def test_a_studio_that_ignores_ctrl_c_and_has_ended_still_leaves_a_run_that_can_be_stopped(tmp_path: Path) -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]);"
        f"from pathlib import Path; from serve.studio.launch import start; start(Path(sys.argv[1]), [], {SLEEPER!r})"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT)
    wait_for(lambda: "waiting" in said(tmp_path))
    assert state_of(tmp_path) is RunState.RUNNING
    stop(tmp_path)
    wait_for(lambda: state_of(tmp_path) is RunState.STOPPED)


def test_a_run_that_ends_by_itself_without_a_manifest_has_failed(tmp_path: Path) -> None:
    start(tmp_path, ["at-once"], SLEEPER)
    wait_for(lambda: not state_of(tmp_path).is_alive)
    assert state_of(tmp_path) is RunState.FAILED and "mend it" in said(tmp_path)


def test_another_process_with_the_same_pid_is_not_taken_for_the_run(tmp_path: Path) -> None:
    told = {"module": SLEEPER, "overrides": [], "pid": os.getpid(), "born": birth(os.getpid()), "started": time.time(), "stops": 0}
    (tmp_path / RECORD).write_text(json.dumps(told))
    assert state_of(tmp_path) is RunState.RUNNING
    (tmp_path / RECORD).write_text(json.dumps({**told, "born": f"{birth(os.getpid())}0"}))
    assert state_of(tmp_path) is RunState.FAILED
    with pytest.raises(InputError):
        stop(tmp_path)
    assert birth(2**22 + 1) == ""


def test_a_process_that_ended_and_that_nobody_waited_for_is_not_alive() -> None:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "pass"], {})
    wait_for(lambda: birth(pid) == "")
    assert Path(f"/proc/{pid}").exists()
    os.waitpid(pid, 0)


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"pid": 1}'):
        (tmp_path / RECORD).write_text(text)
        assert launch_of(tmp_path) is None


def test_a_run_from_a_terminal_is_known_by_its_files(tmp_path: Path) -> None:
    now = time.time()

    def written(**at: float) -> RunState:
        for name, when in at.items():
            path = tmp_path / name.replace("_", ".")
            path.write_text("{}")
            os.utime(path, (when, when))
        return state_of(tmp_path, now)

    assert written(config_yaml=now - 900) is RunState.STOPPED
    assert written(metrics_jsonl=now - 3) is RunState.RUNNING
    assert written(metrics_jsonl=now - FRESH_S - 1) is RunState.STOPPED
    assert written(manifest_json=now - FRESH_S) is RunState.FINISHED
    assert written(config_yaml=now, metrics_jsonl=now) is RunState.RUNNING  # the same command again, with more seeds
    os.utime(tmp_path / "manifest.json", (now, now))
    assert state_of(tmp_path, now) is RunState.FINISHED


def test_trainings_and_tours_end_with_their_own_last_file(tmp_path: Path) -> None:
    for name in ("training", "tour"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("{}")
        os.utime(tmp_path / name / "config.yaml", (1e9, 1e9))
    (tmp_path / "training" / "model").mkdir()
    assert state_of(tmp_path / "training") is RunState.STOPPED
    (tmp_path / "training" / "model" / "config.json").write_text("{}")
    assert state_of(tmp_path / "training") is RunState.FINISHED
    (tmp_path / "tour" / "steps.json").write_text('{"sft": {}}')
    assert state_of(tmp_path / "tour") is RunState.STOPPED
    (tmp_path / "tour" / "steps.json").write_text('{"sft": {}, "report": {}}')
    assert state_of(tmp_path / "tour") is RunState.FINISHED
