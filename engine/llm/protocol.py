"""Requests to and replies from a chat model, as this project sees them; wire format in `client.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One call. `messages` and `tools` are in OpenAI wire form (JSON-ready dicts)."""

    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    """Derived from record, rollout and turn, so that equal prompts of different rollouts sample afresh."""
    scope: str = ""
    """Record + rollout + turn; part of the tape key, never sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """A tool call the model asked for; `arguments` is the JSON text it wrote, valid or not."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply:
    """One answer of the model."""

    content: str
    tool_calls: tuple[CallRequest, ...]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    reasoning: str = ""
    """What servers send as `reasoning_content`."""


class ChatModel(Protocol):
    """Anything that answers a chat request: the HTTP client, or a model in this process."""

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Ask once.

        Raises:
            TroubleError: no usable answer (time-out, refused connection, 4xx/5xx, malformed body).
        """
        ...
