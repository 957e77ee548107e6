"""From the names in the config to tools."""

from __future__ import annotations

from agents.config import ToolsConfig
from agents.tools.graph_lookup import GraphLookupTool
from agents.tools.search import SearchTool
from agents.tools.tool import Tool
from agents.tools.visit import VisitTool
from engine.errors import ConfigError, nearest
from engine.web.index import TextIndex
from samplers.graph.store import Graph

NEEDS_INDEX = ("search", "visit")
NEEDS_GRAPH = ("graph_lookup",)
KNOWN = (*NEEDS_INDEX, *NEEDS_GRAPH)


def check_tools(config: ToolsConfig, has_index: bool, has_graph: bool) -> None:
    """Refuse a tool that is unknown, named twice, or whose source is missing. Needs no source, so it can run at start-up.

    Raises:
        ConfigError: names the key, and the nearest known tool.
    """
    for name in config.names:
        if name not in KNOWN:
            near = nearest(name, KNOWN) or sorted(KNOWN)
            raise ConfigError("tools.names", f"unknown tool {name!r}", f"did you mean {' or '.join(near)}?")
        if config.names.count(name) > 1:
            raise ConfigError("tools.names", f"tool {name!r} is named twice", "name every tool once")
        if name in NEEDS_INDEX and not has_index:
            raise ConfigError("tools.names", f"tool {name!r} needs pages to search", "set tools.corpus or use a graph")
        if name in NEEDS_GRAPH and not has_graph:
            raise ConfigError("tools.names", f"tool {name!r} needs a graph", "set graph.source, or leave the tool out")


def build_tools(config: ToolsConfig, index: TextIndex | None, graph: Graph | None) -> tuple[Tool, ...]:
    """The tools of `config.names`, in that order.

    Raises:
        ConfigError: see `check_tools`.
    """
    check_tools(config, index is not None, graph is not None)
    return tuple(_build(name, config, index, graph) for name in config.names)


def _build(name: str, config: ToolsConfig, index: TextIndex | None, graph: Graph | None) -> Tool:
    if name == "graph_lookup":
        assert graph is not None
        return GraphLookupTool(graph, config.page_chars)
    assert index is not None
    return SearchTool(index, config.results, config.page_chars) if name == "search" else VisitTool(index, config.page_chars)
