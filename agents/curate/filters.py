"""The named filters between a trajectory and a training row. Each has one cause, and says in words what it saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.answers import answers_match
from agents.config import CurateConfig
from agents.records import CurateCause, Message, Trajectory


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trajectory and what was counted of it."""

    trajectory: Trajectory
    tokens: int

    @property
    def turns(self) -> int:
        """Assistant messages."""
        return sum(message.role == "assistant" for message in self.trajectory.messages)


Filter = Callable[[Candidate, CurateConfig], str | None]
"""Says what is wrong, or None when nothing is."""


def too_few_turns(candidate: Candidate, config: CurateConfig) -> str | None:
    """An answer from the model's own memory, or without a check."""
    return f"{candidate.turns} turns, at least {config.min_turns} wanted" if candidate.turns < config.min_turns else None


def too_many_turns(candidate: Candidate, config: CurateConfig) -> str | None:
    """Wandering that is not worth learning."""
    return f"{candidate.turns} turns, at most {config.max_turns} wanted" if candidate.turns > config.max_turns else None


def too_many_tokens(candidate: Candidate, config: CurateConfig) -> str | None:
    """Would be truncated in training."""
    return f"{candidate.tokens} tokens, at most {config.max_tokens} wanted" if candidate.tokens > config.max_tokens else None


def unanswered_call(candidate: Candidate, config: CurateConfig) -> str | None:
    """Every call is answered right after its message, once, in order; every tool message answers such a call."""
    waiting: list[str] = []
    for message in candidate.trajectory.messages:
        if message.role == "tool":
            if not waiting or message.tool_call_id != waiting.pop(0):
                return f"tool message answers {message.tool_call_id!r}, which is not the next open call"
        elif waiting:
            return f"call {waiting[0]!r} has no answer before the next {message.role} message"
        waiting += [call.id for call in message.tool_calls]
    return f"call {waiting[0]!r} has no answer" if waiting else None


def no_final_answer(candidate: Candidate, config: CurateConfig) -> str | None:
    """The rollout ends without an answer in tags, or goes on after it."""
    trajectory = candidate.trajectory
    if trajectory.final_answer and _last(trajectory.messages).role == "assistant":
        return None
    return f"the rollout ended with {trajectory.stop_reason} and no answer"


def wrong_answer(candidate: Candidate, config: CurateConfig) -> str | None:
    """The answer is neither the gold answer nor one of its aliases."""
    trajectory = candidate.trajectory
    given = trajectory.final_answer or ""
    if answers_match(given, trajectory.answer, trajectory.answer_aliases):
        return None
    return f"answered {given[:100]!r}, right is {trajectory.answer!r}"


FILTERS: tuple[tuple[CurateCause, Filter], ...] = (
    (CurateCause.UNANSWERED_CALL, unanswered_call),
    (CurateCause.NO_FINAL_ANSWER, no_final_answer),
    (CurateCause.WRONG_ANSWER, wrong_answer),
    (CurateCause.TOO_FEW_TURNS, too_few_turns),
    (CurateCause.TOO_MANY_TURNS, too_many_turns),
    (CurateCause.TOO_MANY_TOKENS, too_many_tokens),
)
"""In the order in which they are asked: the first that objects names the cause."""


def objection(candidate: Candidate, config: CurateConfig) -> tuple[CurateCause, str] | None:
    """The first filter's cause and words, or None when the trajectory is good enough."""
    for cause, check in FILTERS:
        words = check(candidate, config)
        if words is not None:
            return cause, words
    return None


def _last(messages: Sequence[Message]) -> Message:
    return messages[-1] if messages else Message(role="", content="")
