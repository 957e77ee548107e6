"""A benchmark → scores with error bars: a served model plays every question several times with tools, and each answer is graded.

    python -m scripts.evaluate dataset=final50_cell_combo_shift3_b64.csv llm=local llm.base_url=http://127.0.0.1:8000/v1 \\
        llm.model=NAME web=tavily rollouts=4 workers=20 run.dir=runs/med50
    python -m scripts.evaluate dataset=runs/demo policy=scripted run.dir=runs/gold      # the scripted policy, no model
    python -m scripts.evaluate dataset=qa.jsonl … judge=model                           # a model judges what text cannot tell
    python -m scripts.evaluate dataset=qa.jsonl … tape=replay                           # the same score again, nobody asked
    python -m scripts.evaluate rejudge=runs/med50 judge=model llm=… run.dir=runs/again  # graded again, nothing is played
    python -m scripts.evaluate mode=interactive llm=local llm.base_url=http://127.0.0.1:8000/v1   # ask it yourself, and watch

The run directory then holds `rollouts.parquet` (a row per attempt), `score.json`, `score.md`, `score.html` and `speed.json`. Run the same
command again and it goes on where it stopped; what failed is tried again. docs/evaluation.md explains every number.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from agents.config import CurateConfig
from agents.rollout import RolloutStage
from agents.tools.context import ToolSources
from agents.tools.registry import build_tools, check_graph, rates, reads_by_model
from engine.config import parse
from engine.errors import ConfigError, InputError, UserError
from engine.ledger import Ledger, parquet_bytes
from engine.limits.limiter import make_limiter
from engine.pipeline.actor import StagePlan
from engine.pipeline.leg import LegResult, LegSettings, run_leg
from engine.pipeline.session import in_ray_job, ray_session
from engine.records import Record, Rejection, canonical_json, derive_id, to_table
from engine.shared import Shared
from engine.storage import Storage
from engine.web.corpus import read_corpus
from engine.web.index import TextIndex
from engine.web.sources import WebFactory, WebLimiters, web_limiters
from samplers.graph.loader import load_graph
from samplers.graph.pages import graph_index, on_graph
from samplers.graph.store import Graph
from samplers.records import Question
from scripts.funnel import make_console
from scripts.live import Live, typed
from scripts.models import Models, open_models
from scripts.score.facts import facts_of, speed_of
from scripts.score.page import write_page
from scripts.settings import CONF, claim_settings, guard, plain_values, read_config, resolve_run_dir, write_manifest
from serve.evals.benchmarks.benchmark import Benchmark
from serve.evals.benchmarks.own import is_run
from serve.evals.benchmarks.registry import BENCHMARKS, find_benchmark
from serve.evals.comparison import cohens_kappa
from serve.evals.config import EvaluateSettings
from serve.evals.evaluated import Evaluated, read_evaluated
from serve.evals.grade import GradeStage
from serve.evals.records import Graded
from serve.evals.report import headline_rows, in_words, markdown
from serve.evals.score import Evaluation, score_of
from serve.evals.taxonomy import evidence_of

SHORT = {"llm.base_url": "llm.default.base_url", "llm.model": "llm.default.model", "judge": "curate.judge"}
"""Keys that may be written short on the command line."""

ROLLOUTS = "rollouts.parquet"
"""All graded rollouts in one file, in the run directory."""


@dataclass(frozen=True)
class Job:
    """One evaluation: what is asked, with what, and where the answers go."""

    settings: EvaluateSettings
    known: dict[str, Any]
    """All settings, and the hashes of what they name."""
    storage: Storage
    console: Console
    benchmark: Benchmark
    questions: list[Question]
    left_out: list[Rejection]
    graph: Graph
    index: TextIndex
    models: Models
    earlier: Evaluated | None
    """What is graded again; None: the questions are played."""


def main() -> None:
    """Entry point: check the command line, then let Hydra compose the configuration and run."""
    sys.argv[1:] = spelled_out(sys.argv[1:])
    guard("evaluate")
    _hydra_main()


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """The short keys in full."""
    parts = (argument.partition("=") for argument in arguments)
    return [f"{SHORT.get(key, key)}{sign}{value}" for key, sign, value in parts]


@hydra.main(config_path=str(CONF), config_name="evaluate", version_base=None)
def _hydra_main(config: DictConfig) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        values = plain_values(config)
        settings = parse(values, EvaluateSettings)
        if settings.mode == "interactive":
            talk(settings, make_console(), typed(input))
            return
        run_job(settings, values, resolve_run_dir(settings, values, in_ray_job(), in_sweep=False))
    except UserError as error:
        sys.exit(f"error: {error}")


def run_job(settings: EvaluateSettings, values: dict[str, Any], run_dir: str) -> dict[str, Any]:
    """The whole evaluation; what `score.json` holds.

    Raises:
        UserError: a file or a setting is wrong, or nobody answers.
    """
    job = prepare(settings, values, run_dir)
    with ray_session(settings.pipeline):
        leg = LegSettings(settings.run, settings.pipeline, Ledger(job.storage), job.console)
        inputs: Sequence[Record] = job.earlier.trajectories if job.earlier else job.questions
        ended = run_leg(inputs, plans(job), leg)
    return finish(job, ended)


def talk(settings: EvaluateSettings, console: Console, questions: Iterator[str]) -> None:
    """Answer questions live, one after the other; nothing is graded and nothing is written.

    Raises:
        UserError: a setting is wrong, or nobody answers.
    """
    if settings.policy.kind != "llm":
        raise ConfigError("mode", "interactive asks a model, and policy.kind is scripted", "set policy=llm and a model")
    unwritten = replace(settings, tape=replace(settings.tape, mode="off"))
    models = open_models(unwritten, Storage(settings.run.dir), ["agent", *(["reader"] if reads_by_model(settings.tools) else [])])
    graph = load_graph(settings.graph)
    check_graph(settings.tools, graph)
    index = graph_index(Shared.local(graph), read_corpus(settings.tools.corpus) if settings.tools.corpus else [])
    agent = models.factory("agent", RolloutStage.name)
    assert agent is not None
    tools = build_tools(settings.tools, index, graph, _sources(settings, models, governed=False).open())
    console.print(f"{models.fingerprints['agent']}, tools {', '.join(tool.name for tool in tools)}; an empty line ends", highlight=False)
    Live(console, agent(), settings.llm.role("agent"), tools, settings.policy).ask_all(questions)


def prepare(settings: EvaluateSettings, values: dict[str, Any], run_dir: str) -> Job:
    """Read and check everything that can be wrong before anything is started.

    Raises:
        UserError: a file or a setting is wrong, or the run directory cannot be used.
    """
    storage, console = Storage(run_dir), make_console()
    earlier = read_evaluated(settings.rejudge) if settings.rejudge else None
    if earlier is not None:
        benchmark, asked, left_out = BENCHMARKS[earlier.benchmark], earlier.questions, list[Rejection]()
    else:
        path = _dataset(settings)
        benchmark = find_benchmark(settings.format, path)
        loaded = benchmark.load(path)
        asked, left_out = loaded.questions, loaded.left_out
    questions = sorted(asked, key=lambda row: row.id)[: settings.run.max_seeds]
    settings = replace(settings, curate=_judging(settings, benchmark))
    graph = load_graph(settings.graph)
    index = graph_index(Shared.local(graph), read_corpus(settings.tools.corpus) if settings.tools.corpus else [])
    _check(settings, questions, graph)
    models = open_models(settings, storage, _roles(settings))
    known = {
        **values,
        "benchmark": benchmark.name,
        "dataset_hash": derive_id(*(canonical_json([row.id, row.text, row.answer, row.answer_aliases, row.tags]) for row in questions)),
        "trajectories_hash": derive_id(*(row.id for row in earlier.trajectories)) if earlier else "",
        "graph_hash": graph.hash,
        "fingerprints": dict(models.fingerprints),
    }
    job = Job(settings, known, storage, console, benchmark, questions, left_out, graph, index, models, earlier)
    plans(job, check_only=True)  # the stages' constructors refuse what cannot work
    claim_settings(storage, known)
    console.print(f"{benchmark.manifest.title}: {len(questions):,} questions; run directory: {run_dir}", highlight=False)
    return job


def plans(job: Job, *, check_only: bool = False) -> list[StagePlan[Any, Any]]:
    """Questions → trajectories → graded rollouts, or the last step alone. Ray must be running unless it is only a check."""
    settings = job.settings
    models = job.models if check_only else job.models.limited()
    judge = models.factory("judge", GradeStage.name)
    evidence = {row.id: found for row in job.questions if (found := evidence_of(row))}
    grade: StagePlan[Any, Any] = StagePlan(GradeStage(job.benchmark.name, settings.curate, judge, evidence), settings.pools.grade, "graded")
    if job.earlier is not None:
        return [grade]
    graph = Shared.local(job.graph) if check_only else Shared.put(job.graph)
    index = Shared.local(job.index) if check_only else Shared.put(on_graph(job.index, graph))
    agent = models.factory("agent", RolloutStage.name)
    sources = _sources(settings, models, governed=not check_only)
    rollout = RolloutStage(settings.policy, settings.tools, graph, index, agent, sources=sources)
    return [StagePlan(rollout, settings.pools.rollout, "trajectories"), grade]


def finish(job: Job, ended: LegResult) -> dict[str, Any]:
    """Write the rollouts, the score, the reports and, last of all, the manifest; show the score."""
    graded = ended.rows(GradeStage.name, Graded)
    refused = [row for row in ended.rejections() if row.stage == RolloutStage.name]
    if job.earlier is not None:
        refused = job.earlier.refused
    failed = len(ended.failures()) + (job.earlier.failed if job.earlier else 0)
    cost = job.models.cost_usd() if _is_priced(job) else None
    found = Evaluation(job.questions, job.settings.rollouts, graded, refused, failed, cost, job.settings.run.seed)
    facts = facts_of(job.settings, job.benchmark, job.questions, job.left_out, job.known, job.graph.schema.snapshot)
    score = {**(job.earlier.facts(facts) if job.earlier else facts), **score_of(found)}
    score |= {"agreement": _agreement(job.earlier, graded)} if job.earlier else {}
    speed = speed_of(job.storage)
    files = {
        "questions/part-00000.parquet": parquet_bytes(to_table(job.questions, Question)),
        "rejections/read.parquet": parquet_bytes(to_table(job.left_out, Rejection)),
        ROLLOUTS: parquet_bytes(to_table(graded, Graded)),
        "score.json": (json.dumps(score, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode(),
        "speed.json": (json.dumps(speed, indent=2, sort_keys=True) + "\n").encode(),
        "score.md": markdown(score, speed).encode(),
        "score.html": write_page(score, speed, graded).encode(errors="replace"),
    }
    for name, data in files.items():
        job.storage.write(name, data)
    counts = {"seeds": len(job.questions), "attempts": found.attempts, "failed": failed}
    write_manifest(job.storage, job.known, counts, {}, job.graph.hash, cost)
    _show(job, score)
    return score


def _is_priced(job: Job) -> bool:
    """Whether cost is known: nothing was asked, or what was asked has a price."""
    endpoints = [job.settings.llm.role(role) for role in job.models.fingerprints]
    return all(endpoint.usd_per_1m_input or endpoint.usd_per_1m_output for endpoint in endpoints)


def _dataset(settings: EvaluateSettings) -> Path:
    if settings.dataset is None:
        raise ConfigError("dataset", "has no value", "add dataset=FILE to the command; no benchmark is shipped")
    path = Path(settings.dataset)
    if not path.exists():
        raise InputError(path, "no such file or folder", "name the benchmark's file as you downloaded it")
    return path


def _judging(settings: EvaluateSettings, benchmark: Benchmark) -> CurateConfig:
    """The judge's settings; what counts as the same answer is the benchmark's own, unless another style is asked for."""
    style = benchmark.style if settings.curate.judge_style == "base" else settings.curate.judge_style
    return replace(settings.curate, judge_style=style)


def _roles(settings: EvaluateSettings) -> list[str]:
    plays = settings.rejudge is None
    asked = {
        "agent": plays and settings.policy.kind == "llm",
        "reader": plays and reads_by_model(settings.tools),
        "judge": settings.curate.judge == "model",
    }
    return [role for role, wanted in asked.items() if wanted]


def _check(settings: EvaluateSettings, questions: Sequence[Question], graph: Graph) -> None:
    """Refuse what would give a score that means nothing.

    Raises:
        ConfigError: the questions were made from another graph, or a script is to walk proofs that are not there.
    """
    if settings.rejudge is not None:
        return
    check_graph(settings.tools, graph)
    if settings.policy.kind == "scripted" and any(row.certificate is None for row in questions):
        raise ConfigError("policy.kind", "scripted walks proofs, and these questions have none", "set policy=llm and a model")
    if settings.dataset is not None and is_run(Path(settings.dataset)):
        made_from = (read_config(Storage(settings.dataset)) or {}).get("graph_hash")
        if made_from != graph.hash:
            problem = f"the questions of {settings.dataset} were made from another graph"
            raise ConfigError("graph", problem, "give the same graph=… as the run that made them")


def _sources(settings: EvaluateSettings, models: Models, *, governed: bool) -> ToolSources:
    """What the tools ask beside the graph and its pages; `governed` gives each service its limits, for which Ray must be running."""
    rate, hosted = rates(settings.tools), settings.web.search != "local"
    limiters = {name: make_limiter(one.limits) for name, one in rate.items()} if governed else {}
    web = WebFactory(settings.web, None, "", models.tape, web_limiters(settings.web) if governed else WebLimiters()) if hosted else None
    reader = models.factory("reader", RolloutStage.name) if reads_by_model(settings.tools) else None
    return ToolSources(tape=models.tape if hosted or rate else None, web=web, reader=reader, limiters=limiters)


def _agreement(earlier: Evaluated, graded: Sequence[Graded]) -> dict[str, Any]:
    """How far this judge and the one before agree on the same rollouts."""
    before = {row.id: row.verdict.value for row in earlier.graded}
    both = [(before[row.id], row.verdict.value) for row in graded if row.id in before]
    if not both:
        return {}
    first, second = zip(*both, strict=True)
    changed = Counter(f"{one} → {other}" for one, other in both if one != other)
    agreed = sum(one == other for one, other in both) / len(both)
    kappa = cohens_kappa(first, second)
    return {
        "rollouts": len(both),
        "agreed": round(agreed, 6),
        "kappa": None if kappa is None else round(kappa, 6),
        "changed": dict(changed),
    }


def _show(job: Job, score: dict[str, Any]) -> None:
    table = Table(title=f"{score['dataset']['title']}, {score['model']['fingerprint'] or score['model']['policy']}", title_justify="left")
    for heading in ("measure", "value", "95 % interval", "± (se)", "questions", "clusters"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    for row in headline_rows(score):
        table.add_row(*row)
    job.console.print(table)
    job.console.print(in_words(score), highlight=False)
    if not score["complete"]:
        job.console.print(f"incomplete: {score['failed']:,} rollouts failed; run the same command to try them again", highlight=False)
    job.console.print(f"report: {job.storage.path('score.html')}", highlight=False)


if __name__ == "__main__":
    main()
