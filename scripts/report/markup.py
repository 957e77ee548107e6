"""Markup that is safe by construction: whatever is not `Html` is escaped when it is put into a tag."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is markup already. Made here only."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | float) -> Html:
    """One element. `class_` is `class`; other underscores in attribute names are dashes."""
    told = "".join(f' {key.rstrip("_").replace("_", "-")}="{html.escape(_plain(value))}"' for key, value in attributes.items())
    return Html(f"<{name}{told}>{join(children)}</{name}>")


def join(children: Iterable[str]) -> Html:
    """Elements and texts one after another."""
    return Html("".join(child if isinstance(child, Html) else html.escape(child) for child in children))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> Html:
    """A table that scrolls sideways where it must; the first `texts` columns are text, the others numbers."""

    def line(cell: str, values: Sequence[str]) -> Html:
        return tag("tr", *(tag(cell, value, class_="text" if number < texts else "number") for number, value in enumerate(values)))

    body = tag("tbody", *(line("td", row) for row in rows))
    return tag("div", tag("table", tag("thead", line("th", headings)), body), class_="scroll")


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.5g}"
