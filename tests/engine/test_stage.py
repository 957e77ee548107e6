"""Every attempt ends as exactly one row, rejection or failure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.stage import FailureCause, run_stage
from tests.engine.toy import Square, number


@given(st.integers(0, 60), st.booleans())
async def test_attempts_are_always_accounted_for(value: int, trouble: bool) -> None:
    ends = await run_stage(Square(trouble), number(value), run_seed=0, timeout_s=5)
    assert ends.attempts == Square.fan_out
    assert all(row.trace_id == number(value).trace_id for row in (*ends.rows, *ends.rejections, *ends.failures))


async def test_rejection_carries_cause_and_detail() -> None:
    ends = await run_stage(Square(), number(14), run_seed=0, timeout_s=5)
    assert [(row.cause, row.detail, row.ordinal) for row in ends.rejections] == [
        ("seven", "14 is a multiple of seven", 0),
        ("seven", "14 is a multiple of seven", 1),
    ]


async def test_unknown_exception_is_a_failure_with_its_name_and_counts_attempts() -> None:
    ends = await run_stage(Square(), number(13), run_seed=0, timeout_s=5, earlier_attempts=2)
    assert {(row.cause, row.detail, row.attempts) for row in ends.failures} == {(FailureCause.UNEXPECTED_ERROR, "ValueError: bad luck", 3)}


async def test_a_hanging_attempt_is_a_timeout() -> None:
    ends = await run_stage(Square(), number(99), run_seed=0, timeout_s=0.05)
    assert {row.cause for row in ends.failures} == {FailureCause.TIMEOUT}


async def test_what_is_wrong_with_the_whole_run_is_raised() -> None:
    with pytest.raises(UserError, match="beast"):
        await run_stage(Square(), number(666), run_seed=0, timeout_s=5)
