"""What a persona says in one turn."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call, before it has an id; `arguments` is JSON text."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Turn:
    """The words, the calls, and what a structured reply would hold instead of the words."""

    content: str
    calls: tuple[Call, ...] = ()
    gist: str = ""
    """The bare answer or text: what free strings of a JSON schema are filled with."""
    verdict: bool = False
    """What free booleans of a JSON schema are filled with."""
    choice: str = ""
    """What is chosen of a JSON schema's `enum` that has it."""


def words(text: str) -> list[str]:
    """Letters and digits only, case folded."""
    return _WORD.findall(text.casefold())
