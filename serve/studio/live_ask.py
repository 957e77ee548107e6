"""A model asked in the open: the same loop and tools as in an evaluation, every step told as it comes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

from agents.config import PolicyConfig, ToolsConfig
from agents.records import StopReason
from agents.tools.registry import build_tools
from engine.config import EndpointConfig
from engine.limits.limiter import Unlimited
from engine.llm.client import HttpChatModel
from engine.web.index import TextIndex
from samplers.graph.pages import graph_index
from serve.evals.live import Audience, Spent, play
from serve.studio.orders import key_variable
from serve.studio.studio import Studio

MOST_QUESTION = 4_000
"""Characters of a question."""
POLICY = PolicyConfig(kind="llm")


@dataclass(frozen=True, slots=True)
class Told:
    """One step."""

    kind: Literal["thought", "call", "result", "error"]
    text: str
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """How it ended."""

    answer: str | None
    stop: StopReason
    spent: Spent


class Asker:
    """Asks models about the studio's graph. One per studio."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._index: TextIndex | None = None
        self._one_at_a_time = threading.Lock()

    def prepare(self) -> TextIndex:
        """The pages to search: seconds for a large graph, in a thread.

        Raises:
            UserError: the graph's files are wrong.
        """
        shared = self._studio.shared_graph()
        with self._one_at_a_time:
            self._index = self._index or graph_index(shared, [])
            return self._index

    async def ask(self, question: str, endpoint: EndpointConfig, audience: Audience) -> Answered:
        """Play one rollout.

        Raises:
            ConfigError: the endpoint has no address, or the variable of its key is none or is not set.
            TroubleError, RejectedError: the model did not answer.
        """
        if endpoint.api_key_env:
            key_variable(endpoint.api_key_env)
        model, spent = HttpChatModel(endpoint, Unlimited()), Spent(endpoint)
        tools = build_tools(ToolsConfig(), self.prepare(), self._studio.graph())
        try:
            rollout = await play(question[:MOST_QUESTION], model, tools, POLICY, audience, spent)
        finally:
            await model.close()
        assert rollout.stop is not None
        return Answered(rollout.final_answer, rollout.stop, spent)
