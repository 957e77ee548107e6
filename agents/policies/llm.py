"""The policy that asks a chat model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.formats import from_reply, to_wires
from agents.policies.policy import Decision
from agents.records import Message
from engine.llm.protocol import ChatModel, ChatRequest
from engine.records import derive_id


class LlmPolicy:
    """Sends the conversation with the tools in OpenAI form. Temperature and completion limit are the endpoint's own."""

    def __init__(self, model: ChatModel, tools: Sequence[dict[str, Any]], question_id: str, rollout: int) -> None:
        """`question_id` and `rollout` are the scope of the seeds: equal prompts of different rollouts sample afresh."""
        self._model, self._tools = model, tuple(tools)
        self._question_id, self._rollout = question_id, rollout

    async def decide(self, messages: Sequence[Message], turn: int, final: bool) -> Decision:
        """Ask once; the final turn offers no tools. A `TroubleError` of the model propagates."""
        seed = int(derive_id(self._question_id, self._rollout, turn)[:7], 16)  # 28 bits: fits every server's int32
        scope = f"{self._question_id}/{self._rollout}/{turn}"
        request = ChatRequest(messages=to_wires(messages), tools=() if final else self._tools, seed=seed, scope=scope)
        reply = await self._model.complete(request)
        return Decision(
            message=from_reply(reply),
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            model_calls=1,
        )
