"""A pilot's numbers, scaled and with honest intervals."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from agents.records import StopReason, Trajectory, Usage
from engine.config import EndpointConfig
from scripts.estimate import Z95, expect, print_expectations

PRICED = EndpointConfig(usd_per_1m_input=2.0, usd_per_1m_output=10.0)


def trajectory(seed: str, calls: int) -> Trajectory:
    return Trajectory(
        id=f"{seed}-{calls}",
        trace_id=seed,
        question_id="q",
        question="?",
        answer="a",
        answer_aliases=(),
        paradigm="chain",
        hops=2,
        certified=True,
        rollout=0,
        policy="llm",
        tools=(),
        messages=(),
        stop_reason=StopReason.ANSWERED,
        final_answer="a",
        usage=Usage(prompt_tokens=1000 * calls, completion_tokens=100 * calls, model_calls=calls),
    )


def test_seeds_are_the_sample_and_a_seed_without_a_row_counts_as_zero() -> None:
    rows = [trajectory("a", 2), trajectory("a", 4), trajectory("b", 3)]
    lines = {line.what: line for line in expect(rows, ["a", "b", "c"], total=300, endpoint=PRICED, seconds=6.0)}
    calls = lines["model calls"]
    assert calls.mean == pytest.approx(300 * (6 + 3 + 0) / 3)
    spread = 3.0 / math.sqrt(3)
    assert (calls.low, calls.high) == (0.0, pytest.approx(300 * (3 + Z95 * spread))) or calls.low == pytest.approx(300 * (3 - Z95 * spread))
    assert lines["cost"].mean == pytest.approx(lines["prompt tokens"].mean * 2e-6 + lines["completion tokens"].mean * 10e-6)
    assert lines["time at the pilot's pace"].mean == 600


def test_equal_seeds_have_no_interval_and_one_seed_has_no_bound() -> None:
    same = expect([trajectory("a", 2), trajectory("b", 2)], ["a", "b"], 10, PRICED, 1.0)[1]
    assert same.low == same.mean == same.high == 20
    assert expect([trajectory("a", 2)], ["a"], 10, PRICED, 1.0)[1].high == math.inf


def test_the_table_names_money_and_what_to_do_next() -> None:
    out = io.StringIO()
    lines = expect([trajectory("a", 2), trajectory("b", 3)], ["a", "b"], 1_000_000, PRICED, 1.0)
    print_expectations(Console(file=out, width=120), lines, 2, 1_000_000)
    assert "from a pilot of 2" in out.getvalue() and "7,500.00 USD" in out.getvalue() and "run.estimate" in out.getvalue()
