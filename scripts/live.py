"""One question at a time, live in a terminal: what the agent thinks, calls and reads, what it answers, and what that cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from agents.config import PolicyConfig
from agents.tools.tool import Tool
from engine.config import EndpointConfig
from engine.errors import RejectedError, TroubleError
from engine.llm.protocol import ChatModel
from serve.evals.live import Spent, play
from serve.runs.reading import printable

SHOWN = 600
"""Characters of a tool's result that are shown; the agent reads all of it."""

PROMPT = "question> "


class Terminal:
    """See `serve.evals.live.Audience`."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def thinks(self, text: str) -> None:
        """See `Audience`."""
        self._console.print(escape(printable(text)), highlight=False)

    def calls(self, tool: str, arguments: str) -> None:
        """See `Audience`."""
        self._console.print(f"[cyan]→ {tool}[/cyan] {escape(printable(arguments))}", highlight=False)

    def reads(self, tool: str, text: str, *, failed: bool) -> None:
        """See `Audience`."""
        if failed:
            self._console.print(f"[red]  {escape(printable(text))}[/red]", highlight=False)
            return
        cut = text if len(text) <= SHOWN else f"{text[:SHOWN]} …"
        self._console.print(f"[dim]{escape(printable(cut))}[/dim]", highlight=False)


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
        rollout = await play(question, self.model, self.tools, self.config, Terminal(self.console), spent)
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
