"""Lines of information on the way from a seed to a question: a draw, a proof, a search."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from engine.errors import RejectedError
from engine.shared import Shared
from engine.web.index import TextIndex
from samplers.config import GraphConfig, QuestionConfig, SamplerConfig
from samplers.graph.documents import documents
from samplers.graph.loader import load_graph
from samplers.graph.store import Graph
from samplers.questions.proof import prove
from samplers.questions.synthesise import QuestionStage
from samplers.records import Certificate, Seed, Subgraph
from samplers.sample import SampleStage
from samplers.seeds import seeds_from_graph
from samplers.strategies import STRATEGIES
from scripts.bench.table import Line
from scripts.bench.work import Scale

T = TypeVar("T")

HUB_DEGREE = SamplerConfig().hub_degree

RESEARCHER_MS = 12.0
"""p50 CPU of one draw of 8 entities by MedResearcher-R1 on a graph of 1,000, the lower end of what was measured."""


def sampling(scale: Scale) -> Iterator[Line]:
    """CPU of one draw, all five strategies, on the bundled graph and on the shared one where it is present."""
    for name, config in _graphs(scale):
        graph = load_graph(config)
        for size in (8, 16):
            p50 = {strategy: _p50_ms(_draws(graph, strategy, size, scale.pick(200, 10))) for strategy in STRATEGIES}
            slowest = max(p50, key=lambda strategy: p50[strategy])
            told = ", ".join(f"{strategy} {ms:.2g}" for strategy, ms in p50.items())
            yield Line(
                case="sampling", what=f"{size} of {len(graph):,} entities ({name}), p50 of the slowest: {slowest} ({told})",
                value=p50[slowest], unit="ms", limit=RESEARCHER_MS, against="MedResearcher-R1, 8 of 1,000 (published)",
            )  # fmt: skip


def proof(scale: Scale) -> Iterator[Line]:
    """CPU of proving a question on the bundled graph."""
    graph, config = load_graph(GraphConfig()), QuestionConfig()
    proved = _certificates(graph, scale.pick(150, 5))
    taken = []
    for certificate in proved:
        begun = time.process_time()
        prove(
            graph, certificate.query, certificate.paradigm, config, compared=certificate.compared, direction=certificate.direction
        )  # fmt: skip
        taken.append((time.process_time() - begun) * 1000)
    for name, share in (("p50", 50), ("p99", 99)):
        value = float(np.percentile(taken, share))
        yield Line(case="proof", what=f"of {len(taken)} questions of {len(graph):,} entities, {name}", value=value, unit="ms")


def search(scale: Scale) -> Iterator[Line]:
    """One search over the pages written from the bundled graph."""
    graph = load_graph(GraphConfig())
    index = TextIndex.build(documents(graph))
    names = [graph.name(entity) for entity in random.Random(0).sample(range(len(graph)), scale.pick(400, 20))]
    value = _p50_ms([lambda name=name: index.search(f"Which drug treats {name}?", 8) for name in names])  # type: ignore[misc]
    yield Line(case="search", what=f"8 hits among {len(index):,} pages, p50", value=value, unit="ms")


def _graphs(scale: Scale) -> list[tuple[str, GraphConfig]]:
    shared = Path(os.environ.get("HOPFORGE_SHARED_DATA", "../shared/data")) / "kg"
    found = [("bundled", GraphConfig())]
    return found if scale.quick or not shared.is_dir() else [*found, ("shared", GraphConfig(source="path", path=str(shared)))]


def _draws(graph: Graph, strategy: str, size: int, count: int) -> list[Callable[[], object]]:
    rng = random.Random(0)
    seeds = rng.sample(seeds_from_graph(graph, HUB_DEGREE), count)
    starts = [graph.find(seed.name)[0] for seed in seeds]
    return [lambda start=start: STRATEGIES[strategy].draw(graph, start, size, HUB_DEGREE, rng) for start in starts]  # type: ignore[misc]


def _p50_ms(calls: Sequence[Callable[[], object]]) -> float:
    taken = []
    for call in calls:
        begun = time.process_time()
        call()
        taken.append((time.process_time() - begun) * 1000)
    return float(np.median(taken))


def _certificates(graph: Graph, count: int) -> list[Certificate]:
    """Of the first so many questions that the stages make from the graph's own seeds."""
    shared = Shared.local(graph)
    sample, question = SampleStage(shared, SamplerConfig()), QuestionStage(shared, QuestionConfig())
    return asyncio.run(_first_proved(sample, question, seeds_from_graph(graph, HUB_DEGREE), count))


async def _first_proved(sample: SampleStage, question: QuestionStage, seeds: Sequence[Seed], count: int) -> list[Certificate]:
    await sample.open()
    await question.open()
    found: list[Certificate] = []
    for seed in seeds:
        rng = random.Random(seed.id)
        try:
            drawn: Subgraph = await sample.attempt(seed, 0, rng)
            made = await question.attempt(drawn, 0, rng)
        except RejectedError:
            continue
        if made.certificate is not None:
            found.append(made.certificate)
        if len(found) == count:
            break
    return found
