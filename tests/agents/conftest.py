"""The small world, its index and its tools."""

from __future__ import annotations

import pytest

from agents.config import ToolsConfig
from agents.tools.registry import build_tools
from agents.tools.tool import Tool
from engine.web.index import TextIndex
from samplers.graph.documents import documents
from samplers.graph.store import Graph
from tests.agents.worlds import write_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def index(world: Graph) -> TextIndex:
    return TextIndex.build(documents(world))


@pytest.fixture(scope="session")
def tools(world: Graph, index: TextIndex) -> dict[str, Tool]:
    return {tool.name: tool for tool in build_tools(ToolsConfig(), index, world)}
