"""Stage "curate": a trajectory that passes every filter becomes a training row."""

from __future__ import annotations

import random

from agents.config import CurateConfig
from agents.curate.filters import Candidate, objection
from agents.curate.tokens import TokenCounter
from agents.records import TrainingRow, Trajectory
from engine.errors import RejectedError
from engine.records import derive_id
from engine.stage import Stage


class CurateStage(Stage[Trajectory, TrainingRow]):
    """Applies `filters.FILTERS`. Pure: no effects, no randomness."""

    name = "curate"
    takes = Trajectory
    makes = TrainingRow

    def __init__(self, config: CurateConfig) -> None:
        self._config = config
        self._counter: TokenCounter | None = None

    async def open(self) -> None:
        """Read the tokenizer, when one is configured."""
        self._counter = TokenCounter(self._config.tokenizer)

    async def attempt(self, record: Trajectory, ordinal: int, rng: random.Random) -> TrainingRow:
        """The row, or a rejection with a `CurateCause`."""
        if self._counter is None:
            await self.open()
        assert self._counter is not None
        tokens = self._counter.conversation(record.messages)
        refused = objection(Candidate(record, tokens), self._config)
        if refused is not None:
            raise RejectedError(*refused)
        return to_row(record, tokens)


def to_row(trajectory: Trajectory, tokens: int) -> TrainingRow:
    """The training row of a good trajectory."""
    return TrainingRow(
        id=derive_id(trajectory.id, "curate"),
        trace_id=trajectory.trace_id,
        question_id=trajectory.question_id,
        question=trajectory.question,
        answer=trajectory.answer,
        answer_aliases=trajectory.answer_aliases,
        paradigm=trajectory.paradigm,
        hops=trajectory.hops,
        certified=trajectory.certified,
        rollout=trajectory.rollout,
        tools=trajectory.tools,
        messages=trajectory.messages,
        tokens=tokens,
        tool_calls=sum(len(message.tool_calls) for message in trajectory.messages),
        tags=trajectory.tags,
    )
