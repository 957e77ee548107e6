"""The barrier after curation: of rows that teach the same, one is kept."""

from __future__ import annotations

from collections.abc import Iterable

from agents.answers import normal_answer
from agents.formats import final_answer, spell_call
from agents.records import CurateCause, TrainingRow
from engine.records import Rejection, derive_id, sorted_unique
from samplers.graph.names import normalise

STAGE = "deduplicate"


def select_rows(rows: Iterable[TrainingRow]) -> tuple[list[TrainingRow], list[Rejection]]:
    """Drop rows with the same question text, the same sequence of tool calls and the same answer as an earlier row.

    The result is a function of the set of rows: both lists are in the order of row ids, and the smallest id is kept.
    """
    kept: dict[str, TrainingRow] = {}
    rejections: list[Rejection] = []
    for row in sorted_unique(rows):
        first = kept.setdefault(lesson(row), row)
        if first is not row:
            rejections.append(_rejection(row, first))
    return list(kept.values()), rejections


def lesson(row: TrainingRow) -> str:
    """What makes two rows duplicates."""
    calls = [call for message in row.messages for call in message.tool_calls]
    answer = final_answer(row.messages[-1]) if row.messages else None
    return derive_id(normalise(row.question), *(spell_call(call) for call in calls), normal_answer(answer or row.answer))


def _rejection(row: TrainingRow, first: TrainingRow) -> Rejection:
    return Rejection(
        id=derive_id(row.id, STAGE, 0, "rejection"),
        trace_id=row.trace_id,
        stage=STAGE,
        cause=CurateCause.DUPLICATE,
        detail=f"same question, tool calls and answer as row {first.id}",
        input_id=row.id,
        ordinal=0,
    )
