"""What people see while a run works."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from engine.storage import Storage
from engine.telemetry.board import Tally
from engine.telemetry.progress import Progress, eta_seconds


def test_eta_follows_the_yield_of_each_stage() -> None:
    half = {"a": Tally(inputs=50, rows=25), "b": Tally(inputs=25, rows=20)}
    assert eta_seconds(["a", "b"], half, total=100, elapsed=10.0) == pytest.approx(10.0)
    assert eta_seconds(["a", "b"], {}, total=100, elapsed=10.0) is None


@given(done=st.integers(1, 100), rows=st.integers(0, 100), elapsed=st.floats(0.1, 1e4))
def test_eta_is_never_negative(done: int, rows: int, elapsed: float) -> None:
    eta = eta_seconds(["a"], {"a": Tally(inputs=done, rows=min(rows, done))}, total=100, elapsed=elapsed)
    assert eta is not None and eta >= 0


def test_plain_lines_off_a_terminal_and_metrics_beside_the_rows(tmp_path: Path) -> None:
    out = io.StringIO()
    tallies = {"sample": Tally(inputs=10, rows=8, rejections=Counter({"unknown_seed": 2}))}
    with Progress(Console(file=out), Storage(str(tmp_path)), ["sample"], total=20, every_s=100) as progress:
        progress.show(tallies)
        progress.show(tallies, last=True)
    assert out.getvalue().count("\n") == 1
    assert "sample 10 in, 8 rows" in out.getvalue() and "2 rejected or failed" in out.getvalue() and "ETA" in out.getvalue()
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert metrics[0]["stages"]["sample"]["rejections"] == {"unknown_seed": 2}


def test_a_live_table_on_a_terminal(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with Progress(console, Storage(str(tmp_path)), ["sample"], total=20, every_s=100) as progress:
        progress.show({"sample": Tally(inputs=10, rows=8, rejections=Counter({"unknown_seed": 2}))}, last=True)
    assert "unknown_seed (2)" in out.getvalue()
