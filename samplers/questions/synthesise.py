"""The stage: subgraph → proved question in words."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import ClassVar

from engine.errors import ConfigError, RejectedError, nearest
from engine.records import Record, derive_id
from engine.shared import Shared
from engine.stage import Stage
from samplers.config import QuestionConfig
from samplers.graph.names import normalise
from samplers.graph.store import Graph
from samplers.questions.build import Try, build, unwatched
from samplers.questions.cheat_sheet import cheat_sheet
from samplers.questions.clues import Clues
from samplers.questions.difficulty import band, difficulty
from samplers.questions.leak import find_leak
from samplers.questions.measure import plain, worked_out
from samplers.questions.naming import Naming
from samplers.questions.paradigms import PARADIGMS
from samplers.questions.proof import operand_value
from samplers.questions.query import hops
from samplers.questions.verbalise import verbalise
from samplers.records import ANSWER, Asks, Certificate, Question, QuestionCause, Subgraph


class QuestionStage(Stage[Subgraph, Question]):
    """One proved question per subgraph, or a rejection that says how all tries ended."""

    name: ClassVar[str] = "question"
    takes: ClassVar[type[Record]] = Subgraph
    makes: ClassVar[type[Record]] = Question

    def __init__(self, graph: Shared[Graph], config: QuestionConfig, watch: Callable[[Try], None] = unwatched) -> None:
        """`watch` is told of every try. Raises: ConfigError: a paradigm weight is unknown, negative or all are zero; an empty band."""
        _check_weights(config)
        _check_band(config)
        self._shared, self._config, self._watch = graph, config, watch

    async def open(self) -> None:
        """Map the graph into this process."""
        self._graph = self._shared.get()
        self._naming = Naming(self._graph)

    async def attempt(self, record: Subgraph, ordinal: int, rng: random.Random) -> Question:
        """Build, prove, word and check until one try passes.

        Raises:
            RejectedError: none did.
        """
        clues = Clues(self._graph, record, self._naming, self._config.reach)
        return build(clues, self._config, rng, lambda certificate: self._worded(certificate, record, ordinal, rng), self._watch)

    def _worded(self, certificate: Certificate, record: Subgraph, ordinal: int, rng: random.Random) -> Question:
        graph = self._graph
        text = verbalise(graph, certificate, rng)
        steps, placeholders = cheat_sheet(certificate, graph)
        hidden = [graph.index(item.entity) for item in placeholders if item.hidden and item.entity]
        leak = find_leak(graph, hidden, text)
        if leak:
            raise RejectedError(QuestionCause.LEAK, f"the text tells {leak!r}")
        answer = graph.index(next(item.entity for item in certificate.query.variables if item.name == ANSWER))
        number = answer_number(graph, certificate)
        return Question(
            id=derive_id(record.id, self.name, ordinal),
            trace_id=record.trace_id,
            text=text,
            answer=number or graph.name(answer),
            answer_aliases=() if number else graph.aliases(answer),
            answer_entity="" if number else graph.entity(answer),
            paradigm=certificate.paradigm,
            hops=hops(certificate.query) + (hops(certificate.second.query) if certificate.second else 0),
            difficulty=difficulty(graph, certificate),
            seed_name=record.seed_name,
            strategy=record.strategy,
            certified=True,
            certificate=certificate,
            cheat_sheet=steps,
            placeholders=placeholders,
            tags=_tags(graph, certificate, answer) or record.tags,
        )


def answer_number(graph: Graph, certificate: Certificate) -> str:
    """The answer where it is a number, as it is printed, else ""."""
    if certificate.asks is Asks.NUMBER:
        return str(len(certificate.answers))
    if certificate.second is None:
        return ""
    first, second = (operand_value(graph, answers, certificate.compared) for answers in (certificate.answers, certificate.second.answers))
    return plain(worked_out(certificate.operation, first, second))


def _tags(graph: Graph, certificate: Certificate, answer: int) -> tuple[str, ...]:
    """`specialty:cardiology`: tag attributes of the answer, else of the entities in the evidence; several values are parted by `|`."""
    attributes = [name for name, item in graph.schema.attributes.items() if item.form == "tag"]
    ends = sorted({graph.index(end) for edge in certificate.evidence for end in (edge.source, edge.target)})
    for entities in ([answer], ends):
        values = [(name, graph.attribute(entity, name)) for name in attributes for entity in entities]
        tags = {
            f"{name}:{normalise(part)}" for name, value in values if isinstance(value, str) for part in value.split("|") if part.strip()
        }
        if tags:
            return tuple(sorted(tags))
    return ()


def _check_band(config: QuestionConfig) -> None:
    least, below = band(config.difficulty)
    if not 0 <= least < below:
        raise ConfigError("question.difficulty", f"the band [{least:g}, {below:g}] holds nothing", "give [least, below], such as [4, 7]")


def _check_weights(config: QuestionConfig) -> None:
    known = [paradigm.value for paradigm in PARADIGMS]
    for name, weight in config.paradigms.items():
        if name not in known:
            near = nearest(name, known) or known
            raise ConfigError(f"questions.paradigms.{name}", "unknown paradigm", f"did you mean {' or '.join(near)}?")
        if weight < 0:
            raise ConfigError(f"questions.paradigms.{name}", f"the weight {weight:g} is negative", "give a weight of 0 or more")
    if not any(config.paradigms.values()):
        raise ConfigError("questions.paradigms", "no paradigm has a weight", f"give one of {', '.join(known)} a weight above 0")
