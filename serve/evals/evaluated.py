"""An evaluation that has ended, read back from its directory: to be graded again, or compared with another."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow.parquet as pq

from agents.records import Trajectory
from agents.rollout import RolloutStage
from engine.errors import InputError
from engine.ledger import Ledger
from engine.records import Rejection, from_table
from engine.storage import Storage
from samplers.records import Question
from serve.evals.records import Graded

KEPT = ("dataset", "model", "prompt", "tools", "seed")
"""Of what a score rests on: the parts that grading again does not change."""


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation left."""

    storage: Storage
    score: Mapping[str, Any]
    questions: list[Question]
    graded: list[Graded]

    @property
    def benchmark(self) -> str:
        """Its name."""
        return str(self.score["dataset"]["benchmark"])

    @property
    def rollouts(self) -> int:
        """Asked of each question."""
        return int(self.score["rollouts"])

    @cached_property
    def trajectories(self) -> list[Trajectory]:
        """Sorted by id."""
        index = Ledger(self.storage).index()
        return index.rows(RolloutStage.name, Trajectory, index.entries(RolloutStage.name))

    @cached_property
    def refused(self) -> list[Rejection]:
        """Rollouts that ended for good without a trajectory."""
        index = Ledger(self.storage).index()
        return index.rejections(RolloutStage.name, index.entries(RolloutStage.name))

    @property
    def failed(self) -> int:
        """Rollouts that never ended."""
        return sum(entry.failures for entry in Ledger(self.storage).index().entries(RolloutStage.name).values())

    def facts(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """What a new score rests on: this one's, but for the judge and the settings."""
        return {**now, **{name: self.score[name] for name in KEPT}}


def read_evaluated(run_dir: str) -> Evaluated:
    """An evaluation's directory.

    Raises:
        InputError: it is none, or has not ended.
    """
    storage = Storage(run_dir)
    for name in ("score.json", "rollouts.parquet"):
        if not storage.exists(name):
            raise InputError(run_dir, f"holds no evaluation that has ended: it has no {name}", "name a run.dir of scripts.evaluate")
    questions = from_table(pq.read_table(io.BytesIO(storage.read("questions/part-00000.parquet"))), Question)
    graded = from_table(pq.read_table(io.BytesIO(storage.read("rollouts.parquet"))), Graded)
    return Evaluated(storage, json.loads(storage.read("score.json")), questions, graded)
