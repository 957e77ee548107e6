"""Subgraph and question for Explore and Ask, made by the stages of a run: a run with the same settings makes the same ones."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine.config import EndpointConfig, parse
from engine.errors import InputError
from engine.limits.limiter import Unlimited
from engine.llm.client import HttpChatModel
from engine.records import Ending, Record
from engine.shared import Shared
from engine.stage import Stage, run_stage
from samplers.config import GraphConfig, QuestionConfig, SamplerConfig
from samplers.graph.loader import native_folder
from samplers.graph.schema_text import dump_schema
from samplers.graph.store import Graph
from samplers.questions.audit import Fault, audit_questions
from samplers.questions.build import Try
from samplers.questions.proof import operand_asks
from samplers.questions.reword import RewordStage
from samplers.questions.synthesise import QuestionStage
from samplers.records import Asks, Atom, Query, Question, Subgraph
from samplers.sample import SampleStage
from samplers.seeds import make_seed
from serve.runs.reading import atom_in_words
from serve.studio.address import ANY, Address

In = TypeVar("In", bound=Record)
Out = TypeVar("Out", bound=Record)

PATIENCE_S = 120.0
"""Of somebody who looks at a page."""
AUDITABLE = 1_000_000
"""Edges: the independent evaluator keeps each as a Python object, so that more would fill the memory."""


def sampled(graph: Shared[Graph], address: Address) -> Subgraph | Ending:
    """What `sampler.strategy`, `sampler.size` and `run.seed` draw around the seed, or why nothing."""
    stage = SampleStage(graph, SamplerConfig(strategy=address.strategy, size=address.nodes))
    return _made(stage, make_seed(address.seed.strip()), address.draw)


def posed(graph: Shared[Graph], address: Address, subgraph: Subgraph, watch: Callable[[Try], None]) -> Question | Ending:
    """The proved question of a subgraph, or how all tries ended.

    Args:
        watch: told of each try, from the thread that this runs in.
    """
    return _made(QuestionStage(graph, question_config(address), watch), subgraph, address.draw)


def reworded(graph: Shared[Graph], address: Address, question: Question, endpoint: EndpointConfig) -> Question | Ending:
    """The question in the words of a model, author and reader in one, if they pass what a run asks of them; else as it was, and why.

    Raises:
        ConfigError: the endpoint has no address, or its key is not set.
    """
    models: list[HttpChatModel] = []

    def model() -> HttpChatModel:
        models.append(HttpChatModel(endpoint, Unlimited()))
        return models[-1]

    return _made(RewordStage(graph, question_config(address), model, model), question, address.draw, models)


def question_config(address: Address) -> QuestionConfig:
    """The settings `question.*` that the page's knobs stand for."""
    return parse({"min_hops": address.hops, "difficulty": address.difficulty, "paradigms": _weights(address)}, QuestionConfig, "question")


def _weights(address: Address) -> dict[str, float]:
    plain = QuestionConfig().paradigms
    return {name: weight if address.paradigm == ANY else float(name == address.paradigm) for name, weight in plain.items()}


def command(address: Address) -> str:
    """The settings of a run that makes the same question wherever this seed is among its seeds, as one would type them."""
    typed = [
        f"sampler={address.strategy}",
        f"sampler.size={address.nodes}",
        f"run.seed={address.draw}",
        f"question.min_hops={address.hops}",
    ]
    if address.paradigm != ANY:
        weights = ",".join(f"{name}:{weight:g}" for name, weight in _weights(address).items())
        typed.append(f"'question.paradigms={{{weights}}}'")
    if address.difficulty != ANY:
        typed.append(f"question.difficulty={address.difficulty}")
    return " ".join(["python -m scripts.synthesize", *typed])


@dataclass(frozen=True, slots=True)
class Clue:
    """One atom of a proof."""

    text: str
    left: int
    """Answers without it."""
    capped: bool
    """There are at least so many; they were not counted further."""


def clues(question: Question) -> Iterator[tuple[Query, list[Clue]]]:
    """The question's one or two queries, each with its atoms and what is left without each."""
    certificate = question.certificate
    if certificate is None:
        return
    parts = [(certificate.query, certificate.drops)]
    if certificate.second is not None:
        parts.append((certificate.second.query, certificate.second.drops))
    for query, drops in parts:
        left = {drop.atom: drop.answers for drop in drops}
        yield query, [_clue(query, atom, left[place], certificate.answer_cap) for place, atom in enumerate(query.atoms)]


def _clue(query: Query, atom: Atom, left: int, cap: int) -> Clue:
    return Clue(atom_in_words(atom, {item.entity: item.name for item in query.constants}), left, left >= cap)


def formula(question: Question) -> str:
    """What is asked, as one formal query: `most approved_year among ?x: ?x is a Drug ∧ ?x —treats→ asthma`."""
    certificate = question.certificate
    if certificate is None:
        return ""
    asked = {
        Asks.ENTITY: f"{certificate.compared} of ?x" if certificate.compared else "?x",
        Asks.NUMBER: "number of ?x",
        Asks.EXTREMUM: f"{certificate.direction} {certificate.compared} among ?x",
    }[operand_asks(certificate.asks, certificate.compared)]
    told = [
        f"{asked}: " + " ∧ ".join([*(f"{item.name} is a {item.kind}" for item in query.variables), *(clue.text for clue in part)])
        for query, part in clues(question)
    ]
    return f"\n{certificate.operation.value} of both:\n".join(told)


def proved_again(question: Question, graph: Graph, config: GraphConfig) -> list[Fault]:
    """What the independent verifier finds wrong, as `python -m scripts.verify` would: it reads the graph's files for itself.

    Raises:
        InputError: the graph is too large for it, or its files are gone.
    """
    if graph.edge_count > AUDITABLE:
        raise InputError("graph", f"has {graph.edge_count:,} edges", "prove a run again by python -m scripts.verify run.dir=DIR")
    with tempfile.TemporaryDirectory(prefix="hopforge-studio-") as scratch:
        schema = Path(scratch) / "declared.yaml"
        schema.write_text(dump_schema(graph.schema), encoding="utf-8")
        return audit_questions([question], native_folder(config, Path(scratch) / "graph"), schema)


def _made(stage: Stage[In, Out], record: In, run_seed: int, models: Sequence[HttpChatModel] = ()) -> Out | Ending:
    """One attempt on a loop of its own: call it in a thread."""

    async def attempt() -> Out | Ending:
        try:
            await stage.open()
            ends = await run_stage(stage, record, run_seed, PATIENCE_S)
        finally:
            for model in models:
                await model.close()
        return ends.rows[0] if ends.rows else [*ends.rejections, *ends.failures][0]

    return asyncio.run(attempt())
