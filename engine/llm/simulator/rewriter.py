"""The author and rewriter persona: other words for a text, the same names, numbers and tags."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.llm.simulator.request import text_of
from engine.llm.simulator.turn import Turn

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "about": ("concerning",),
    "also": ("as well",),
    "because": ("since", "as"),
    "begin": ("start",),
    "check": ("verify", "confirm"),
    "find": ("locate", "work out"),
    "finds": ("locates", "works out"),
    "help": ("be of use",),
    "maybe": ("perhaps",),
    "must": ("has to",),
    "need": ("have",),
    "next": ("after that",),
    "now": ("at this point",),
    "perhaps": ("maybe",),
    "says": ("states", "tells me"),
    "show": ("reveal",),
    "shows": ("reveals", "tells"),
    "so": ("hence", "thus"),
    "then": ("after that", "next"),
    "think": ("believe", "suppose"),
    "though": ("although",),
    "whether": ("if",),
}
"""Common words that are seldom part of a name in lower case. Everything else stays as it is."""

OPENERS = ("In other words: ", "Put differently: ", "That is to say: ")

_ASKED = re.compile(
    r"\b(?:re-?writ|re-?word|re-?phras|paraphras|verbali[sz]|polish|"
    r"(?:put|turn|write|word) (?:\w+ ){0,4}(?:in(?:to)? (?:\w+ )?words|as a question|in (?:plain|natural)))",
    re.IGNORECASE,
)
_BLOCK = re.compile(
    r"```\w*\n(?P<fenced>.*?)```|<(?P<tag>text|draft|thought|think|passage|question|query)>(?P<tagged>.*?)</(?P=tag)>", re.DOTALL
)
_KEPT_OR_WORD = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|\"[^\"]*\"|`[^`]*`|\w+://\S+|\w+(?:['’-]\w+)*")


def reword(messages: Sequence[Mapping[str, Any]], rng: random.Random) -> Turn | None:
    """The text in other words; None when the first or last message does not ask for that."""
    prompts = [text_of(message) for message in messages if message["role"] != "assistant"]
    if not prompts or not (_ASKED.search(prompts[0]) or _ASKED.search(prompts[-1])):
        return None
    text = other_words(_text(prompts[-1]), rng)
    return Turn(text, gist=text)


def other_words(text: str, rng: random.Random) -> str:
    """Always different from `text`; what is in brackets, quotes, tags or addresses, and every name and number, stays in place."""
    said = _KEPT_OR_WORD.sub(lambda found: rng.choice(SYNONYMS.get(found.group(), (found.group(),))), text)
    return said if said != text else rng.choice(OPENERS) + said


def _text(prompt: str) -> str:
    """What is to be reworded: the last fenced or tagged block, else what follows the first blank line, else all of it."""
    blocks = list(_BLOCK.finditer(prompt))
    if blocks:
        return (blocks[-1]["fenced"] or blocks[-1]["tagged"] or "").strip()
    _, _, rest = prompt.partition("\n\n")
    return rest.strip() or prompt.strip()
