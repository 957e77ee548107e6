"""`visit`: one page, whole or cut to the passages that fit the goal best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.tools.passages import rank, split_pages, wrap_lines
from agents.tools.tool import ArgumentError, NotFoundError
from engine.web.documents import Document
from engine.web.index import TextIndex

PASSAGE_CHARS = 320
"""Lines longer than this are cut into passages, so that running text can be ranked as statements are."""
HEADER_CHARS = 160
"""Room kept for the line that says what is shown."""


class VisitTool:
    """Reads a page by its address."""

    name = "visit"
    description = (
        "Open a page by the url that search returned. A long page is cut to the passages that fit your goal best, "
        "in the order of the page; read on with page=2, 3, … under the same goal."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "url": {"type": "string", "minLength": 1, "description": "Address of the page, as search returned it."},
            "goal": {"type": "string", "minLength": 1, "description": "What you want to find out from the page."},
            "page": {"type": "integer", "minimum": 1, "description": "Part of a long page, 1 when left out."},
        },
        "required": ["url", "goal"],
    }

    def __init__(self, index: TextIndex, page_chars: int) -> None:
        """`page_chars`: characters a result may have."""
        self._index, self._page_chars = index, page_chars

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """Title, address, and the passages."""
        url, goal, number = arguments["url"], arguments["goal"], arguments.get("page", 1)
        document = self._index.page(url)
        if document is None:
            hits = self._index.search(url.replace("/", " "), 3)
            near = " Similar pages: " + ", ".join(f"{hit.title[:60]} ({hit.url[:180]})" for hit in hits[:1]) if hits else ""
            raise NotFoundError(f"There is no page at {url[:200]!r}.{near} Use a url that search returned.")
        return self._render(document, goal, number)

    def _render(self, document: Document, goal: str, number: int) -> str:
        title = f"{document.title[:80]}\n{document.url[:180]}\n"
        room = self._page_chars - len(title) - HEADER_CHARS
        lines = wrap_lines(document.text, min(PASSAGE_CHARS, room - 1))
        pages = split_pages(lines, range(len(lines)), room)
        if len(pages) > 1:  # it does not fit: the best passages first
            pages = split_pages(lines, rank(lines, goal), room)
        if number > max(1, len(pages)):
            raise ArgumentError(f"The page has {max(1, len(pages))} part(s) for this goal; page={number} does not exist.")
        shown = pages[number - 1] if pages else []
        note = ""
        if len(pages) > 1:
            left = len(lines) - sum(len(page) for page in pages[:number])
            more = f"{left} less fitting ones follow on page={number + 1}" if left else "nothing is left"
            note = f"[part {number} of {len(pages)}: {len(shown)} of {len(lines)} passages; {more}]\n"
        return title + note + "\n".join(lines[row] for row in shown)
