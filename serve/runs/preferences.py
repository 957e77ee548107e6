"""What people accepted and rejected in a run, as preferences to train on: for the reward's experts, and as pairs of conversations."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from agents.formats import to_wires
from agents.records import Message, Trajectory
from engine.storage import Storage
from rl.preference import Mark as ExpertMark
from serve.runs.marks import Marked
from serve.runs.rows import RowIndex

WITH_TOOLS = "export/verl_sft.parquet"
"""Its column `tools_json` has the schemas as the agent was shown them."""


def expert_marks(index: RowIndex, marked: Mapping[str, Marked]) -> list[ExpertMark]:
    """The trajectories that most reviewers accept or reject, in the order of ids; those on which as many differ are left out.

    Raises:
        InputError: a mark is of a trajectory that the run does not have.
    """
    index.read()
    decided = ((own, one.accepted) for own, one in marked.items())
    return [ExpertMark(index.trajectory(own), accepted) for own, accepted in decided if accepted is not None]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two conversations on one question that begin alike."""

    chosen: Trajectory
    rejected: Trajectory
    begin: int
    """Messages that both have before anybody answered: the prompt."""


def conversation_pairs(marks: Iterable[ExpertMark]) -> Iterator[Pair]:
    """Each accepted trajectory beside each rejected one of its question, questions in the order of their ids.

    Trajectories whose prompts differ (other rules, other tools) are no pair: what was preferred may be the prompt's doing.
    """
    shown: dict[str, tuple[list[Trajectory], list[Trajectory]]] = defaultdict(lambda: ([], []))
    for mark in marks:
        shown[mark.trajectory.question_id][mark.accepted].append(mark.trajectory)
    for question in sorted(shown):
        for good in shown[question][True]:
            for bad in shown[question][False]:
                begin = _prompt(good.messages)
                if good.messages[:begin] == bad.messages[: _prompt(bad.messages)] and good.tools == bad.tools:
                    yield Pair(good, bad, begin)


def dpo_row(pair: Pair, schemas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The form that preference trainers read (Rafailov et al. 2023; TRL's conversational `prompt`, `chosen`, `rejected`).

    Args:
        schemas: the tools' schemas in OpenAI form, by name.
    """
    return {
        "prompt": list(to_wires(pair.chosen.messages[: pair.begin])),
        "chosen": list(to_wires(pair.chosen.messages[pair.begin :])),
        "rejected": list(to_wires(pair.rejected.messages[pair.begin :])),
        "tools": [schemas[name] for name in pair.chosen.tools if name in schemas],
        "metadata": {"question_id": pair.chosen.question_id, "chosen_id": pair.chosen.id, "rejected_id": pair.rejected.id},
    }


def tool_schemas(storage: Storage) -> dict[str, Mapping[str, Any]]:
    """Name → schema of every tool that an agent of the run was offered, from its export; empty while there is none, or an old one."""
    if not storage.exists(WITH_TOOLS):
        return {}
    table = pq.ParquetFile(io.BytesIO(storage.read(WITH_TOOLS))).read(columns=["tools_json"])
    texts = table["tools_json"].unique().to_pylist() if table.num_columns else []
    return {tool["function"]["name"]: tool for text in texts for tool in json.loads(text)}


def _prompt(messages: Sequence[Message]) -> int:
    """How many messages stand before the assistant's first."""
    return next((place for place, message in enumerate(messages) if message.role == "assistant"), len(messages))
