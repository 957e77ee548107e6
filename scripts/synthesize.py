"""The main job: seeds → proved questions → trajectories → training rows, as two streams on Ray Data with a barrier between.

    python -m scripts.synthesize                                        # bundled graph, no key, no network
    python -m scripts.synthesize graph=path graph.path=DIR seeds=seeds.json run.name=mine
    python -m scripts.synthesize questions=qa.jsonl policy=llm llm=local llm.default.base_url=http://127.0.0.1:8000/v1
    python -m scripts.synthesize -m sampler=max_chain,mixed run.seed=0,1

Run the same command again and it goes on where it stopped.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from agents.curate.duplicates import select_rows
from agents.curate.export import write_exports
from agents.curate.stage import CurateStage
from agents.records import TrainingRow
from agents.rollout import RolloutStage
from agents.tools.registry import build_tools
from agents.tools.tool import wire_schema
from engine.errors import InputError, UserError
from engine.ledger import REJECTIONS, Ledger, parquet_bytes
from engine.limits.limiter import make_limiter
from engine.llm.client import HttpChatModel
from engine.pipeline.actor import StagePlan
from engine.pipeline.leg import LegResult, LegSettings, run_leg
from engine.pipeline.session import in_ray_job, ray_session
from engine.records import Ending, Record, Rejection, to_table
from engine.shared import Shared
from engine.storage import Storage
from engine.web.corpus import read_corpus
from engine.web.index import TextIndex
from samplers.graph.documents import documents
from samplers.graph.loader import load_graph
from samplers.graph.store import Graph
from samplers.questions.imports import read_questions
from samplers.questions.select import select_questions
from samplers.questions.synthesise import QuestionStage
from samplers.records import Question, Seed
from samplers.sample import SampleStage
from samplers.seeds import read_seeds, seeds_from_graph
from scripts.card import card_facts, describe
from scripts.funnel import Funnel, make_console, print_example, print_funnel
from scripts.settings import Settings, claim_run_dir, guard, read_settings, resolve_run_dir, write_manifest

R = TypeVar("R", bound=Record)

SHOWN_CAUSES = 3
"""Causes told when nothing came out; all are kept."""


@dataclass(frozen=True)
class Job:
    """One run: its settings, where it lives, where it speaks."""

    settings: Settings
    storage: Storage
    console: Console

    @property
    def leg(self) -> LegSettings:
        """What both legs run under."""
        return LegSettings(self.settings.run, self.settings.pipeline, Ledger(self.storage), self.console)


def main() -> None:
    """Entry point: check the command line, then let Hydra compose the configuration and run."""
    guard("synthesize")
    _hydra_main()


@hydra.main(config_path="../conf", config_name="synthesize", version_base=None)
def _hydra_main(config: DictConfig) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        settings, values = read_settings(config)
        run_job(settings, values, resolve_run_dir(settings, values, in_ray_job(), in_sweep))
    except UserError as error:
        sys.exit(f"error: {error}")


def run_job(settings: Settings, values: dict[str, Any], run_dir: str) -> None:
    """The whole job. Rows, exports and the manifest are in `run_dir` when it returns."""
    console = make_console()
    storage = Storage(run_dir)
    graph = load_graph(settings.graph)
    job = Job(settings, storage, console)
    seeds = [] if settings.questions else _seeds(settings, graph)
    imported = read_questions(settings.questions) if settings.questions else []
    index = TextIndex.build([*documents(graph), *(read_corpus(settings.tools.corpus) if settings.tools.corpus else [])])
    claim_run_dir(storage, values, graph)
    console.print(describe(graph), highlight=False)
    console.print(f"run directory: {run_dir}", highlight=False)
    with ray_session(settings.pipeline):
        shared = Shared.put(graph)
        found = ask(job, shared, seeds) if seeds else None
        questions, dropped = select_questions(found.rows("question", Question) if found else imported, settings.question)
        _keep(storage, "questions/part-00000.parquet", questions, Question)
        _keep(storage, "rejections/select.parquet", dropped, Rejection)
        if not questions:
            raise UserError(_nothing_came(found, dropped))
        answered = answer(job, shared, index, questions)
    rows, doubled = select_rows(answered.rows("curate", TrainingRow))
    _keep(storage, "rejections/deduplicate.parquet", doubled, Rejection)
    funnel = Funnel.of(len(seeds), found, questions, dropped, answered, rows, doubled)
    tools = [wire_schema(tool) for tool in build_tools(settings.tools, index, graph)]
    hashes = write_exports(rows, Path(storage.path("export")), card_facts(settings, graph, questions, funnel), tools)
    write_manifest(storage, values, funnel.as_dict(), hashes, graph.hash)
    print_funnel(console, funnel)
    print_example(console, questions)


def ask(job: Job, graph: Shared[Graph], seeds: Sequence[Seed]) -> LegResult:
    """First leg: seeds → subgraphs → proved questions."""
    settings = job.settings
    plans: list[StagePlan[Any, Any]] = [
        StagePlan(SampleStage(graph, settings.sampler), settings.pools.sample, None),
        StagePlan(QuestionStage(graph, settings.question), settings.pools.question, "candidates"),
    ]
    return run_leg(seeds, plans, job.leg)


def answer(job: Job, graph: Shared[Graph], index: TextIndex, questions: Sequence[Question]) -> LegResult:
    """Second leg: questions → trajectories → curated rows."""
    settings = job.settings
    model = _model_factory(settings) if settings.policy.kind == "llm" else None
    plans: list[StagePlan[Any, Any]] = [
        StagePlan(RolloutStage(settings.policy, settings.tools, graph, Shared.put(index), model), settings.pools.rollout, "trajectories"),
        StagePlan(CurateStage(settings.curate), settings.pools.curate, "rows"),
    ]
    return run_leg(questions, plans, job.leg)


def _model_factory(settings: Settings) -> Callable[[], HttpChatModel]:
    """Every actor builds its own client; all share the limits of one governor."""
    return functools.partial(HttpChatModel, settings.llm.role("agent"), make_limiter(settings.limits))


def _seeds(settings: Settings, graph: Graph) -> list[Seed]:
    seeds = read_seeds(Path(settings.seeds)) if settings.seeds else seeds_from_graph(graph, settings.sampler.hub_degree)
    if not seeds:
        where = settings.seeds or settings.graph.path or "graph"
        raise InputError(where, "no entity to start from", "give a seed file with seeds=FILE, or a graph with connected entities")
    return sorted(seeds, key=lambda seed: seed.id)[: settings.run.max_seeds]


def _keep(storage: Storage, name: str, rows: Sequence[R], cls: type[R]) -> None:
    """What a barrier decided, as one Parquet file that a later run overwrites."""
    storage.write(name, parquet_bytes(to_table(rows, cls)))


def _nothing_came(found: LegResult | None, dropped: Sequence[Rejection]) -> str:
    endings: list[Ending] = [*dropped, *(found.rejections() if found else []), *(found.failures() if found else [])]
    told = "\n  ".join(sorted({f"{row.stage}: {row.cause} ({row.detail})" for row in endings})[:SHOWN_CAUSES])
    remedy = f"use another graph or other seeds, or loosen question.* and sampler.*; every cause is in {REJECTIONS}/"
    return f"no usable question came out of this run\n  {told}\n  → {remedy}"


if __name__ == "__main__":
    main()
