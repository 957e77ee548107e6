"""Our own questions: a run directory, one of its question shards, or a `verl_rl.parquet`. Every accepted name is known where a question
is certified, so another text is another answer and no judge is asked. Questions of one seed share facts: clusters are seeds."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from engine.errors import InputError
from engine.records import from_table, sorted_unique
from samplers.questions.split import Split, split_of
from samplers.records import Paradigm, Question
from serve.evals.benchmarks.benchmark import CLUSTER, Benchmark, LeftOut, Loaded, Manifest, left_out, open_scorer, question
from serve.evals.benchmarks.rows import Row, read_rows

NAME = "own"
RL_COLUMNS = frozenset(("prompt", "reward_model", "extra_info"))
QUESTION_COLUMNS = frozenset(("text", "answer", "answer_aliases", "certificate"))

MANIFEST = Manifest(title="HopForge questions", source="scripts.synthesize", version="", licence="of the graph they were made from")


def recognises(columns: frozenset[str]) -> bool:
    """A question shard, or an RL export."""
    return columns >= RL_COLUMNS or columns >= QUESTION_COLUMNS


def is_run(path: Path) -> bool:
    """Whether a path is a run directory that holds questions."""
    return (path / "config.yaml").is_file() and (path / "questions").is_dir()


def read(path: Path) -> Loaded:
    """All questions; of a set that was split, those of its test part."""
    if path.is_dir():
        if not is_run(path):
            raise InputError(
                path, "is no run directory: it has no config.yaml and questions/", "name a run of scripts.synthesize, or a file"
            )
        return _test_part([row for file in sorted((path / "questions").glob("*.parquet")) for row in _shard(file)])
    rows = read_rows(path)
    if rows and rows[0].values.keys() >= RL_COLUMNS:
        return Loaded([_of_export(row) for row in rows])
    return _test_part(_shard(path))


def _shard(path: Path) -> list[Question]:
    try:
        return from_table(pq.read_table(io.BytesIO(path.read_bytes())), Question)
    except (pa.ArrowInvalid, ValidationError) as error:
        problem = f"holds no questions of this version: {str(error).splitlines()[0]}"
        raise InputError(path, problem, "make the run again with the installed version") from None


def _test_part(questions: list[Question]) -> Loaded:
    rows = [_clustered(row) for row in sorted_unique(questions)]
    test = [row for row in rows if split_of(row.tags) is Split.TEST]
    if not test:
        return Loaded(rows)
    kept = {row.id for row in test}
    return Loaded(test, [left_out(NAME, row.id, LeftOut.IN_TRAINING, split_of(row.tags).value) for row in rows if row.id not in kept])


def _clustered(row: Question) -> Question:
    return dataclasses.replace(row, tags=(*row.tags, f"{CLUSTER}{row.trace_id}"))


def _of_export(row: Row) -> Question:
    extra, reward, prompt = (row.values[name] for name in ("extra_info", "reward_model", "prompt"))
    if not isinstance(extra, Mapping) or not isinstance(reward, Mapping) or not reward.get("ground_truth"):
        raise row.wrong("has no reward_model.ground_truth and extra_info", "give export/verl_rl.parquet of a run")
    told = Row(row.path, row.number, extra)
    made = question(
        NAME, _asked(row, prompt), str(reward["ground_truth"]), key=told.maybe("question_id"), aliases=told.texts("answer_aliases"),
        cluster=told.maybe("trace_id"), hops=told.count("hops"),
    )  # fmt: skip
    paradigm = Paradigm(extra["paradigm"]) if extra.get("paradigm") in list(Paradigm) else Paradigm.IMPORTED
    certified, known = bool(extra.get("certified")), told.maybe("question_id") or made.id
    return dataclasses.replace(made, id=known, trace_id=told.maybe("trace_id") or known, paradigm=paradigm, certified=certified)


def _asked(row: Row, prompt: Any) -> str:
    """The last thing the user says."""
    turns = prompt if isinstance(prompt, list) else []
    said = [turn.get("content") for turn in turns if isinstance(turn, Mapping) and turn.get("role") == "user"]
    if not said or not isinstance(said[-1], str):
        raise row.wrong("its prompt holds no user message", "give export/verl_rl.parquet of a run")
    return said[-1]


OWN = Benchmark(
    name=NAME, manifest=MANIFEST, recognises=recognises, read=read, score=open_scorer,
)  # fmt: skip
