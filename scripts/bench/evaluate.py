"""Batch evaluation: how many calls it keeps in flight at the simulator, of those that its workers and rollouts offer."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

from hydra import compose, initialize_config_dir

from engine.config import parse
from scripts import evaluate
from scripts.bench.simulator import Pace, SimulatorProcess
from scripts.bench.table import Line
from scripts.bench.work import Scale
from scripts.settings import CONF, plain_values
from serve.evals.config import EvaluateSettings

ROLLOUTS = 4
SIGMA = 0.5
"""Of the logarithm of the latency: one call in twenty takes more than 2.3 times the median."""


def concurrency(scale: Scale) -> Iterator[Line]:
    """The whole command against calls whose latency varies: the rollouts of a question do not end together."""
    count, workers, latency_s = scale.pick(240, 12), scale.pick(20, 2), scale.seconds(1.0, 0.05)
    with SimulatorProcess(latency_s, SIGMA) as server, Pace(server) as pace:
        done = run(server.url, count, workers, scale.folder / "evaluate")
    assert done == count * ROLLOUTS, done
    what = f"{count} questions × {ROLLOUTS} rollouts, {workers} workers, calls of {latency_s:g} s (log-normal, σ {SIGMA})"
    yield Line(
        case="evaluate", what=f"{what}: in flight, steady state", value=pace.steady_in_flight, unit="calls", limit=workers * ROLLOUTS,
        against="workers × rollouts", least=0.95, of_ratio=True,
    )  # fmt: skip
    yield Line(case="evaluate", what="the same, slow start and tail included", value=pace.calls_per_s, unit="calls/s")


def run(url: str, count: int, workers: int, folder: Path) -> int:
    """One evaluation as its command composes it; how many rollouts were graded."""
    folder.mkdir(parents=True)
    asked = ({"question": f"Which drug treats the disease that gene {n} causes?", "answer": f"drug {n}"} for n in range(count))
    (folder / "questions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in asked))
    overrides = [f"dataset={folder / 'questions.jsonl'}", f"rollouts={ROLLOUTS}", f"workers={workers}", f"run.dir={folder / 'run'}"]
    with initialize_config_dir(str(CONF), version_base=None):
        values = plain_values(compose("evaluate", [*overrides, "llm=local", f"llm.default.base_url={url}", "llm.default.model=sim"]))
    with contextlib.redirect_stdout(io.StringIO()):  # its table is not ours
        score = evaluate.run_job(parse(values, EvaluateSettings), values, str(folder / "run"))
    return int(score["attempts"]) - int(score["failed"])
