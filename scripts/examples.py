"""Write docs/examples.md: questions of every paradigm with their answers, paths and proofs in brief.

    python -m scripts.examples
    python -m scripts.examples graph.path=../shared/data/kg
    python -m scripts.examples graph.path=DIR count=12 out=/tmp/examples.md seed=2

One seed of the graph after the other is tried for one paradigm after the other, until there are enough; the same graph and seed give
the same page. What needs a year or number is left out where the graph has none.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.errors import RejectedError, UserError
from engine.records import derive_rng
from engine.shared import Shared
from samplers.config import GraphConfig, QuestionConfig, SamplerConfig
from samplers.graph.loader import load_graph
from samplers.graph.store import Graph
from samplers.questions.paradigms import PARADIGMS
from samplers.questions.select import select_questions
from samplers.questions.synthesise import QuestionStage
from samplers.records import Asks, Certificate, Question, Seed
from samplers.sample import SampleStage
from samplers.seeds import seeds_from_graph
from scripts.arguments import parse_arguments
from serve.runs.reading import path_in_words

PAGE = Path(__file__).parents[1] / "docs" / "examples.md"
HIGH = QuestionConfig(attempts=32, min_candidates=3, min_hops=3)
"""What conf/quality/high.yaml asks for."""
PATIENCE = 12
"""Seeds tried per question wanted."""


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.examples", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graph-path", help="a graph of your own; default: the bundled one")
    parser.add_argument("--count", type=int, default=30, help="questions (30)")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other questions")
    parser.add_argument("--out", type=Path, default=PAGE, help=f"the page to write ({PAGE.relative_to(PAGE.parents[1])})")
    options = parse_arguments(parser, arguments)
    path = options.graph_path
    try:
        graph = load_graph(GraphConfig(source="path", path=path) if path else GraphConfig())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    questions = asyncio.run(examples(graph, options.count, options.seed))
    options.out.write_text(page(graph, questions, f" graph.path={path}" if path else ""), encoding="utf-8")
    print(f"{len(questions)} questions written to {options.out}")
    return 0


async def examples(graph: Graph, count: int, seed: int) -> list[Question]:
    """`count` questions, or as many as patience finds, the paradigms in turn; no answer twice."""
    shared = Shared.local(graph)
    sample = SampleStage(shared, SamplerConfig())
    stages = [QuestionStage(shared, replace(HIGH, paradigms={paradigm.value: 1.0})) for paradigm in PARADIGMS]
    await sample.open()
    for stage in stages:
        await stage.open()
    pool = seeds_from_graph(graph, SamplerConfig().hub_degree)
    found: list[Question] = []
    for place, start in enumerate(random.Random(seed).sample(pool, min(len(pool), PATIENCE * count))):
        question = await _asked(sample, stages[place % len(stages)], start, seed)
        if question is not None:
            found = select_questions([*found, question], QuestionConfig())[0]
        if len(found) == count:
            break
    order = list(PARADIGMS)
    return sorted(found, key=lambda question: (order.index(question.paradigm), question.difficulty))


async def _asked(sample: SampleStage, stage: QuestionStage, start: Seed, seed: int) -> Question | None:
    rng = derive_rng(seed, start.id, "examples")
    try:
        return await stage.attempt(await sample.attempt(start, 0, rng), 0, rng)
    except RejectedError:
        return None


def page(graph: Graph, questions: Sequence[Question], arguments: str) -> str:
    """The page in Markdown."""
    source = graph.schema.source or graph.schema.name
    lines = [
        "# Examples",
        "",
        f"{len(questions)} questions from a graph of {len(graph):,} entities and {graph.edge_count:,} edges.",
        f"Source: {source}.",
        "",
        "Each is proved at k = 3 and crosses three edges or more. What it says is what the graph states: the proof is about this",
        "snapshot, and most relations are open. *path* lists the facts from what is named to what is asked; *proof* says how many",
        "answers are left when one clue is dropped.",
        "",
        f"    python -m scripts.examples{arguments}",
    ]
    for number, question in enumerate(questions, 1):
        lines += ["", *_entry(number, question)]
    return "\n".join(lines) + "\n"


def _entry(number: int, question: Question) -> list[str]:
    assert question.certificate is not None
    steps = "; ".join(_short(step) for step in path_in_words(question))
    return [
        f"**{number}. {question.text}**",
        "",
        f"*{question.answer}* ({question.paradigm}, {question.hops} hops, difficulty {question.difficulty:g})",
        "",
        f"- path: {steps}",
        f"- proof: {proof_in_brief(question.certificate)}",
    ]


def _short(step: str, most: int = 240) -> str:
    return step if len(step) <= most else step[:most].rsplit(" ", 1)[0] + " …"


def proof_in_brief(certificate: Certificate) -> str:
    """`one answer; without a clue 3, 12 or ≥1,000; 4 facts as evidence; open world`."""
    parts = [(certificate.answers, certificate.drops, certificate.evidence)]
    if certificate.second is not None:
        parts.append((certificate.second.answers, certificate.second.drops, certificate.second.evidence))
    told = []
    for answers, drops, _ in parts:
        what = "contenders" if certificate.asks is Asks.EXTREMUM else "answers"
        one = "one answer" if len(answers) == 1 else f"{len(answers)} {what}"
        left = [f"{'≥' * (drop.answers == certificate.answer_cap)}{drop.answers:,}" for drop in drops]
        told.append(f"{one}, without one of the clues {' or '.join(filter(None, (', '.join(left[:-1]), left[-1])))}")
    facts = sum(len(evidence) for _, _, evidence in parts)
    return f"{' · '.join(told)}; {facts} facts as evidence; {certificate.world} world"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
