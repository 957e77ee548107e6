"""One question at a time, live in a terminal: what the agent thinks, calls and reads, what it answers, and what that cost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape

from agents.config import PolicyConfig
from agents.curate.tokens import TokenCounter
from agents.loop import Agent
from agents.policies.llm import LlmPolicy
from agents.policies.policy import Decision, Policy
from agents.records import Message
from agents.tools.tool import Tool, ToolError, wire_schema
from engine.config import EndpointConfig
from engine.errors import RejectedError, TroubleError
from engine.llm.protocol import ChatModel
from engine.records import derive_id
from serve.runs.reading import printable

SHOWN = 600
"""Characters of a tool's result that are shown; the agent reads all of it."""

PROMPT = "question> "


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
    """A policy whose messages are shown as they come."""

    def __init__(self, policy: Policy, console: Console, spent: Spent) -> None:
        self._policy, self._console, self._spent = policy, console, spent

    async def decide(self, messages: Sequence[Message], turn: int, final: bool) -> Decision:
        """See `Policy.decide`."""
        decision = await self._policy.decide(messages, turn, final)
        self._spent.add(decision)
        if decision.message.content:
            self._console.print(escape(printable(decision.message.content.strip())), highlight=False)
        return decision


class ShownTool:
    """A tool whose calls and results are shown as they come."""

    def __init__(self, tool: Tool, console: Console, spent: Spent) -> None:
        self._tool, self._console, self._spent = tool, console, spent
        self.name, self.description, self.parameters = tool.name, tool.description, tool.parameters

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """See `Tool.call`."""
        spelled = printable(json.dumps(arguments, ensure_ascii=False))
        self._console.print(f"[cyan]→ {self.name}[/cyan] {escape(spelled)}", highlight=False)
        try:
            text = await self._tool.call(arguments)
        except ToolError as error:
            self._console.print(f"[red]  {escape(printable(str(error)))}[/red]", highlight=False)
            raise
        if found := arguments.get("url") or arguments.get("entity"):
            self._spent.sources[str(found)] = None
        cut = text if len(text) <= SHOWN else f"{text[:SHOWN]} …"
        self._console.print(f"[dim]{escape(printable(cut))}[/dim]", highlight=False)
        return text


@dataclass(frozen=True)
class Live:
    """What answers questions."""

    console: Console
    model: ChatModel
    endpoint: EndpointConfig
    tools: Sequence[Tool]
    config: PolicyConfig

    def ask_all(self, questions: Iterator[str]) -> None:
        """One after the other. Ctrl-C ends the answer at hand, and tells what it cost; the next question may follow."""
        with asyncio.Runner() as runner:
            for question in questions:
                spent = Spent(self.endpoint)
                try:
                    runner.run(self.answer(question, spent))
                except KeyboardInterrupt:
                    self.console.print("[yellow]stopped[/yellow]")
                except (TroubleError, RejectedError) as error:
                    self.console.print(f"[red]the model did not answer: {escape(str(error))}[/red]", highlight=False)
                self.console.print(f"[dim]{spent.told}[/dim]\n", highlight=False)

    async def answer(self, question: str, spent: Spent) -> str | None:
        """Play one rollout in the open; what it answers.

        Raises:
            TroubleError, RejectedError: the model did not answer.
        """
        tools = [ShownTool(tool, self.console, spent) for tool in self.tools]
        policy = LlmPolicy(self.model, [wire_schema(tool) for tool in tools], derive_id("live", question), 0, self.config)
        rollout = await Agent(ShownPolicy(policy, self.console, spent), tools, self.config, TokenCounter()).run(question)
        answer = rollout.final_answer
        told = f"[bold green]{escape(printable(answer))}[/bold green]" if answer else f"[yellow]no answer ({rollout.stop})[/yellow]"
        self.console.print(f"\n{told}", highlight=False)
        for source in spent.sources:
            self.console.print(f"  · {escape(printable(source))}", highlight=False)
        return answer


def typed(read: Callable[[str], str]) -> Iterator[str]:
    """Questions as they are typed, until an empty line, the end of input, or Ctrl-C."""
    while True:
        try:
            question = read(PROMPT).strip()
        except (EOFError, KeyboardInterrupt):
            return
        if not question:
            return
        yield question
