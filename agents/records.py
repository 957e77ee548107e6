"""The records this room makes: `Trajectory → TrainingRow`. Messages follow the OpenAI chat-completions protocol."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.records import Record


class StopReason(StrEnum):
    """Why a rollout ended."""

    ANSWERED = "answered"
    GAVE_UP = "gave_up"
    """The policy said it could not find the answer."""
    MAX_TURNS = "max_turns"
    MAX_TOOL_CALLS = "max_tool_calls"
    MAX_TOKENS = "max_tokens"
    TIME_LIMIT = "time_limit"
    REPEATED_CALLS = "repeated_calls"


class CurateCause(StrEnum):
    """Why a trajectory gave no training row."""

    TOO_FEW_TURNS = "too_few_turns"
    TOO_MANY_TURNS = "too_many_turns"
    TOO_MANY_TOKENS = "too_many_tokens"
    UNANSWERED_CALL = "unanswered_call"
    NO_FINAL_ANSWER = "no_final_answer"
    WRONG_ANSWER = "wrong_answer"
    DUPLICATE = "duplicate_trajectory"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call the assistant asks for. `arguments` is JSON text as the model wrote it, valid or not."""

    id: str
    """Derived from rollout, turn and position; never drawn."""
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat message. `role` is system, user, assistant or tool."""

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    """Tool messages: the tool that answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a rollout cost: model tokens as the server counted them, and calls."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    tool_errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory(Record):
    """One rollout of an agent on one question."""

    question_id: str
    question: str
    answer: str
    """The gold answer, never shown to the agent."""
    answer_aliases: tuple[str, ...]
    paradigm: str
    hops: int
    certified: bool
    rollout: int
    """Ordinal among the rollouts of the question, from 0."""
    policy: str
    tools: tuple[str, ...]
    """Names of the tools the agent was offered."""
    messages: tuple[Message, ...]
    stop_reason: StopReason
    final_answer: str | None
    usage: Usage
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow(Record):
    """A curated trajectory, ready for SFT and as an RL prompt with its ground truth."""

    question_id: str
    question: str
    answer: str
    answer_aliases: tuple[str, ...]
    paradigm: str
    hops: int
    certified: bool
    rollout: int
    tools: tuple[str, ...]
    messages: tuple[Message, ...]
    tokens: int
    """By the target's tokenizer when one is given, else the documented estimate."""
    tool_calls: int
    tags: tuple[str, ...] = ()
