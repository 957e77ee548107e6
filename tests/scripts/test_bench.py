"""The benchmark measures: little work, every line there, every ratio a number, and the arithmetic behind them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from scripts.bench import __main__ as bench
from scripts.bench import serving
from scripts.bench.calls import TURNS
from scripts.bench.curate import THOUGHTS, _judged_and_rewritten
from scripts.bench.limits import _busiest
from scripts.bench.processes import Meter, family, pss_bytes
from scripts.bench.server import MockServer, ServerStats
from scripts.bench.simulator import Pace, SimulatorProcess
from scripts.bench.table import Line, cells, new_table
from scripts.bench.work import bare_loop


def test_the_table_has_its_lines_and_their_ratios_are_numbers(ray_local: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = tmp_path / "bench.json"
    assert bench.main(["--quick", "--only", "client,tape,resume", "--json", str(told)]) == 0
    lines = json.loads(told.read_text())["lines"]
    assert [line["case"] for line in lines] == ["client", "client", "tape", "tape", "resume"]
    assert all(line["value"] > 0 and line["ratio"] > 0 for line in lines)
    assert {line["ok"] for line in lines if line["target"]} <= {True, False}
    printed = capsys.readouterr().out
    assert "quick: the numbers mean nothing" in printed and "bare aiohttp loop" in printed


def test_rollouts_make_their_calls_and_end_with_the_answer(ray_local: None) -> None:
    lines = bench.run(["rollouts"], quick=True, console=Console(file=io.StringIO()))
    assert [line.unit for line in lines] == ["calls/s", "ms"] and all(line.value > 0 for line in lines)


def test_curation_judges_every_trajectory_and_rewrites_every_thought(ray_local: None, tmp_path: Path) -> None:
    with SimulatorProcess(latency_s=0.0) as server:
        pace, cpu_s = _judged_and_rewritten(server, count=5, in_flight=4, folder=tmp_path)
    assert pace.calls == 5 * (1 + THOUGHTS) and pace.calls_per_s > 0 and cpu_s > 0


def test_an_evaluation_is_watched_at_the_server(ray_local: None) -> None:
    steady, pace = bench.run(["evaluate"], quick=True, console=Console(file=io.StringIO()))
    assert steady.limit == 8 and 0 < steady.value <= 8 and steady.ratio is not None and pace.value > 0


def test_the_endpoints_own_cost_is_what_the_models_is_not(ray_local: None, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the endpoint needs the extra 'train'")
    from ray import serve as ray_serve

    from scripts.bench import endpoint

    try:
        lines = bench.run(["serving"], quick=True, console=Console(file=io.StringIO()))
    finally:
        ray_serve.shutdown()
    assert [line.unit for line in lines] == ["ms"] * 5 and all(line.value > 0 and line.ratio is not None for line in lines)
    endpoint.write_folder(tmp_path, serving.TEXTS, token_s=0.1)
    assert endpoint.alone(tmp_path, serving.NAME, serving.bodies(2, tokens=3), in_flight=2) > 0


def test_what_is_in_flight_in_the_middle_is_told() -> None:
    pace = Pace(SimulatorProcess(0.0))
    pace._seen = [(float(second), second * 10, 0 if second in (0, 8) else 4 + (second == 4)) for second in range(9)]
    assert pace.steady_in_flight == pytest.approx(17 / 4) and pace.calls == 80
    assert pace.calls_per_s == pytest.approx(80 / 7)


def test_an_unknown_case_is_named_with_its_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--only", "rollout"]) == 2
    assert "did you mean rollouts" in capsys.readouterr().err


def test_a_target_speaks_of_the_value_or_of_the_ratio() -> None:
    fast = Line(case="a", what="b", value=60.0, unit="calls/s", limit=100.0, least=0.6, of_ratio=True)
    slow = Line(case="a", what="b", value=59.0, unit="calls/s", limit=100.0, least=0.6, of_ratio=True)
    dear = Line(case="a", what="b", value=2.1, unit="ms", limit=0.3, most=2.0)
    plain = Line(case="a", what="b", value=2.1, unit="ms")
    assert [line.ok for line in (fast, slow, dear, plain)] == [True, False, False, None]
    assert (fast.target, dear.target, plain.target) == ("≥ 0.6 × the limit", "≤ 2 ms", "")
    assert all(len(cells(line)) == len(new_table("").columns) for line in (fast, plain))


def test_the_mock_counts_refuses_and_asks_for_tools() -> None:
    import urllib.error
    import urllib.request

    def ask(body: bytes) -> dict[str, object]:
        with urllib.request.urlopen(f"{server.endpoint.base_url}/chat/completions", data=body) as response:
            choice: dict[str, object] = json.load(response)["choices"][0]
            return choice

    server = MockServer(0.0, tool_turns=TURNS - 1)
    with server:
        assert ask(b"{}")["finish_reason"] == "tool_calls"
        assert ask(b'{"messages":[' + b",".join([b'{"role":"tool"}'] * 3) + b"]}")["finish_reason"] == "stop"
    assert server.stats.calls == 2 and len(server.stats.refused) == 0

    full = MockServer(0.05, capacity=4)
    with full:
        stream = subprocess.Popen([sys.executable, "-c", FLOOD, full.endpoint.base_url or ""], stdout=subprocess.PIPE)
        assert stream.communicate()[0].split() == [b"4", b"6"]
    assert (full.stats.calls, len(full.stats.refused)) == (4, 6)


FLOOD = """
import asyncio, sys
import aiohttp
async def main():
    async with aiohttp.ClientSession() as session:
        async def one():
            async with session.post(sys.argv[1] + "/chat/completions", data=b"{}") as response:
                return response.status
        seen = await asyncio.gather(*(one() for _ in range(10)))
        print(seen.count(200), seen.count(429))
asyncio.run(main())
"""


def test_what_a_server_saw_gives_rates_and_calls_in_flight() -> None:
    stats = ServerStats(np.arange(0.0, 10.0, 0.01), np.empty(0), latency_s=0.5)
    assert stats.calls_per_s == pytest.approx(1000 / 10.49)
    assert stats.steady_calls_per_s == pytest.approx(100)
    assert stats.mean_in_flight(4.0, 8.0) == pytest.approx(50, rel=0.01)
    assert _busiest(np.array([0.0, 0.1, 0.9, 1.0, 1.05, 3.0])) == 4  # from 0.1 on: a second wherever it begins


def test_the_bare_loop_makes_every_call_and_no_faster_than_the_server() -> None:
    bare = bare_loop(60, 6, 0.02)
    assert bare.stats.calls == 60
    assert 0 < bare.stats.calls_per_s <= 6 / 0.02


def test_the_meter_counts_children_that_end_and_leaves_out_whom_it_is_told_to() -> None:
    burn = [sys.executable, "-c", "import time\nt = time.process_time()\nwhile time.process_time() < t + 0.6: pass\ninput()"]
    with Meter() as all_of_them:
        counted = subprocess.Popen(burn, stdin=subprocess.PIPE)
        while family().get(counted.pid, 0.0) < 0.6:
            time.sleep(0.05)
        assert pss_bytes() > pss_bytes(without={counted.pid}) > 0
        time.sleep(0.3)
        counted.communicate(b"\n")
    ignored = subprocess.Popen(burn, stdin=subprocess.PIPE)
    with Meter({ignored.pid}) as without:
        while family().get(ignored.pid, 0.0) < 0.6:
            time.sleep(0.05)
    ignored.communicate(b"\n")
    assert all_of_them.seconds >= 0.6 > without.seconds
