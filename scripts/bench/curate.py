"""Judging and rewriting against the simulator: calls per second through the whole pipeline, tape and limits on."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from agents.config import CurateConfig
from agents.curate.stage import CurateMode, CurateStage
from agents.records import Message, StopReason, ToolCall, Trajectory, Usage
from engine.config import EndpointConfig, LimitsConfig, PipelineConfig, PoolConfig, RunConfig
from engine.ledger import Ledger
from engine.limits.limiter import make_limiter
from engine.pipeline.actor import StagePlan
from engine.pipeline.leg import LegSettings, run_leg
from engine.records import derive_id
from engine.storage import Storage
from engine.tape.tape import Tape
from scripts.bench.processes import Meter
from scripts.bench.simulator import Pace, SimulatorProcess
from scripts.bench.table import Line
from scripts.bench.work import MOST_IN_FLIGHT, Scale
from scripts.models import ModelFactory

THOUGHTS = 4
"""Thoughts per trajectory, so five calls each: one to judge, four to rewrite."""

RESEARCHER_CALLS = 4.8
"""Calls per second of MedResearcher-R1's rewriter, whatever its workers: one lock stands around every call."""

MODEL = "sim"


def curate(scale: Scale) -> Iterator[Line]:
    """Trajectories judged and rewritten by the simulator."""
    count, in_flight, latency_s = scale.pick(3000, 20), scale.pick(512, 16), scale.seconds(0.2, 0.02)
    with SimulatorProcess(latency_s) as server:
        pace, cpu_s = _judged_and_rewritten(server, count, in_flight, scale.folder / "curate")
    what = f"{count:,} trajectories judged and {THOUGHTS} thoughts each rewritten, {latency_s * 1000:.0f} ms"
    yield Line(
        case="curate", what=what, value=pace.calls_per_s, unit="calls/s", limit=RESEARCHER_CALLS, against="MedResearcher-R1's rewriter",
        least=600.0,
    )  # fmt: skip
    yield Line(case="curate", what="CPU of all processes per call", value=cpu_s * 1000 / pace.calls, unit="ms")


def _judged_and_rewritten(server: SimulatorProcess, count: int, in_flight: int, folder: Path) -> tuple[Pace, float]:
    """The pace and the CPU-seconds of one leg; every row must come out right."""
    endpoint, tape = EndpointConfig(base_url=server.url, model=MODEL), Tape(str(folder / "tape"))
    limiter = make_limiter(LimitsConfig(concurrency=MOST_IN_FLIGHT))
    judge, rewriter = (ModelFactory(endpoint, limiter, tape, CurateStage.name, MODEL, role) for role in ("judge", "rewriter"))
    stage = CurateStage(CurateConfig(judge="model", rewrite="model"), CurateMode.REWRITE, judge, rewriter)
    settings = LegSettings(RunConfig(), PipelineConfig(), Ledger(Storage(str(folder))), Console(file=io.StringIO()))
    pool = PoolConfig(actors=2, num_cpus=0.5, in_flight=in_flight // 2, timeout_s=900.0)
    with Meter((server.pid,)) as meter, Pace(server) as pace:
        result = run_leg([_trajectory(number) for number in range(count)], [StagePlan(stage, pool, "rows")], settings)
    assert result.counts[CurateStage.name].rows == count, result.counts
    return pace, meter.seconds


def _trajectory(number: int) -> Trajectory:
    """An answer in a sentence, which text alone cannot judge, and thoughts of the usual length."""
    key, gene = derive_id("bench", number), f"GENE{number}"
    messages = [Message(role="user", content=f"Which gene is behind disease {number}?")]
    for turn in range(THOUGHTS - 1):
        call = ToolCall(id=f"call_{turn}_0", name="search", arguments=json.dumps({"query": f"disease {number} clue {turn}"}))
        thought = "So the record names the pathway and I need to check which gene it begins with, because two of them are about the same."
        messages += [
            Message(role="assistant", content=thought, tool_calls=(call,)),
            Message(role="tool", content=f"The pathway begins with {gene}. " * 20, tool_call_id=call.id, name="search"),
        ]
    given = f"the gene named {gene} in the record"
    messages.append(Message(role="assistant", content=f"Both records agree, so that is what I was looking for. <answer>{given}</answer>"))
    return Trajectory(
        id=key, trace_id=key, question_id=key, question=messages[0].content, answer=gene, answer_aliases=(), paradigm="imported", hops=3,
        certified=False, rollout=0, policy="llm", tools=("search",), messages=tuple(messages), stop_reason=StopReason.ANSWERED,
        final_answer=given, usage=Usage(),
    )  # fmt: skip
