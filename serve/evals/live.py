"""A question answered in the open: what the agent thinks, calls and reads is told as it comes, and what that cost."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agents.config import PolicyConfig
from agents.curate.tokens import TokenCounter
from agents.loop import Agent, Rollout
from agents.policies.llm import LlmPolicy
from agents.policies.policy import Decision, Policy
from agents.records import Message
from agents.tools.tool import Tool, ToolError, wire_schema
from engine.config import EndpointConfig
from engine.llm.protocol import ChatModel
from engine.records import derive_id


class Audience(Protocol):
    """Who is told."""

    def thinks(self, text: str) -> None:
        """What the agent says; the last time it is the answer."""
        ...

    def calls(self, tool: str, arguments: str) -> None:
        """A tool call, its arguments as JSON."""
        ...

    def reads(self, tool: str, text: str, *, failed: bool) -> None:
        """What came of it, in full."""
        ...


@dataclass
class Spent:
    """What an answer has taken so far."""

    endpoint: EndpointConfig
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model_calls: int = 0
    sources: dict[str, None] = field(default_factory=dict)
    """Pages opened and entities looked up, in order."""
    begun: float = field(default_factory=time.monotonic)

    def add(self, decision: Decision) -> None:
        """One more model call."""
        self.prompt_tokens += decision.prompt_tokens
        self.completion_tokens += decision.completion_tokens
        self.model_calls += decision.model_calls

    @property
    def told(self) -> str:
        """In a line."""
        usd = (self.prompt_tokens * self.endpoint.usd_per_1m_input + self.completion_tokens * self.endpoint.usd_per_1m_output) / 1e6
        priced = self.endpoint.usd_per_1m_input or self.endpoint.usd_per_1m_output
        cost = f"US$ {usd:.4f}" if priced else "no price is set"
        tokens = f"{self.prompt_tokens:,} + {self.completion_tokens:,} tokens"
        return f"{self.model_calls} model calls, {tokens}, {cost}, {time.monotonic() - self.begun:.1f} s"


class ShownPolicy:
    """A policy whose messages are told as they come."""

    def __init__(self, policy: Policy, audience: Audience, spent: Spent) -> None:
        self._policy, self._audience, self._spent = policy, audience, spent

    async def decide(self, messages: Sequence[Message], turn: int, final: bool) -> Decision:
        """See `Policy.decide`."""
        decision = await self._policy.decide(messages, turn, final)
        self._spent.add(decision)
        if said := decision.message.content.strip():
            self._audience.thinks(said)
        return decision


class ShownTool:
    """A tool whose calls and results are told as they come."""

    def __init__(self, tool: Tool, audience: Audience, spent: Spent) -> None:
        self._tool, self._audience, self._spent = tool, audience, spent
        self.name, self.description, self.parameters = tool.name, tool.description, tool.parameters

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """See `Tool.call`."""
        self._audience.calls(self.name, json.dumps(arguments, ensure_ascii=False))
        try:
            text = await self._tool.call(arguments)
        except ToolError as error:
            self._audience.reads(self.name, str(error), failed=True)
            raise
        if found := arguments.get("url") or arguments.get("entity"):
            self._spent.sources[str(found)] = None
        self._audience.reads(self.name, text, failed=False)
        return text


async def play(question: str, model: ChatModel, tools: Sequence[Tool], config: PolicyConfig, audience: Audience, spent: Spent) -> Rollout:
    """One rollout on a question, told to the audience.

    Raises:
        TroubleError, RejectedError: the model did not answer.
    """
    shown = [ShownTool(tool, audience, spent) for tool in tools]
    policy = LlmPolicy(model, [wire_schema(tool) for tool in tools], derive_id("live", question), 0, config)
    return await Agent(ShownPolicy(policy, audience, spent), shown, config, TokenCounter()).run(question)
