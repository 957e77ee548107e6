"""Print trajectories so that they can be read: question, thoughts, calls, results, answer, and the question's proof.

    python -m scripts.show run.dir=runs/demo                     # the first by id
    python -m scripts.show run.dir=runs/demo n=3                 # the first three
    python -m scripts.show run.dir=runs/demo id=3f9a             # a trajectory, question or training row, or how its id begins
    python -m scripts.show run.dir=runs/demo id=3f9a chars=0     # tool results in full

Ids stand in report.html, in export/sft.jsonl (metadata) and in every table of the run directory. Where a tool or a model was asked,
the digest of its reply is told; `python -m scripts.tape export` has the reply beside it.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterable, Sequence

import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from agents.answers import answers_match
from agents.records import Message, Trajectory
from engine.errors import InputError, UserError
from engine.ledger import REJECTIONS, Ledger
from engine.records import Rejection, derive_id, from_table
from engine.storage import Storage
from samplers.records import Certificate, Question
from scripts.arguments import parse_arguments
from serve.runs.reading import atom_in_words, open_run, path_in_words, printable, read_columns

DOUBLES = f"{REJECTIONS}/deduplicate.parquet"
"""What the barrier after the last stage dropped, by training row."""

RESULT_CHARS = 300
"""Characters of a tool result shown unless told otherwise: enough to see what was found."""

NEAREST = 3
"""Ids named when one is not known."""


def main(arguments: Sequence[str]) -> int:
    """Entry point; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.show", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run-dir", required=True, help="the run directory, e.g. runs/demo")
    parser.add_argument("--id", default="", help="id of a trajectory, question or training row, or its first characters")
    parser.add_argument("--n", type=int, default=1, help="trajectories to print; default 1")
    parser.add_argument("--chars", type=int, default=RESULT_CHARS, help=f"characters of a tool result, 0 for all; default {RESULT_CHARS}")
    options = parse_arguments(parser, arguments)
    try:
        show(Console(), options.run_dir, options.id, options.n, options.chars)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def show(console: Console, run_dir: str, wanted: str, number: int, chars: int) -> None:
    """Print up to `number` trajectories, those of `wanted` when it is not empty.

    Raises:
        InputError: no run, no trajectory in it, or none of that id.
    """
    storage, _ = open_run(run_dir)
    places = find(storage, wanted)
    trajectories = read_trajectories(storage, places[:number])
    questions = read_questions(storage, {trajectory.question_id for trajectory in trajectories})
    ids = [trajectory.id for trajectory in trajectories]
    lost, judged = losses(storage, ids), judgements(storage, ids)
    for trajectory in trajectories:
        question = questions.get(trajectory.question_id)
        print_trajectory(console, trajectory, question, lost.get(trajectory.id, ""), chars, judged.get(trajectory.id, ""))
    if wanted and len(places) > number:
        console.print(f"{len(places) - number} more match; n={len(places)} shows all", highlight=False)


def losses(storage: Storage, ids: Sequence[str]) -> dict[str, str]:
    """Trajectory id → why it gave no training row, for those of `ids` that gave none."""
    index = Ledger(storage).index()
    lost: list[Rejection] = index.rejections("curate", [own for own in ids if own in index.entries("curate")])
    if storage.exists(DOUBLES):
        lost += from_table(pq.read_table(io.BytesIO(storage.read(DOUBLES))), Rejection)
    told = {row.input_id: f"{row.cause} ({row.detail})" for row in lost}
    return {own: told.get(own) or told[row_id(own)] for own in ids if own in told or row_id(own) in told}


def judgements(storage: Storage, ids: Sequence[str]) -> dict[str, str]:
    """Trajectory id → the verdict on its answer and what rewriting did, for those of `ids` that gave a row."""
    told: dict[str, str] = {}
    rows = {row_id(own): own for own in ids}
    for shard in storage.list("rows", ".parquet"):
        for row in read_columns(storage, shard, ["id", "judged", "compression"]).to_pylist():
            if row["id"] in rows and row.get("judged"):
                rewritten = row.get("compression") or 1.0
                shorter = f"; thoughts rewritten to {rewritten:.0%} of their tokens, here as they were" if rewritten != 1.0 else ""
                told[rows[row["id"]]] = row["judged"] + shorter
    return told


def find(storage: Storage, wanted: str) -> list[tuple[str, str]]:
    """(trajectory id, shard) sorted by id, each id once: those whose own id, question's or training row's begins with `wanted`.

    Raises:
        InputError: there is none.
    """
    known: dict[str, tuple[str, str]] = {}
    for shard in storage.list("trajectories", ".parquet"):
        ids = read_columns(storage, shard, ["id", "question_id"])
        known |= {own: (question, shard) for own, question in zip(ids["id"].to_pylist(), ids["question_id"].to_pylist(), strict=True)}
    if not known:
        raise InputError(
            storage.root, "holds no trajectory yet", "let the run come further; python -m scripts.report tells where rows went"
        )
    named = ((own, shard, (own, question, row_id(own))) for own, (question, shard) in known.items())
    found = sorted((own, shard) for own, shard, names in named if any(name.startswith(wanted) for name in names))
    if not found:
        near = nearest_ids(wanted, known.keys() | {question for question, _ in known.values()})
        raise InputError(storage.root, f"holds no trajectory or question '{wanted}'", f"did you mean {' or '.join(near)}?")
    return found


def nearest_ids(wanted: str, known: Iterable[str]) -> list[str]:
    """The ids that begin most like `wanted`: ids are hashes, so a slip of the pen leaves the beginning right."""
    return sorted(known, key=lambda own: (-_alike(own, wanted), own))[:NEAREST]


def row_id(trajectory_id: str) -> str:
    """Of the training row made from a trajectory; exports and the report name it."""
    return derive_id(trajectory_id, "curate")


def read_trajectories(storage: Storage, places: Sequence[tuple[str, str]]) -> list[Trajectory]:
    """Full rows of some ids, read from their shards alone, sorted by id."""
    found: dict[str, Trajectory] = {}
    for shard in sorted({shard for _, shard in places}):
        table = pq.read_table(io.BytesIO(storage.read(shard)))
        rows = table.filter(pc.field("id").isin([own for own, place in places if place == shard]))
        found |= {row.id: row for row in from_table(rows, Trajectory)}
    return [found[own] for own, _ in places]


def read_questions(storage: Storage, ids: set[str]) -> dict[str, Question]:
    """The questions of some ids that the run kept."""
    tables = (pq.read_table(io.BytesIO(storage.read(name))) for name in storage.list("questions", ".parquet"))
    chosen = (table.filter(pc.field("id").isin(sorted(ids))) for table in tables)
    return {row.id: row for table in chosen for row in from_table(table, Question)}


def print_trajectory(console: Console, trajectory: Trajectory, question: Question | None, lost: str, chars: int, judged: str = "") -> None:
    """One trajectory from question to verdict. `lost`: why it gave no training row; `judged`: the verdict of the one it gave."""
    console.print(Rule(f"trajectory {trajectory.id}", align="left", style="dim"))
    facts = [trajectory.paradigm, f"{trajectory.hops} hops", f"rollout {trajectory.rollout}", f"policy {trajectory.policy}"]
    facts += [f"difficulty {question.difficulty:.2f}"] if question else []
    _say(console, trajectory.question, "bold")
    _say(console, " · ".join([*facts, f"question {trajectory.question_id}"]), "dim")
    asked = next((place for place, message in enumerate(trajectory.messages) if message.role == "user"), -1)
    calls = (call.id for message in trajectory.messages for call in message.tool_calls)
    seen = dict(zip(calls, trajectory.calls_seen, strict=False))
    for message in trajectory.messages[asked + 1 :]:
        if message.role != "system":
            console.print()
            _print_message(console, message, chars)
            if message.role == "tool" and seen.get(message.tool_call_id or ""):
                _say(console, f"on the tape: {seen[message.tool_call_id or '']}", "dim italic", indent=4)
    console.print()
    _print_verdict(console, trajectory, lost, judged)
    if question and question.certificate:
        console.print()
        _print_proof(console, question, question.certificate)
    console.print()


def _print_message(console: Console, message: Message, chars: int) -> None:
    if message.role == "tool":
        text = message.content if not chars or len(message.content) <= chars else message.content[:chars].rstrip()
        _say(console, text, "dim", indent=4)
        if len(text) < len(message.content):
            _say(console, f"… {len(message.content) - len(text):,} more characters", "dim italic", indent=4)
        return
    if message.content:
        _say(console, message.content, "bold" if message.role == "user" else "")
    for call in message.tool_calls:
        _say(console, f"→ {call.name} {call.arguments}", "cyan", indent=2)


def _print_verdict(console: Console, trajectory: Trajectory, lost: str, judged: str) -> None:
    given = trajectory.final_answer
    right = given is not None and answers_match(given, trajectory.answer, trajectory.answer_aliases)
    also = f" (also {', '.join(trajectory.answer_aliases)})" if trajectory.answer_aliases else ""
    usage = trajectory.usage
    spent = f", {usage.model_calls} model calls, {usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens" if usage.model_calls else ""
    _pair(console, "answer", f"{'✓' if right else '✗'} {given if given is not None else 'none'}", "green" if right else "red")
    _pair(console, "gold", trajectory.answer + also)
    _pair(console, "stopped", f"{trajectory.stop_reason.value} after {usage.tool_calls} tool calls ({usage.tool_errors} errors){spent}")
    if trajectory.guidance != "none":
        _pair(console, "guidance", f"{trajectory.guidance}: the agent was shown the masked path, which the training prompt leaves out")
    for number, fault in enumerate(trajectory.faults):
        outcome = "recovered" if fault.recovered else "not recovered"
        _pair(console, "" if number else "faults", f"{fault.kind.value} in {fault.tool} ({fault.call_id}), {outcome}")
    if trajectory.replies_seen:
        _pair(console, "replies", f"{' '.join(trajectory.replies_seen)} on the tape", "dim")
    if judged:
        _pair(console, "judged", judged, "green")
    if lost:
        _pair(console, "rejected", lost, "red")


def _print_proof(console: Console, question: Question, certificate: Certificate) -> None:
    """The query atom by atom, what is left without each, and the path."""
    names = {constant.entity: constant.name for constant in certificate.query.constants}
    left = {drop.atom: drop.answers for drop in certificate.drops}
    kinds = ", ".join(f"{variable.name} is a {variable.kind}" for variable in certificate.query.variables)
    asked = f", {certificate.direction} {certificate.compared}" if certificate.compared else ""
    _pair(console, "query", f"{kinds}{asked}; {len(certificate.answers)} answer{'s' * (len(certificate.answers) != 1)} in the graph")
    for number, atom in enumerate(certificate.query.atoms):
        capped = "or more " if left.get(number) == certificate.answer_cap else ""
        without = f"   without it {left[number]:,} {capped}answers" if number in left else ""
        _say(console, f"{atom_in_words(atom, names)}{without}", indent=10)
    for number, step in enumerate(path_in_words(question), 1):
        _pair(console, "path" if number == 1 else "", f"{number}. {step}")
    evidence = f"{len(certificate.evidence)} facts as evidence, at least {certificate.min_candidates} answers without any clue"
    _pair(console, "proof", f"{certificate.world.value} world, {evidence}, graph {certificate.graph_hash[:8]}")


def _alike(one: str, other: str) -> int:
    """Characters at the beginning that are the same."""
    return next((place for place, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), min(len(one), len(other)))


def _pair(console: Console, name: str, text: str, style: str = "") -> None:
    """A name and what it is, the text hanging beside the name."""
    grid = Table.grid()
    grid.add_column(width=10)
    grid.add_column()
    grid.add_row(Text(name, "dim"), Text(printable(text), style))
    console.print(grid, highlight=False)


def _say(console: Console, text: str, style: str = "", indent: int = 0) -> None:
    """Text of a run: no markup in it is obeyed."""
    console.print(Padding(Text(printable(text), style), (0, 0, 0, indent), expand=False), highlight=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
