"""What every policy is: it reads the conversation so far and writes the next assistant message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.records import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The next assistant message, and what it cost."""

    message: Message
    """A message without tool calls ends the rollout. Ids of tool calls are given by the loop."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model_calls: int = 0


class Policy(Protocol):
    """Plays one rollout; may keep state between turns, so every rollout gets a policy of its own."""

    async def decide(self, messages: Sequence[Message], turn: int, final: bool) -> Decision:
        """The assistant's message number `turn` (from 0). `final`: no tool may be called any more.

        Raises:
            RejectedError: this policy cannot play this question.
            TroubleError: the model behind the policy did not answer.
        """
        ...
