"""A disturbed run against an undisturbed one of the same settings: rows lost, made twice, different."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from agents.records import TrainingRow, Trajectory
from engine.ledger import Ledger
from engine.records import Record, canonical_json, from_table, to_dict
from engine.storage import Storage
from samplers.records import Question

FILES = ("export", "questions")
"""Folders that must hold the same bytes."""

BARRIERS = ("rejections/select.parquet", "rejections/deduplicate.parquet")

STAGES: dict[str, type[Record] | None] = {"sample": None, "question": Question, "rollout": Trajectory, "curate": TrainingRow}
"""Stage → what it keeps."""


@dataclass(frozen=True)
class Difference:
    """Rows by id; files by name."""

    lost: int = 0
    doubled: int = 0
    different: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contents:
    """What a finished run holds."""

    rows: Counter[str]
    """Stage, kind and id of each row and rejection → how often it is there."""
    texts: dict[str, str]
    """The same → its content."""
    files: dict[str, bytes]


def read_contents(folder: Path) -> Contents:
    """Everything that a reader of the run could see.

    Raises:
        UserError: a shard is damaged.
    """
    storage = Storage(str(folder))
    index, rows, texts = Ledger(storage).index(), Counter[str](), dict[str, str]()
    inputs = sorted(index.entries("sample"))
    for stage, makes in STAGES.items():
        if stage == "rollout":
            inputs = sorted(row.id for row in from_table(pq.read_table(io.BytesIO(storage.read("questions/part-00000.parquet"))), Question))
        kept: list[Record] = [] if makes is None else list(index.rows(stage, makes, inputs))
        rejected = index.rejections(stage, inputs)
        made = sorted(row for input_id in inputs for row in index.entries(stage)[input_id].rows)
        rows.update(f"{stage} {row_id}" for row_id in (*made, *(row.id for row in rejected)))
        texts |= {f"{stage} {row.id}": canonical_json(to_dict(row)) for row in (*kept, *rejected)}
        inputs = made
    names = [f"{name}/{file.name}" for name in FILES for file in sorted((folder / name).iterdir()) if not file.name.startswith(".")]
    files = {name: storage.read(name) for name in (*names, *BARRIERS)}
    rows.update(f"export {json.loads(line)['metadata']['id']}" for line in files["export/sft.jsonl"].splitlines())
    return Contents(rows, texts, files)


def compare(made: Contents, wanted: Contents) -> Difference:
    """What `made` lacks, has twice, or has otherwise."""
    lost = sum((wanted.rows - made.rows).values())
    doubled = sum((made.rows - wanted.rows).values())
    texts = [key for key, text in wanted.texts.items() if made.texts.get(key, text) != text]
    files = [name for name in sorted(wanted.files | made.files) if made.files.get(name) != wanted.files.get(name)]
    return Difference(lost, doubled, (*sorted(texts), *files))
