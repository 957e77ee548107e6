"""The evaluation command on real Ray against the simulator: what it writes, and that kills, failures and replays change nothing of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir

from agents.config import CurateConfig, PolicyConfig, ToolsConfig
from engine.config import LimitsConfig, PipelineConfig, parse
from engine.errors import ConfigError, InputError
from engine.ledger import parquet_bytes
from engine.llm.simulator import SimulatorConfig
from engine.records import from_table, to_table
from engine.storage import Storage
from engine.web.config import WebConfig
from samplers.config import GraphConfig
from samplers.graph.loader import load_graph
from samplers.records import Question
from scripts import evaluate
from scripts.chaos.processes import kill_all
from scripts.settings import CONF, check_overrides, claim_run_dir, plain_values, resolve_run_dir
from serve.evals.config import EvaluateSettings
from serve.evals.records import Graded
from tests.conftest import ROOT
from tests.samplers.gates_world import proved_questions
from tests.scripts.test_synthesize import simulator
from tests.serve.test_benchmarks import medbrowsecomp_of

pytestmark = pytest.mark.usefixtures("ray_local")

WRITTEN = ("rollouts.parquet", "score.json", "score.md", "score.html", "speed.json", "manifest.json")
LOST = ("ledger", "graded", "trajectories", "questions", "rejections", *WRITTEN)
"""What a replay makes again, the tape and the settings being there."""


def settings(*overrides: str) -> tuple[EvaluateSettings, dict[str, Any]]:
    with initialize_config_dir(str(CONF), version_base=None):
        values = plain_values(compose("evaluate", evaluate.spelled_out(overrides)))
    return parse(values, EvaluateSettings), values


def run(folder: Path, *overrides: str) -> dict[str, Any]:
    """`python -m scripts.evaluate run.dir=FOLDER …` without a process of its own."""
    typed, values = settings(f"run.dir={folder}", *overrides)
    return evaluate.run_job(typed, values, resolve_run_dir(typed, values, in_job=False, in_sweep=False))


def rollouts(folder: Path) -> list[Graded]:
    return from_table(pq.read_table(folder / "rollouts.parquet"), Graded)


OPEN = ("breakdown", "calls", "errors", "failures", "pass_at_k", "all_right_at_k", "majority_at_k")
"""What stands in them goes by names of the data's: groups, kinds of error, roles, numbers of attempts."""


def keys_of(value: Any) -> Iterator[str]:
    for key, item in value.items() if isinstance(value, dict) else ():
        yield key
        yield from keys_of(item) if key not in OPEN else ()


def asked(dataset: Path, url: str) -> list[str]:
    return [f"dataset={dataset}", "rollouts=2", "workers=8", "llm=local", f"llm.base_url={url}", "llm.model=simulator"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven made-up trials of five tasks, two of one ingredient, hidden as MedBrowseComp's are."""
    names = ["metformin", "imatinib", "metformin", "warfarin", "insulin", "aspirin", "lisinopril"]
    return medbrowsecomp_of(tmp_path_factory.mktemp("data"), names)


@pytest.fixture(scope="module")
def evaluated(ray_local: None, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation that nothing disturbed."""
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    with simulator() as (url, _):
        run(folder, *asked(dataset, url))
    return folder


def test_defaults_stand_twice_and_agree_and_short_keys_are_spelled_out() -> None:
    composed, _ = settings()
    assert composed.policy == PolicyConfig(kind="llm", rollouts=4) and composed.curate == CurateConfig() and composed.web == WebConfig()
    assert composed.graph == GraphConfig() and composed.limits == LimitsConfig() and composed.pools.rollout.in_flight == composed.workers
    assert composed.pipeline == PipelineConfig(rows_per_shard=16) and composed.tools.names == ToolsConfig().names
    assert evaluate.spelled_out(["llm.base_url=http://x/v1", "judge=model", "rollouts=2"]) == [
        "llm.default.base_url=http://x/v1", "curate.judge=model", "rollouts=2",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="did you mean rollouts"):
        check_overrides(["rollout=3"], "evaluate")


def test_an_evaluation_writes_its_rollouts_its_score_and_what_it_rests_on(evaluated: Path, dataset: Path) -> None:
    score = json.loads((evaluated / "score.json").read_text())
    rows = rollouts(evaluated)
    assert all((evaluated / name).stat().st_size for name in WRITTEN)
    assert (score["complete"], score["questions"], score["clusters"], score["attempts"], len(rows)) == (True, 35, 6, 70, 70)
    assert score["accuracy"]["observations"] == 35 and score["accuracy"]["clusters"] == 6
    assert score["accuracy"]["value"] == pytest.approx(sum(row.is_right for row in rows) / 70, abs=1e-6)
    assert score["dataset"]["benchmark"] == "medbrowsecomp" and score["dataset"]["file"] == dataset.name and score["dataset"]["notes"]
    assert score["model"]["fingerprint"].startswith("simulator@fp_sim") and score["prompt"]["system"] and score["tools"]["snapshot"]
    assert set(score["breakdown"]) >= {"hops", "task", "tool"} and list(score["breakdown"]["hops"]) == ["1", "2", "3", "4", "5"]
    assert sum(score["errors"].values()) == 70 - sum(row.is_right for row in rows)
    assert score["effort"]["tool_calls"]["mean"] > 0 and score["effort"]["cost_usd"] is None  # no price is set, so nobody knows
    assert {row.cluster for row in rows} == {
        f"ingredient {name}" for name in ("metformin", "imatinib", "warfarin", "insulin", "aspirin", "lisinopril")
    }
    speed = json.loads((evaluated / "speed.json").read_text())
    assert speed["calls"]["agent, simulator"]["calls"] >= 70 and speed["calls"]["agent, simulator"]["p95"] > 0


def test_the_reports_say_it_in_words_and_need_nothing_else(evaluated: Path) -> None:
    told, page = (evaluated / "score.md").read_text(), (evaluated / "score.html").read_text()
    assert "Asked 35 questions, each 2 times" in told and "6 clusters" in told and "not the whole benchmark" in told
    assert "| pass@1 (mean over attempts) |" in told and "## Where answers went wrong" in told and "## By task" in told
    for needed in ("<svg", "95 % interval", "How to get this score again", "NCT0000000", "simulator@fp_sim"):
        assert needed in page
    assert "<script" not in page and "http://" not in page and "src=" not in page
    score = json.loads((evaluated / "score.json").read_text())
    tools = score["tools"]
    for rests_on in (
        score["model"]["fingerprint"], score["prompt"]["hash"], ", ".join(tools["names"]), tools["snapshot"], tools["graph"],
        score["settings"], score["dataset"]["sha256"],
    ):  # fmt: skip
        assert rests_on and rests_on in told and rests_on in page
    assert score["prompt"]["system"].splitlines()[-1] in page


def test_the_documentation_explains_every_number(evaluated: Path) -> None:
    told = (ROOT / "docs" / "evaluation.md").read_text()
    score, speed = (json.loads((evaluated / name).read_text()) for name in ("score.json", "speed.json"))
    seldom = {"f1", "agreement", "kappa", "changed", "agreed", "bootstrap", "cost_usd_per_right_answer"}
    keys = {*keys_of(score), *keys_of(speed), *keys_of(speed["calls"]["agent, simulator"]), *score["errors"], *seldom}
    assert sorted(key for key in keys if f"`{key}`" not in told) == []


def test_a_replay_asks_nobody_and_gives_the_score_byte_for_byte(evaluated: Path, dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(evaluated, folder)
    for name in LOST:
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
    run(folder, *asked(dataset, "http://127.0.0.1:9/v1"), "tape=replay")
    for name in ("score.json", "rollouts.parquet"):
        assert (folder / name).read_bytes() == (evaluated / name).read_bytes()


def test_a_run_that_is_killed_then_fails_in_part_and_goes_on_gives_the_same_score(evaluated: Path, dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with simulator(SimulatorConfig(latency=0.1)) as (url, _):
        small = ["pipeline.rows_per_shard=2", "workers=4", "pipeline.rows_per_block=8", "pipeline.object_store_mb=100"]
        command = [sys.executable, "-m", "scripts.evaluate", f"run.dir={folder}", *asked(dataset, url), *small]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            deadline = time.monotonic() + 300
            while len(Storage(str(folder)).list("trajectories")) < 3 and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            kill_all(process.pid)
            process.wait()
    assert not (folder / "score.json").exists() and 3 <= len(Storage(str(folder)).list("trajectories")) < 18
    with simulator(SimulatorConfig(malformed=0.4)) as (url, _):
        first = run(folder, *asked(dataset, url))
    assert not first["complete"] and first["failed"] > 0 and 12 <= first["attempts"] == 70 - first["failed"]
    assert "Incomplete" in (folder / "score.md").read_text() and "Incomplete" in (folder / "score.html").read_text()
    with simulator() as (url, played):
        run(folder, *asked(dataset, url))
        assert 0 < played.traffic.calls < 300  # what was answered is not asked again
    assert (folder / "score.json").read_bytes() == (evaluated / "score.json").read_bytes()
    assert {row.id: row for row in rollouts(folder)} == {row.id: row for row in rollouts(evaluated)}


def test_rollouts_are_graded_again_by_a_model_and_the_judges_are_compared(evaluated: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    with simulator() as (url, played):
        score = run(folder, f"rejudge={evaluated}", "judge=model", "llm=local", f"llm.base_url={url}", "llm.model=simulator", "rollouts=2")
        assert 0 < played.traffic.calls <= 70
    first = json.loads((evaluated / "score.json").read_text())
    assert score["model"] == first["model"] and score["judge"]["fingerprint"] and score["judge"]["style"] == "medbrowsecomp"
    assert score["agreement"]["rollouts"] == 70 and score["rates"]["unknown"] < first["rates"]["unknown"]
    assert not (folder / "trajectories").exists() and score["attempts"] == 70


def test_our_own_questions_are_answered_right_by_the_script_that_walks_their_proofs(tmp_path: Path) -> None:
    """The gold policy through the whole evaluation: were a scorer or the bookkeeping wrong, it would not have full marks."""
    graph, made = load_graph(GraphConfig()), tmp_path / "made"
    questions = proved_questions(graph, 10)
    claim_run_dir(Storage(str(made)), {}, graph, {})
    Storage(str(made)).write("questions/part-00000.parquet", parquet_bytes(to_table(questions, Question)))
    score = run(tmp_path / "eval", f"dataset={made}", "policy=scripted", "rollouts=1")
    assert score["questions"] == len(questions) >= 8 and score["accuracy"]["value"] == 1.0 and score["accuracy"]["low"] > 0.5
    assert not any(score["errors"].values()) and score["dataset"]["benchmark"] == "own" and score["effort"]["cost_usd"] == 0.0
    with pytest.raises(ConfigError, match="made from another graph"):
        run(tmp_path / "other", f"dataset={made}", "policy=scripted", "graph=generated", "graph.size=200")


def test_what_is_wrong_is_said_before_anything_is_asked(dataset: Path, evaluated: Path, tmp_path: Path) -> None:
    model = ["llm=local", "llm.base_url=http://127.0.0.1:9/v1", "llm.default.connect_timeout_s=1"]
    for told, overrides in (
        ("has no value", model),
        ("no such file", ["dataset=nowhere.csv", *model]),
        ("does not answer", [f"dataset={dataset}", *model]),
        ("unknown benchmark 'gaja'", [f"dataset={dataset}", "format=gaja", *model]),
        ("these questions have none", [f"dataset={dataset}", "policy=scripted"]),
        ("no column 'problem'", [f"dataset={dataset}", "format=browsecomp", *model]),
        ("no evaluation that has ended", [f"rejudge={tmp_path}"]),
        ("no model endpoint is set", [f"dataset={dataset}"]),
    ):
        with pytest.raises((ConfigError, InputError), match=told):
            run(tmp_path / "run", *overrides)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"rollouts was 2, is 3"), simulator() as (url, _):
        run(evaluated, *asked(dataset, url), "rollouts=3")
