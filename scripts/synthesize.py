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
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from agents.curate.duplicates import select_rows
from agents.curate.export import CardFacts, write_exports
from agents.curate.stage import CurateStage
from agents.records import TrainingRow
from agents.rollout import RolloutStage
from agents.tools.registry import wire_schemas
from engine.errors import InputError, UserError
from engine.ledger import Ledger, parquet_bytes
from engine.limits.limiter import Limiter, make_limiter
from engine.llm.client import HttpChatModel
from engine.pipeline.actor import StagePlan
from engine.pipeline.leg import LegResult, LegSettings, run_leg
from engine.pipeline.session import in_ray_job, ray_session
from engine.records import Record, Rejection, to_table
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
from scripts.funnel import Funnel, print_example, print_funnel
from scripts.settings import Settings, claim_run_dir, guard, read_settings, resolve_run_dir, write_manifest


@dataclass(frozen=True)
class Job:
    """One run: its settings, its graph, where it lives."""

    settings: Settings
    values: dict[str, Any]
    graph: Graph
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
    console = Console(soft_wrap=not sys.stdout.isatty())
    storage = Storage(run_dir)
    graph = load_graph(settings.graph)
    job = Job(settings, values, graph, storage, console)
    seeds = [] if settings.questions else _seeds(settings, graph)
    imported = read_questions(settings.questions) if settings.questions else []
    claim_run_dir(storage, values | {"graph_hash": graph.hash})
    console.print(
        f"graph '{graph.schema.name}': {len(graph):,} entities, {graph.edge_count:,} facts · run directory {run_dir}", highlight=False
    )
    with ray_session(settings.pipeline):
        shared = Shared.put(graph)
        found = ask(job, shared, seeds) if seeds else None
        questions, dropped = select_questions(found.rows("question", Question) if found else imported, settings.question)
        _keep(storage, "questions", questions, Question)
        _keep(storage, "rejections/select", dropped, Rejection)
        if not questions:
            raise UserError(_nothing(found, dropped))
        answered = answer(job, shared, questions)
    rows, doubled = select_rows(answered.rows("curate", TrainingRow))
    _keep(storage, "rejections/deduplicate", doubled, Rejection)
    funnel = Funnel.of(len(seeds), found, questions, dropped, answered, rows, doubled)
    hashes = write_exports(rows, storage, _card(job, questions, funnel), wire_schemas(settings.tools))
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


def answer(job: Job, graph: Shared[Graph], questions: Sequence[Question]) -> LegResult:
    """Second leg: questions → trajectories → curated rows."""
    settings = job.settings
    pages = documents(job.graph) + (read_corpus(settings.tools.corpus) if settings.tools.corpus else [])
    index = Shared.put(TextIndex.build(pages))
    model = _model_factory(settings, make_limiter(settings.limits)) if settings.policy.kind == "llm" else None
    plans: list[StagePlan[Any, Any]] = [
        StagePlan(RolloutStage(settings.policy, settings.tools, graph, index, model), settings.pools.rollout, "trajectories"),
        StagePlan(CurateStage(settings.curate), settings.pools.curate, "rows"),
    ]
    return run_leg(questions, plans, job.leg)


def _model_factory(settings: Settings, limiter: Limiter) -> Callable[[], HttpChatModel]:
    return functools.partial(HttpChatModel, settings.llm.role("agent"), limiter)


def _seeds(settings: Settings, graph: Graph) -> list[Seed]:
    seeds = read_seeds(settings.seeds) if settings.seeds else seeds_from_graph(graph, settings.sampler.hub_degree)
    if not seeds:
        where = settings.seeds or settings.graph.path or "graph"
        raise InputError(where, "no entity to start from", "give a seed file with seeds=FILE, or a graph with connected entities")
    return sorted(seeds, key=lambda seed: seed.id)[: settings.run.max_seeds]


def _keep(storage: Storage, name: str, rows: Sequence[Record], cls: type[Record]) -> None:
    """What a barrier decided, as one Parquet file that later runs overwrite."""
    target = f"{name}/part-00000.parquet" if "/" not in name else f"{name}.parquet"
    storage.write(target, parquet_bytes(to_table(rows, cls)))


def _card(job: Job, questions: Sequence[Question], funnel: Funnel) -> CardFacts:
    raise NotImplementedError


def _nothing(found: LegResult | None, dropped: Sequence[Rejection]) -> str:
    rejections = [*(found.rejections() if found else []), *dropped]
    failures = found.failures() if found else []
    causes = sorted({f"{row.cause} ({row.detail})" for row in [*rejections, *failures]})[:3]
    told = "\n  ".join(causes) or "the question file holds no question"
    return f"no usable question came out of this run; the causes, all kept in rejections/ and failures/:\n  {told}"


if __name__ == "__main__":
    main()
