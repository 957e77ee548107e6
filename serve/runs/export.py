"""A selection of one or more runs, written as a data set of its own: merged, split, in every format of an export."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from agents.config import CurateConfig
from agents.curate.card import CardFacts, FunnelStep
from agents.curate.duplicates import STAGE as STEP
from agents.curate.duplicates import select_rows
from agents.curate.export import write_exports
from agents.curate.seen import tools_seen
from agents.records import TrainingRow, Trajectory
from engine.errors import InputError
from engine.ledger import parquet_bytes
from engine.records import Rejection, sorted_unique, to_table
from engine.storage import Storage
from samplers.config import GatesConfig
from samplers.questions.split import STAGE, TAG, resplit, split_questions
from samplers.records import Question, QuestionCause
from serve.runs.opened import OpenRun
from serve.runs.preferences import tool_schemas
from serve.runs.rows import ACCEPTED
from serve.runs.selection import with_mark
from serve.runs.sets import QuestionSelection, choose_questions

HUMAN = ("", "accepted", "not_rejected")
"""Which rows people's marks let pass: all, those that most reviewers accept, those that they do not reject."""
FILES = ("README.md", "sft.jsonl", "sharegpt.jsonl", "verl_sft.parquet", "verl_rl.parquet")
"""What an export holds, and again of each part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be written."""

    selection: QuestionSelection = field(default_factory=QuestionSelection)
    human: str = ""
    """One of `HUMAN`."""
    valid: float = 0.0
    """Share of the questions for validation."""
    test: float = 0.0


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    rows: int
    questions: int
    dropped: Mapping[str, int]
    """Cause → rows that were left out."""
    exports: Mapping[str, str]
    """File → hash."""


def export_selection(sources: Sequence[OpenRun], order: Order, target: Storage, name: str) -> Written:
    """Write the training rows of the chosen questions of all sources, each lesson once, into a new run directory.

    The directory can be opened, read and exported again: it holds the questions with their tags, the trajectories and the rows.

    Raises:
        InputError: the target is there already, nothing is chosen, a source has no questions to split by, or runs that were split
            are to be merged as they are.
    """
    if target.exists(""):
        raise InputError(name, "is there already", "give a name that is not taken")
    chosen = [_choose(run, order) for run in sources]
    rows = sorted_unique(row for rows, _ in chosen for row in rows)
    if not rows:
        raise InputError("the selection", "holds no training row", "choose questions that have some, or let other marks pass")
    questions = sorted_unique(question for _, questions in chosen for question in questions)
    kept, dropped = select_rows(rows, CurateConfig(near_duplicate=1.0)) if len(sources) > 1 else (rows, [])
    if order.valid or order.test:
        kept, questions, between = _split(kept, questions, GatesConfig(valid=order.valid, test=order.test))
        dropped = [*dropped, *between]
    elif len(sources) > 1 and any(tag.startswith(TAG) for found, _ in chosen for row in found for tag in row.tags):
        problem = "were split, each for itself: what one tests with, another may train on"
        raise InputError("the runs", problem, "give shares of valid or test, by which they are split anew")
    return _write(sources, order, target, name, kept, questions, dropped)


def _split(
    rows: Sequence[TrainingRow], questions: Sequence[Question], config: GatesConfig
) -> tuple[list[TrainingRow], list[Question], list[Rejection]]:
    """Parts as `samplers.questions.split` makes them, whatever parts there were; a rejection for each row between them.

    Raises:
        InputError: a row's question is not known.
    """
    if {row.question_id for row in rows} - {row.id for row in questions}:
        problem = "holds rows whose questions are not in the run: what they share cannot be known"
        raise InputError("the selection", problem, "leave the shares of valid and test at 0")
    inside, _ = split_questions([dataclasses.replace(row, tags=resplit(row.tags, ())) for row in questions], config)
    tags = {row.id: row.tags for row in inside}
    kept = [dataclasses.replace(row, tags=resplit(row.tags, tags[row.question_id])) for row in rows if row.question_id in tags]
    detail = "shares an answer, a hidden entity or a fact with a part and with what is outside it"
    cause = QuestionCause.BETWEEN_SPLITS
    return kept, inside, [Rejection.at_barrier(row, STAGE, cause, detail) for row in rows if row.question_id not in tags]


def _choose(run: OpenRun, order: Order) -> tuple[list[TrainingRow], list[Question]]:
    """The rows and questions of a run that are meant, with the tags that people gave."""
    table, rows, marked = run.told(), run.rows.read(), run.marks.read()
    if not len(table) or not len(rows):
        return [], []
    chosen = table.take(pa.array(choose_questions(table, order.selection, marked, rows)))
    keep = pc.and_(pc.equal(rows["fate"], ACCEPTED), pc.is_in(rows["question_id"], chosen["id"].combine_chunks()))
    if order.human == "accepted":
        keep = pc.and_(keep, with_mark(rows["id"], "accepted", marked))
    elif order.human == "not_rejected":
        keep = pc.and_(keep, pc.invert(with_mark(rows["id"], "rejected", marked)))
    own = rows.filter(keep)
    tags = dict(zip(chosen["id"].to_pylist(), chosen["tags"].to_pylist(), strict=True))
    found = [
        dataclasses.replace(row, tags=_tags(row.tags, tags[row.question_id])) for row in run.rows.training_rows(own["row_id"].to_pylist())
    ]
    asked = sorted({row.question_id for row in found})
    return found, [dataclasses.replace(each, tags=tuple(tags[each.id] or ())) for each in run.questions.pick(asked)]


def _tags(own: Sequence[str], told: Sequence[str] | None) -> tuple[str, ...]:
    """Those of the question now; what a trajectory's source told of it stays."""
    return tuple(dict.fromkeys([*(told or ()), *(tag for tag in own if tag.startswith("reward:"))]))


def _write(
    sources: Sequence[OpenRun],
    order: Order,
    target: Storage,
    name: str,
    rows: Sequence[TrainingRow],
    questions: Sequence[Question],
    dropped: Sequence[Rejection],
) -> Written:
    own = {row.id for row in rows}
    asked = {row.question_id for row in rows}
    kept = [row for row in questions if row.id in asked]
    config = yaml.safe_load(sources[0].storage.read("config.yaml"))
    trajectories = [row for run in sources for row in run.rows.trajectories(_trajectory_ids(run, own))]
    schemas = {tool: schema for run in reversed(sources) for tool, schema in tool_schemas(run.storage).items()}
    seen = {tool["function"]["name"]: tool for tool in tools_seen(rows)}
    target.write("trajectories/selection.parquet", parquet_bytes(to_table(sorted_unique(trajectories), Trajectory)))
    target.write("rows/selection.parquet", parquet_bytes(to_table(rows, TrainingRow)))
    if kept:
        target.write("questions/selection.parquet", parquet_bytes(to_table(kept, Question)))
    target.write("rejections/deduplicate.parquet", parquet_bytes(to_table(dropped, Rejection)))
    causes, lost = {str(cause): count for cause, count in sorted(Counter(row.cause for row in dropped).items())}, len(dropped)
    step = FunnelStep(stage=STEP, attempts=len(rows) + lost, rows=len(rows), rejections=lost, failures=0, causes=causes)
    exports = write_exports(rows, target, _facts(sources, name, kept, step), [(seen | schemas)[tool] for tool in sorted({*seen, *schemas})])
    counted = {"attempts": step.attempts, "rows": step.rows, "rejected": step.rejections, "failed": 0, "causes": causes}
    manifest: dict[str, Any] = {
        "counts": {"seeds": 0, "steps": {STEP: counted}},
        "exports": exports,
        "selection": {"human": order.human, "valid": order.valid, "test": order.test, **order.selection.query()},
        "sources": [
            {"run": run.name, "rows": len(_trajectory_ids(run, own)), "graph_hash": _manifest(run).get("graph_hash")} for run in sources
        ],
        "cost_usd": None,
    }
    graphs = {str(_manifest(run).get("graph_hash") or "") for run in sources}
    if len(graphs) == 1 and sources[0].storage.exists("schema.yaml"):
        manifest["graph_hash"] = graphs.pop()
        target.write("schema.yaml", sources[0].storage.read("schema.yaml"))
    config["run"] = (config.get("run") or {}) | {"name": name}
    target.write("config.yaml", yaml.safe_dump(config, sort_keys=True, allow_unicode=True).encode())
    target.write("manifest.json", (json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())
    return Written(len(rows), len(asked), causes, exports)


def _trajectory_ids(run: OpenRun, row_ids: set[str]) -> list[str]:
    table = run.rows.read()
    ids: list[str] = table.filter(pc.is_in(table["row_id"], pa.array(sorted(row_ids), pa.string())))["id"].to_pylist() if len(table) else []
    return ids


def _facts(sources: Sequence[OpenRun], name: str, questions: Sequence[Question], step: FunnelStep) -> CardFacts:
    """What the sources say of themselves, joined where they differ."""
    configs = [yaml.safe_load(run.storage.read("config.yaml")) for run in sources]
    schemas = [yaml.safe_load(run.storage.read("schema.yaml")) if run.storage.exists("schema.yaml") else {} for run in sources]

    proofs = [question.certificate for question in questions if question.certificate]

    def joined(values: Sequence[Any]) -> str:
        return ", ".join(dict.fromkeys(str(value) for value in values if value))

    return CardFacts(
        name=name,
        graph_name=joined([schema.get("name") for schema in schemas]) or "not stated",
        graph_source=joined([schema.get("source") for schema in schemas]),
        graph_license=joined([schema.get("license") for schema in schemas]),
        graph_snapshot=joined([schema.get("snapshot") for schema in schemas]),
        graph_hash=joined([_manifest(run).get("graph_hash") for run in sources]),
        policy=joined([(config.get("policy") or {}).get("kind") for config in configs]) or "not stated",
        author=joined([(config.get("question") or {}).get("author") for config in configs]) or "not stated",
        seed=int((configs[0].get("run") or {}).get("seed") or 0),
        worlds=Counter(proof.world.value for proof in proofs),
        min_candidates=min((proof.min_candidates for proof in proofs), default=2),
        funnel=[step],
    )


def _manifest(run: OpenRun) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(run.storage.read("manifest.json")) if run.storage.exists("manifest.json") else {}
    return read


def download(run: OpenRun, file: str) -> str:
    """The path of a file of a run's export, by its name there: `sft.jsonl`, `test/sft.jsonl`.

    Raises:
        InputError: the export has no such file.
    """
    parts = ("", "valid/", "test/")
    known = {f"{part}{each}" for part in parts for each in FILES}
    if file not in known or not run.storage.exists(f"export/{file}"):
        raise InputError(file[:100], "is no file of this export", "follow a link of the page Data")
    return run.storage.path(f"export/{file}")


def downloads(run: OpenRun) -> dict[str, int]:
    """The files of a run's export that are there, and their bytes."""
    found = {name: size for folder in ("", "/valid", "/test") for name, size in run.storage.lengths(f"export{folder}").items()}
    return {name.removeprefix("export/"): size for name, size in found.items() if name.rpartition("/")[2] in FILES}
