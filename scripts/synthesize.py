"""The main job: seeds → proved questions → trajectories → training rows, as two streams on Ray Data with a barrier between.

    python -m scripts.synthesize                                        # bundled graph, no key, no network
    python -m scripts.synthesize graph=path graph.path=DIR seeds=seeds.json run.name=mine
    python -m scripts.synthesize questions=qa.jsonl policy=llm llm=local llm.default.base_url=http://127.0.0.1:8000/v1
    python -m scripts.synthesize -m sampler=max_chain,mixed run.seed=0,1

Run the same command again and it goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
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
from agents.records import TrainingRow, Trajectory
from agents.rollout import RolloutStage
from agents.tools.registry import build_tools
from agents.tools.tool import wire_schema
from engine.errors import InputError, UserError
from engine.ledger import REJECTIONS, Ledger, parquet_bytes
from engine.limits.limiter import Unlimited
from engine.llm.protocol import ChatModel
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
from scripts.estimate import PILOT_SEEDS, expect, print_expectations
from scripts.funnel import Funnel, make_console, print_example, print_funnel
from scripts.models import agent_factory, cost_usd, served_fingerprint, shared_limiter
from scripts.settings import CONF, Settings, claim_run_dir, guard, read_settings, resolve_run_dir, write_manifest

R = TypeVar("R", bound=Record)

SHOWN_CAUSES = 3
"""Causes told when nothing came out; all are kept."""


@dataclass(frozen=True)
class Job:
    """One run: what it reads, where it lives, where it speaks."""

    settings: Settings
    storage: Storage
    console: Console
    graph: Graph
    index: TextIndex
    seeds: list[Seed]
    imported: list[Question]
    fingerprint: str
    """Of the served agent model; empty for the scripted policy."""

    def pilot(self) -> Job:
        """The same job on its first seeds (or imported questions) only."""
        return dataclasses.replace(self, seeds=self.seeds[:PILOT_SEEDS], imported=self.imported[:PILOT_SEEDS])

    @property
    def leg(self) -> LegSettings:
        """What both legs run under."""
        return LegSettings(self.settings.run, self.settings.pipeline, Ledger(self.storage), self.console)


def main() -> None:
    """Entry point: check the command line, then let Hydra compose the configuration and run."""
    guard("synthesize")
    _hydra_main()


@hydra.main(config_path=str(CONF), config_name="synthesize", version_base=None)
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
    job = prepare(settings, values, run_dir)
    total, job = len(job.seeds or job.imported), job.pilot() if settings.run.estimate else job
    with ray_session(settings.pipeline):
        begun = time.monotonic()
        graph, index = Shared.put(job.graph), Shared.put(job.index)
        found = run_leg(job.seeds, first_leg(settings, graph), job.leg) if job.seeds else None
        questions, dropped = select_questions(found.rows("question", Question) if found else job.imported, settings.question)
        _keep(job.storage, "questions/part-00000.parquet", questions, Question)
        _keep(job.storage, "rejections/select.parquet", dropped, Rejection)
        if not questions:
            raise UserError(_nothing_came(found, dropped))
        model = (
            agent_factory(settings, job.storage, shared_limiter(settings, job.storage, job.fingerprint), job.fingerprint)
            if job.fingerprint
            else None
        )
        answered = run_leg(questions, second_leg(settings, graph, index, model), job.leg)
        seconds = time.monotonic() - begun
    if settings.run.estimate:
        pilot = [row.trace_id for row in job.seeds or job.imported]
        trajectories = answered.rows("rollout", Trajectory)
        print_expectations(job.console, expect(trajectories, pilot, total, settings.llm.role("agent"), seconds), len(pilot), total)
        return
    rows, doubled = select_rows(answered.rows("curate", TrainingRow))
    _keep(job.storage, "rejections/deduplicate.parquet", doubled, Rejection)
    finish(job, values, questions, rows, Funnel.of(len(job.seeds), found, questions, dropped, answered, rows, doubled))


def finish(job: Job, values: dict[str, Any], questions: Sequence[Question], rows: Sequence[TrainingRow], funnel: Funnel) -> None:
    """Write the exports and, last of all, the manifest; show where the rows went."""
    tools = [wire_schema(tool) for tool in build_tools(job.settings.tools, job.index, job.graph)]
    hashes = write_exports(rows, job.storage, card_facts(job.settings, job.graph, questions, funnel), tools)
    cost = cost_usd(job.settings, job.storage, job.fingerprint)
    write_manifest(job.storage, values, funnel.as_dict(), hashes, job.graph.hash, cost)
    print_funnel(job.console, funnel)
    print_example(job.console, questions)


def prepare(settings: Settings, values: dict[str, Any], run_dir: str) -> Job:
    """Read and check everything that can be wrong before anything is started.

    Raises:
        UserError: a file or a setting is wrong, or the run directory cannot be used.
    """
    console, storage = make_console(), Storage(run_dir)
    imported = read_questions(settings.questions) if settings.questions else []
    named = read_seeds(Path(settings.seeds)) if settings.seeds else []
    graph = load_graph(settings.graph)
    index = TextIndex.build([*documents(graph), *(read_corpus(settings.tools.corpus) if settings.tools.corpus else [])])
    fingerprint = served_fingerprint(settings, storage) if settings.policy.kind == "llm" else ""
    model = agent_factory(settings, storage, Unlimited(), fingerprint) if fingerprint else None
    first_leg(settings, Shared.local(graph))  # the stages' constructors refuse what cannot work
    second_leg(settings, Shared.local(graph), Shared.local(index), model)
    seeds = [] if imported else _first_seeds(named or seeds_from_graph(graph, settings.sampler.hub_degree), settings)
    claim_run_dir(storage, values, graph, fingerprint)
    console.print(describe(graph), highlight=False)
    console.print(f"run directory: {run_dir}", highlight=False)
    return Job(settings, storage, console, graph, index, seeds, imported, fingerprint)


def first_leg(settings: Settings, graph: Shared[Graph]) -> list[StagePlan[Any, Any]]:
    """Seeds → subgraphs → proved questions."""
    return [
        StagePlan(SampleStage(graph, settings.sampler), settings.pools.sample, None),
        StagePlan(QuestionStage(graph, settings.question), settings.pools.question, "candidates"),
    ]


def second_leg(
    settings: Settings, graph: Shared[Graph], index: Shared[TextIndex], model: Callable[[], ChatModel] | None
) -> list[StagePlan[Any, Any]]:
    """Questions → trajectories → curated rows. `model` plays the agent when the policy is not scripted."""
    return [
        StagePlan(RolloutStage(settings.policy, settings.tools, graph, index, model), settings.pools.rollout, "trajectories"),
        StagePlan(CurateStage(settings.curate), settings.pools.curate, "rows"),
    ]


def _first_seeds(seeds: Sequence[Seed], settings: Settings) -> list[Seed]:
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
