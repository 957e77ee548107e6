"""The pipeline on real Ray: exactly once, resumed, retried, accounted for."""

from __future__ import annotations

import io
import pickle
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from engine.config import PipelineConfig, PoolConfig, RunConfig
from engine.errors import InvariantError, UserError
from engine.ledger import Ledger
from engine.pipeline.actor import StagePlan
from engine.pipeline.leg import LegResult, LegSettings, run_leg
from engine.storage import Storage
from tests.engine.toy import Halve, Number, Relay, Square, number

pytestmark = pytest.mark.usefixtures("ray_local")


def run(folder: Path, values: range, square: Square, halve: Halve | None = None, actors: int = 1, max_attempts: int = 3) -> LegResult:
    pool = PoolConfig(actors=actors, num_cpus=0.1, in_flight=8, timeout_s=5)
    settings = LegSettings(
        RunConfig(max_attempts=max_attempts),
        PipelineConfig(rows_per_block=8, rows_per_shard=4),
        Ledger(Storage(str(folder))),
        Console(file=io.StringIO()),
    )
    plans = [StagePlan(square, pool, None), StagePlan(halve or Halve(), pool, "halves")]
    return run_leg([number(value) for value in values], plans, settings)


def expected_halves(values: range) -> list[int]:
    squares = [value**2 + ordinal for value in values for ordinal in (0, 1) if value % 7 and value != 13]
    return sorted(square // 2 for square in squares if square % 2 == 0)


def test_rows_come_out_once_and_everything_is_accounted_for(tmp_path: Path) -> None:
    result = run(tmp_path, range(1, 41), Square(), actors=2)
    rows = result.rows("halve", Number)
    assert sorted(row.value for row in rows) == expected_halves(range(1, 41))
    square, halve = result.counts["square"], result.counts["halve"]
    assert (square.inputs, square.attempts, square.rejections, square.failures) == (40, 80, 10, 2)
    assert square.attempts == square.rows + square.rejections + square.failures
    assert halve.inputs == square.rows and halve.attempts == halve.rows + halve.rejections + halve.failures
    assert Counter(row.cause for row in result.rejections()) == {"seven": 10, "odd": halve.rejections}
    assert {row.detail for row in result.failures()} == {"ValueError: bad luck"}


def test_a_slow_attempt_keeps_no_other_slot_from_the_next_input(tmp_path: Path) -> None:
    pool = PoolConfig(actors=1, num_cpus=0.1, in_flight=1, timeout_s=5)
    settings = LegSettings(RunConfig(), PipelineConfig(), Ledger(Storage(str(tmp_path))), Console(file=io.StringIO()))
    result = run_leg([number(value) for value in range(6)], [StagePlan(Relay(last=5), pool, "rows")], settings)
    assert result.counts["relay"].rows == 12 and max(row.value for row in result.rows("relay", Number)) == 2


def test_a_finished_run_does_nothing_again_and_failures_are_retried_up_to_the_limit(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    values = range(1, 12)
    first = run(tmp_path / "run", values, Square(trouble=True, log=str(log)), max_attempts=2)
    assert first.counts["square"].failures == 4
    log.unlink()
    second = run(tmp_path / "run", values, Square(trouble=False, log=str(log)), max_attempts=2)
    assert set(log.read_text().split()) == {"5", "10"}
    assert second.counts["square"].failures == 0
    assert sorted(row.value for row in second.rows("halve", Number)) == expected_halves(values)
    log.unlink()
    run(tmp_path / "run", values, Square(trouble=True, log=str(log)), max_attempts=2)
    assert not log.exists()


def test_failures_end_after_max_attempts(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    for _ in range(3):
        result = run(tmp_path / "run", range(5, 6), Square(trouble=True, log=str(log)), max_attempts=2)
    assert len(log.read_text().split()) == 4
    assert {row.attempts for row in result.failures()} == {2}


def test_a_killed_actor_loses_and_doubles_nothing(tmp_path: Path) -> None:
    result = run(tmp_path / "run", range(1, 41), Square(), Halve(kill_once=str(tmp_path / "killed")))
    assert (tmp_path / "killed").exists()
    undisturbed = run(tmp_path / "calm", range(1, 41), Square())
    assert result.rows("halve", Number) == undisturbed.rows("halve", Number)


def test_pool_sizes_do_not_change_rows(tmp_path: Path) -> None:
    one, three = (run(tmp_path / str(actors), range(1, 30), Square(), actors=actors).rows("halve", Number) for actors in (1, 3))
    assert one == three


def test_a_user_error_inside_a_stage_stops_the_run_as_itself(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the beast") as stopped:
        run(tmp_path, range(664, 668), Square())
    assert str(stopped.value) == "the beast: → take another number", "Ray Data's advice is cut off"


def test_a_shard_without_its_mark_does_not_exist(tmp_path: Path) -> None:
    run(tmp_path, range(1, 9), Square())
    for mark in (tmp_path / "ledger").glob("halve-*.json"):
        mark.unlink()
    index = Ledger(Storage(str(tmp_path))).index()
    assert index.unsettled(["square", "halve"], [number(1).id, number(7).id], 3) == {number(1).id}
    with pytest.raises(InvariantError, match="accounted for"):
        index.account("halve", ["nobody"], 1)


def test_what_travels_to_actors_is_small_and_picklable(tmp_path: Path) -> None:
    plan = StagePlan(Square(log="x"), PoolConfig(), None)
    assert pickle.loads(pickle.dumps(plan)).stage.log == "x"
    assert pickle.loads(pickle.dumps(Ledger(Storage(str(tmp_path))))).storage.root == str(tmp_path)
