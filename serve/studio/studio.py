"""What the pages work on: the configuration, the folder of runs, and the graph, read once when it is first needed."""

from __future__ import annotations

import asyncio
import threading

from engine.shared import Shared
from samplers.graph.loader import load_graph
from samplers.graph.store import Graph
from serve.studio.config import StudioConfig
from serve.studio.orders import Compose
from serve.studio.workspace import Workspace


class Studio:
    """One per process; pages hold nothing that another page needs."""

    def __init__(self, config: StudioConfig, compose: Compose) -> None:
        """`compose`: how the command of a run reads its overrides."""
        self.config, self.workspace, self.compose = config, Workspace(config.runs), compose
        self._graph: Graph | None = None
        self._one_at_a_time = threading.Lock()

    def graph(self) -> Graph:
        """Seconds for a large one, unless `read_graph` was awaited.

        Raises:
            UserError: its files are wrong.
        """
        with self._one_at_a_time:
            self._graph = self._graph or load_graph(self.config.graph)
            return self._graph

    async def read_graph(self) -> None:
        """Read it while other pages go on; `graph` gives it at once from then on."""
        await asyncio.to_thread(self.graph)

    def shared_graph(self) -> Shared[Graph]:
        """The same, as the stages take it."""
        return Shared.local(self.graph())
