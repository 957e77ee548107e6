"""`search`: the local full-text index as a search engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.tools.tool import NotFoundError
from engine.web.index import TextIndex


class SearchTool:
    """Title, address and snippet of the best pages."""

    name = "search"
    description = (
        "Full-text search over the pages. Returns title, url and a snippet of the best matches. "
        "Use a few specific words, for example a name and what you want to know about it."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {"query": {"type": "string", "minLength": 1, "description": "Search words."}},
        "required": ["query"],
    }

    def __init__(self, index: TextIndex, results: int, page_chars: int) -> None:
        """`results`: hits shown at most; fewer where they would not fit into `page_chars` characters."""
        self._index, self._results, self._page_chars = index, results, page_chars

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """Numbered hits, best first."""
        hits = self._index.search(arguments["query"], self._results)
        if not hits:
            raise NotFoundError("No page shares a word with this query. Try other words, or a name from the question.")
        text = ""
        for number, hit in enumerate(hits, start=1):
            entry = f"{number}. {hit.title}\n   url: {hit.url}\n   {hit.snippet}\n"
            if len(text) + len(entry) > self._page_chars:
                break
            text += entry
        return text.rstrip("\n")
